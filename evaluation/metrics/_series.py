"""Sums over time series that several metrics share: correlation, slope and Frechet distance."""

import numpy as np

from dyads.errors import DataError
from evaluation.frechet import frechet_distance

CONSTANT_SD = 0.01  # coefficient units; a probe reads a still picture with a jitter below this


class Undefined(Exception):
    """A value that does not exist, carrying the status for the result row."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


def require_frames(count: int, minimum: int) -> None:
    """Undefined `too_few_frames` if `count` < `minimum`."""
    if count < minimum:
        raise Undefined("too_few_frames")


def require_alike(*arrays: np.ndarray) -> None:
    """ValueError unless all arrays have one shape: numpy would stretch (T, 1) over (T, D) without a word."""
    shapes = {np.shape(array) for array in arrays}
    if len(shapes) > 1:
        raise ValueError(
            f"arrays of the shapes {', '.join(map(str, sorted(shapes)))} cannot be compared; give one shape"
        )


def require_finite(*arrays: np.ndarray) -> None:
    """Undefined `not_finite` if any array holds NaN or an infinity: comparisons with NaN are false, not missing."""
    if not all(np.isfinite(array).all() for array in arrays):
        raise Undefined("not_finite")


def pearson(a: np.ndarray, b: np.ndarray, *, constant_sd: float = 1e-8) -> float:
    """Pearson correlation of two (N, D) or (N,) arrays, each channel centred, then all channels pooled.

    A channel without variation adds nothing, so one still channel does not spoil the rest.
    Raises Undefined: fewer than 3 frames, or an array whose standard deviation is at most `constant_sd`.
    """
    a, b = _columns(a), _columns(b)
    require_frames(len(a), 3)
    a, b = a - a.mean(0), b - b.mean(0)
    spread_a, spread_b = np.sqrt(np.vdot(a, a) / a.size), np.sqrt(np.vdot(b, b) / b.size)
    if min(spread_a, spread_b) <= constant_sd:
        raise Undefined("constant_series")
    return float(np.clip(np.vdot(a, b) / a.size / (spread_a * spread_b), -1, 1))


def follows(generated: np.ndarray, target: np.ndarray) -> float:
    """How a generated series follows the one it should: `pearson`, and 0 where it stands still while the other moves.

    Without that 0 a method would be measured on the clips in which it moves, which are the easy ones.
    Raises Undefined: fewer than 3 frames, a target without variation, or a value that is not finite.
    """
    require_alike(generated, target)
    require_finite(generated, target)
    require_frames(len(target), 3)
    target_moves, moves = (_spread(series) > CONSTANT_SD for series in (target, generated))
    if target_moves and not moves:
        return 0.0
    return pearson(generated, target, constant_sd=CONSTANT_SD)


def _spread(series: np.ndarray) -> float:
    """Standard deviation over frames and channels, each channel centred."""
    series = _columns(series)
    return float(np.sqrt(np.square(series - series.mean(0)).mean()))


def slope(y: np.ndarray, x: np.ndarray, *, constant_sd: float = 1e-8) -> float:
    """Least-squares slope of `y` on `x`, both (N, D) or (N,), each channel centred, one slope for all channels.

    Raises Undefined: fewer than 3 frames, or `x` without variation.
    """
    y, x = _columns(y), _columns(x)
    require_frames(len(x), 3)
    y, x = y - y.mean(0), x - x.mean(0)
    if np.sqrt((x**2).mean()) <= constant_sd:
        raise Undefined("constant_series")
    return float((x * y).sum() / (x**2).sum())


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """Frechet distance of Gaussians fitted to two (N, D) or (N,); never negative.

    Raises Undefined: fewer than 2 samples, values that are not finite, or unequal counts, which bias differently.
    """
    a, b = _columns(a), _columns(b)
    require_frames(min(len(a), len(b)), 2)
    if len(a) != len(b):
        raise Undefined("length_mismatch")
    try:
        return frechet_distance(a, b)
    except DataError as error:  # shapes and counts are right already
        raise Undefined("not_finite") from error


def _columns(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    return values[:, None] if values.ndim == 1 else values
