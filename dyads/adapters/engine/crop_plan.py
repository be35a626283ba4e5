"""Where the face is cut out of a recording: one square for all of it, or one that follows the head."""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dyads.adapters.face_crop import Crop


class Rows:
    """Rows of `width` numbers that grow with a recording, 8 bytes a number and no object each."""

    def __init__(self, width: int) -> None:
        self.width, self.flat = width, array("d")

    def __len__(self) -> int:
        return len(self.flat) // self.width

    def __getitem__(self, at: int | slice) -> np.ndarray:
        return self.whole()[at].copy()  # no view outlives this: an array that is looked into cannot grow

    def whole(self) -> np.ndarray:
        return np.frombuffer(self.flat).reshape(-1, self.width)

    def extend(self, rows: np.ndarray) -> None:
        """Rows (n, width), or one of them (width,)."""
        self.flat.frombytes(np.ascontiguousarray(rows, np.float64).reshape(-1, self.width).tobytes())


@dataclass(frozen=True)
class CropPlan:
    """Squares (N,3) of x, y, side in source pixels, one every `step` output frames; in between they are interpolated.

    `origin` is what the manifest says of it; `inside` the share of looked-at frames with the whole face in its square,
    NaN where no face was looked for.
    """

    squares: np.ndarray
    step: int
    origin: str
    inside: float = float("nan")

    def at(self, frame: int) -> tuple[float, float, float]:
        """x, y and side at an output frame."""
        return between(self.squares, frame / self.step)


def between(squares: np.ndarray | Rows, place: float) -> tuple[float, float, float]:
    """x, y and side between two squares; up to one step beyond the last one they go on as before, then they stand."""
    if len(squares) == 1:
        return tuple(map(float, squares[0]))
    place = min(place, len(squares))
    low = min(int(place), len(squares) - 2)
    share = place - low
    return tuple(map(float, (1 - share) * squares[low] + share * squares[low + 1]))


def fixed(crop: Crop) -> CropPlan:
    """One square for the whole recording."""
    return CropPlan(np.array([[crop.x, crop.y, crop.side]]), 1, crop.origin)


def every(frames: Iterator, step: int) -> Iterator:
    """Every `step`th of an iterator's items; the others are not converted."""
    return (frame for index, frame in enumerate(frames) if index % step == 0)
