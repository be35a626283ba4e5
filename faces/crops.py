"""Square crops from a followed face: one that goes with the head, smoothed and of one scale, or one for all."""

import numpy as np
from scipy.ndimage import gaussian_filter1d

SIDE = 1.5  # of the square, as a multiple of the larger extent of the 468 points: hair, ears and chin with some room
LIFT = 0.04  # how far the square's middle lies above that of the points, in sides
ROOM = 1.08  # at least this much of the extent that 98 % of the frames stay below
SMOOTH = 0.3  # seconds, standard deviation of the smoothing over time


def side_of(box: np.ndarray, width: int, height: int) -> float:
    """One side in pixels for a recording's boxes (N, 4) x, y, w, h; never larger than the picture."""
    extent = box[:, 2:].max(1)
    side = max(SIDE * float(np.median(extent)), ROOM * float(np.quantile(extent, 0.98)))
    return min(side, float(width), float(height))


def _middles(box: np.ndarray, side: float) -> np.ndarray:
    return box[:, :2] + box[:, 2:] / 2 - [0, LIFT * side]


def _within(corner: np.ndarray, side: float, width: int, height: int) -> np.ndarray:
    """Squares moved into the picture rather than over its edge."""
    return np.clip(corner, 0, [max(0.0, width - side), max(0.0, height - side)])


def room_of(rate: float) -> int:
    """How many looks to either side decide where a square lies."""
    return round(4 * SMOOTH * rate)


def tracked(box: np.ndarray, width: int, height: int, rate: float, side: float | None = None) -> np.ndarray:
    """Squares (N, 3) x, y, side that follow boxes (N, 4) seen `rate` times a second; NaN rows are bridged.

    Where the head moves faster than the smoothing the square is moved after it, so that the whole face stays inside.
    `side` is the recording's where `box` is only a part of it.
    """
    found = np.isfinite(box[:, 0])
    side = side_of(box[found], width, height) if side is None else side
    places = np.arange(len(box))
    middle = _middles(box[found], side)
    middle = np.stack([np.interp(places, places[found], middle[:, axis]) for axis in (0, 1)], 1)
    room = min(len(box) - 1, room_of(rate))
    beyond = np.pad(
        middle, ((room, room), (0, 0)), "reflect", reflect_type="odd"
    )  # so that a drift goes on at the ends
    corner = gaussian_filter1d(beyond, SMOOTH * rate, axis=0)[room : room + len(box)] - side / 2
    low, high = box[found, :2], box[found, :2] + box[found, 2:]
    corner[found] = np.where(high - low <= side, np.clip(corner[found], high - side, low), corner[found])
    return np.concatenate([_within(corner, side, width, height), np.full((len(box), 1), side)], 1)


def fixed(box: np.ndarray, width: int, height: int) -> np.ndarray:
    """One square (1, 3) for all boxes (N, 4); NaN rows do not count."""
    box = box[np.isfinite(box[:, 0])]
    side = side_of(box, width, height)
    corner = np.median(_middles(box, side), axis=0)[None] - side / 2
    return np.concatenate([_within(corner, side, width, height), [[side]]], 1)


def inside(box: np.ndarray, squares: np.ndarray, slack: float = 0.01) -> np.ndarray:
    """bool (N,): the whole of a face's points lies in its square, up to `slack` of its side; False without a face."""
    slack = slack * squares[:, 2]
    low = (box[:, :2] >= squares[:, :2] - slack[:, None]).all(1)
    high = (box[:, :2] + box[:, 2:] <= squares[:, :2] + (squares[:, 2] + slack)[:, None]).all(1)
    return np.isfinite(box[:, 0]) & low & high
