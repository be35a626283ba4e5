"""Reading one picture as people see it: upright, without hidden colours, in eight bits."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from dyads.errors import DataError

GREY = (128, 128, 128)  # behind what is transparent
WIDE = ("I;16", "I;16B", "I;16L", "I", "F")  # modes that Pillow cuts off at 255 when it makes RGB of them


def _eight_bits(image: Image.Image, path: Path) -> Image.Image:
    """A grey picture of more than eight bits, scaled by its kind's range rather than cut off."""
    values = np.asarray(image).astype(np.float64)
    top = (
        1.0 if image.mode == "F" and values.max(initial=0) <= 1 else 255.0 if values.max(initial=0) <= 255 else 65535.0
    )
    if not np.isfinite(values).all() or values.min(initial=0) < 0 or values.max(initial=0) > top:
        raise DataError(f"{path}: the picture's values are no light from 0 to {top:g}; export it as an 8-bit PNG.")
    return Image.fromarray(np.rint(values * (255 / top)).astype(np.uint8))


def read_picture(path: Path | str) -> np.ndarray:
    """A picture file as uint8 RGB (H, W, 3): EXIF orientation applied, transparent parts on grey, 16 bits scaled.

    DataError: no such file, or none that can be read.
    """
    path = Path(path)
    try:
        with Image.open(path) as opened:
            image = ImageOps.exif_transpose(opened)
            if image.mode in WIDE:
                image = _eight_bits(image, path)
            if "A" in image.getbands() or "transparency" in image.info:
                over = image.convert("RGBA")
                image = Image.alpha_composite(Image.new("RGBA", over.size, (*GREY, 255)), over)
            return np.array(image.convert("RGB"))
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such image; give the avatar's face as a picture.") from error
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: this is no readable image ({error}); give a PNG or JPEG file.") from error
