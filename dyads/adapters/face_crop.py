"""One fixed square face crop per video: a given box, the face that a bundled cascade finds, or the centre.

The cascade (LBP, frontal faces, shipped with scikit-image) needs no download. OpenCV 5 wheels ship no
cascade files. The crop keeps the face where `dyads.masks.DEFAULT` expects it: forehead and some hair above,
chin below, the mouth near the lower third. It does not follow the head, so head motion stays in the
picture.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image
from skimage import data
from skimage.feature import Cascade

from dyads.errors import DataError

DETECTION_SIDE = 320  # longest side in pixels on which faces are looked for
SAMPLES = 9  # frames looked at per video
SCALE = 1.6  # side of the crop as a multiple of the face box
LIFT = 0.02  # how far the crop's centre lies above that of the box, in sides of the crop
AGREEMENT = 0.34  # share of the sampled frames in which the face must be found


@dataclass(frozen=True)
class Crop:
    """A square in source pixels (may reach beyond the frame) and how it was found, as in the manifest."""

    x: float
    y: float
    side: float
    origin: str


@cache
def _cascade() -> Cascade:
    return Cascade(data.lbp_frontal_face_cascade_filename())


def detect_faces(frame: np.ndarray) -> np.ndarray:
    """Face boxes (N,4) as x, y, width, height in pixels of a uint8 (H,W,3) frame; may be empty."""
    height, width = frame.shape[:2]
    scale = min(1.0, DETECTION_SIDE / max(height, width))
    grey = Image.fromarray(frame).convert("L").resize((round(width * scale), round(height * scale)))
    found = _cascade().detect_multi_scale(
        img=np.asarray(grey),
        scale_factor=1.1,
        step_ratio=1,
        min_size=(36, 36),
        max_size=(min(grey.size), min(grey.size)),
    )
    return np.array([[f["c"], f["r"], f["width"], f["height"]] for f in found], float).reshape(-1, 4) / scale


def _intersection_over_union(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    low = np.maximum(box[:2], others[:, :2])
    high = np.minimum(box[:2] + box[2:], others[:, :2] + others[:, 2:])
    shared = np.clip(high - low, 0, None).prod(1)
    return shared / (box[2:].prod() + others[:, 2:].prod(1) - shared)


def agree(boxes: list[np.ndarray]) -> np.ndarray | None:
    """The median box of the face seen in most frames (one (N,4) array a frame), None without agreement."""
    best, support = None, 0
    for candidate in (box for frame in boxes for box in frame):
        matched = []
        for frame in boxes:
            if len(frame):
                overlap = _intersection_over_union(candidate, frame)
                if overlap.max() > 0.4:
                    matched.append(frame[overlap.argmax()])
        if (len(matched), candidate[2]) > (support, 0 if best is None else best[2]):
            best, support = np.median(matched, axis=0), len(matched)
    return best if support >= max(1, AGREEMENT * len(boxes)) else None


def face_square(box: np.ndarray, height: int, width: int) -> tuple[float, float, float]:
    """Crop square (x, y, side) that frames a face box (x, y, width, height), kept within the frame.

    Where the frame is tight the square shrinks and moves rather than inventing a border.
    """
    side = float(min(SCALE * max(box[2], box[3]), height, width))
    x, y = box[0] + box[2] / 2 - side / 2, box[1] + box[3] / 2 - side / 2 - LIFT * side
    return float(np.clip(x, 0, width - side)), float(np.clip(y, 0, height - side)), side


def centre_crop(frame: np.ndarray) -> Crop:
    """The largest centred square of a (H,W,3) frame."""
    height, width = frame.shape[:2]
    side = min(height, width)
    return Crop((width - side) / 2, (height - side) / 2, side, "centre")


def choose_crop(frames: list[np.ndarray], box: tuple[float, float, float, float] | None, name: str) -> Crop:
    """The crop for a video from its sampled frames; `box` (x, y, w, h in pixels) is taken as the crop itself.

    A box that is not square grows to a square around its centre; one outside the frame is a `DataError`.
    """
    height, width = frames[0].shape[:2]
    if box is not None:
        x, y, w, h = box
        if w <= 0 or h <= 0 or x >= width or y >= height or x + w <= 0 or y + h <= 0:
            raise DataError(f"{name}: the box {x:g},{y:g},{w:g},{h:g} lies outside {width}x{height}; correct it.")
        side = max(w, h)
        return Crop(x + (w - side) / 2, y + (h - side) / 2, side, f"box:{x:g},{y:g},{w:g},{h:g}")
    face = agree([detect_faces(frame) for frame in frames])
    if face is None:
        return centre_crop(frames[0])
    x, y, side = face_square(face, height, width)
    return Crop(x, y, side, f"detected:{x:.0f},{y:.0f},{side:.0f},{side:.0f}")


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
