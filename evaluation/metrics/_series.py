"""Sums over time series that several metrics share: correlation, slope and Frechet distance."""

import numpy as np

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


def pearson(a: np.ndarray, b: np.ndarray, *, constant_sd: float = 1e-8) -> float:
    """Pearson correlation of two (N, D) or (N,) arrays, each channel centred, then all channels pooled.

    A channel without variation adds nothing, so one still channel does not spoil the rest.
    Raises Undefined: fewer than 3 frames, or an array whose standard deviation is at most `constant_sd`.
    """
    a, b = _columns(a), _columns(b)
    require_frames(len(a), 3)
    a, b = a - a.mean(0), b - b.mean(0)
    spread_a, spread_b = np.sqrt((a**2).mean()), np.sqrt((b**2).mean())
    if min(spread_a, spread_b) <= constant_sd:
        raise Undefined("constant_series")
    return float(np.clip((a * b).mean() / (spread_a * spread_b), -1, 1))


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
    """Frechet distance of Gaussians fitted to (N, D) and (M, D); covariance with N - 1; never negative.

    The trace of the matrix root is taken by symmetric eigenvalues, which stays real on singular covariances.
    """
    a, b = _columns(a), _columns(b)
    require_frames(min(len(a), len(b)), 2)
    cov_a, cov_b = np.atleast_2d(np.cov(a, rowvar=False)), np.atleast_2d(np.cov(b, rowvar=False))
    values, vectors = np.linalg.eigh(cov_a)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ cov_b @ root).clip(0)).sum()
    shift = ((a.mean(0) - b.mean(0)) ** 2).sum()
    return float(max(shift + np.trace(cov_a) + np.trace(cov_b) - 2 * cross, 0.0))


def _columns(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    return values[:, None] if values.ndim == 1 else values
