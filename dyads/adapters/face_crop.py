"""Square crops of single pictures: a given box, the face that is found, or the centre; and cutting them out."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from dyads.errors import DataError
from faces import crops
from faces.finding.track import Options, Tracker


@dataclass(frozen=True)
class Crop:
    """A square in source pixels (may reach beyond the frame) and how it was found, as in the manifest."""

    x: float
    y: float
    side: float
    origin: str


def centre_crop(frame: np.ndarray) -> Crop:
    """The largest centred square of a (H,W,3) frame."""
    height, width = frame.shape[:2]
    side = min(height, width)
    return Crop((width - side) / 2, (height - side) / 2, side, "centre")


def box_crop(frame: np.ndarray, box: tuple[float, float, float, float], name: str) -> Crop:
    """A given box (x, y, w, h in pixels) as the crop itself.

    A box that is not square grows to a square around its centre; one outside the frame is a `DataError`.
    """
    height, width = frame.shape[:2]
    x, y, w, h = box
    if w <= 0 or h <= 0 or x >= width or y >= height or x + w <= 0 or y + h <= 0:
        raise DataError(f"{name}: the box {x:g},{y:g},{w:g},{h:g} lies outside {width}x{height}; correct it.")
    side = max(w, h)
    return Crop(x + (w - side) / 2, y + (h - side) / 2, side, f"box:{x:g},{y:g},{w:g},{h:g}")


def picture_crop(frame: np.ndarray, name: str) -> Crop:
    """The crop round the largest face of one picture, uint8 (H,W,3); `DataError` where there is none."""
    points = Tracker(Options(eyes=False))(frame).points
    if points is None:
        raise DataError(f"{name}: no face is found; give a picture of a face from the front, or --no-crop.")
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    box = np.concatenate([low, high - low])[None]
    x, y, side = crops.fixed(box, frame.shape[1], frame.shape[0])[0]
    return Crop(float(x), float(y), float(side), f"fixed:{x:.0f},{y:.0f},{side:.0f},{side:.0f}")


def apply_crop(frame: np.ndarray, crop: Crop, size: int) -> np.ndarray:
    """Cut and rescale a uint8 frame to (size,size,3), antialiased; beyond the frame its edge is repeated."""
    height, width = frame.shape[:2]
    x, y, side = crop.x, crop.y, crop.side
    over = int(np.ceil(max(0, -x, -y, x + side - width, y + side - height)))
    if over:
        frame = np.pad(frame, ((over, over), (over, over), (0, 0)), mode="edge")
        x, y = x + over, y + over
    picture = Image.fromarray(frame)
    filtering = Image.Resampling.BICUBIC
    return np.array(picture.resize((size, size), filtering, box=(x, y, x + side, y + side), reducing_gap=3.0))
