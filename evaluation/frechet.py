"""The Frechet distance between Gaussians, exact and in real numbers, from samples or from streamed moments.

d² = |μ_a - μ_b|² + tr Σ_a + tr Σ_b - 2 tr (Σ_a Σ_b)^½, in squared units of the samples (Dowson & Landau 1982; as FID,
Heusel et al. 2017). Covariances divide by N - 1. Nothing here returns NaN: what has no distance raises DataError.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from dyads.errors import ConfigError, DataError

FRACTIONS = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)  # of all samples; smaller ones leave the straight line in 1/N
MINIMUM_UNITS = 10  # to extrapolate: the smallest subset then has 4 samples, or groups of them


@dataclass(frozen=True, eq=False)
class Moments:
    """What a Gaussian needs of a stream: count, mean (D,) and M2 (D, D), the summed outer products of deviations.

    float64; numpy arrays or torch tensors, for `merge` only calculates.
    """

    count: int
    mean: Any
    m2: Any

    @property
    def covariance(self) -> Any:
        """M2 / (N - 1), (D, D). DataError below 2 samples."""
        if self.count < 2:
            raise DataError(f"a covariance needs at least 2 samples, got {self.count}; give more.")
        return self.m2 / (self.count - 1)


@dataclass(frozen=True)
class Estimate:
    """A distance with its count, samples of the smaller side, and what is left of it without the bias of that count.

    `extrapolation` is unbiased to first order, hence below zero now and then for equal distributions.
    """

    distance: float
    count: int
    extrapolation: float


def moments(samples: np.ndarray) -> Moments:
    """Moments of samples (N, D), N >= 0. DataError if a value is not finite."""
    samples = _samples(samples)
    if not len(samples):
        return Moments(0, np.zeros(samples.shape[1]), np.zeros((samples.shape[1],) * 2))
    return sample_moments(samples)


def sample_moments(samples: Any) -> Moments:
    """Moments of a float64 array or tensor (N, D), N >= 1, taken as it is: what is not finite stays so."""
    mean = samples.mean(0)
    centred = samples - mean
    return Moments(len(samples), mean, centred.T @ centred)


def merge(a: Moments, b: Moments) -> Moments:
    """Moments of two streams together (Chan, Golub & LeVeque 1983): no large sums to subtract, in any order."""
    if a.mean.shape != b.mean.shape:
        raise DataError(f"samples of {len(a.mean)} and {len(b.mean)} dimensions cannot be merged.")
    if not (a.count and b.count):
        return a if a.count else b
    count = a.count + b.count
    step = b.mean - a.mean
    m2 = a.m2 + b.m2 + step[:, None] * step * (a.count * b.count / count)
    return Moments(count, a.mean + step * (b.count / count), m2)


def accumulate(batches: Iterable[np.ndarray]) -> Moments:
    """Moments of batches (N_i, D), one in memory at a time. DataError if there is no batch."""
    batches = map(moments, batches)
    first = next(batches, None)
    if first is None:
        raise DataError("no batch of samples was given; a Gaussian needs at least 2 samples.")
    return reduce(merge, batches, first)


def frechet_distance(a: np.ndarray, b: np.ndarray, *, unequal_counts: bool = False) -> float:
    """Distance of the Gaussians of samples (N, D) and (M, D), at least 2 each, N = M unless `unequal_counts`.

    With fewer samples than dimensions the cost is N M D instead of D³, and no (D, D) matrix is made.
    """
    a, b = _samples(a), _samples(b)
    _require_comparable(len(a), len(b), unequal_counts)
    if a.shape[1] == b.shape[1] and min(len(a), len(b)) < a.shape[1]:
        return thin_distance(a, b)
    return moments_distance(moments(a), moments(b), unequal_counts=True)


def moments_distance(a: Moments, b: Moments, *, unequal_counts: bool = False) -> float:
    """As `frechet_distance`, of numpy moments; costs D³ whatever the count."""
    _require_comparable(a.count, b.count, unequal_counts)
    return gaussian_distance(a.mean, a.covariance, b.mean, b.covariance)


def thin_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Distance of samples (N, D) and (M, D), whatever their counts, by the singular values of an (N, M) matrix.

    With A and B the centred samples over √(N - 1) and √(M - 1), tr (Σ_a Σ_b)^½ is the nuclear norm of A Bᵀ. Exact
    for any N and M; cheap where one of them is below D.
    """
    a, b = _samples(a), _samples(b)
    _require_comparable(len(a), len(b), True)
    _require_same_dimensions(a.shape[1:], b.shape[1:])
    mean_a, mean_b = a.mean(0), b.mean(0)
    a, b = (a - mean_a) / np.sqrt(len(a) - 1), (b - mean_b) / np.sqrt(len(b) - 1)
    cross = _finite(a @ b.T)
    spread = np.square(a).sum() + np.square(b).sum()
    return _distance(mean_a - mean_b, spread, np.linalg.svd(cross, compute_uv=False).sum())


def gaussian_distance(mean_a: np.ndarray, cov_a: np.ndarray, mean_b: np.ndarray, cov_b: np.ndarray) -> float:
    """Distance of two known Gaussians: means (D,), symmetric positive semi-definite covariances (D, D) of any rank."""
    mean_a, cov_a, mean_b, cov_b = (_finite(np.asarray(x, np.float64)) for x in (mean_a, cov_a, mean_b, cov_b))
    _require_same_dimensions(mean_a.shape, mean_b.shape)
    if cov_a.shape != mean_a.shape * 2 or cov_b.shape != mean_a.shape * 2:
        raise DataError(f"covariances of shape {cov_a.shape} and {cov_b.shape} do not fit means of {mean_a.shape}.")
    root = _root(cov_a)
    # Σ_a = R Rᵀ, and Σ_a Σ_b has the eigenvalues of Rᵀ Σ_b R, which is symmetric
    cross = np.sqrt(np.linalg.eigvalsh(_finite(root.T @ cov_b @ root)).clip(0)).sum()
    return _distance(mean_a - mean_b, np.trace(cov_a) + np.trace(cov_b), cross)


def _root(covariance: np.ndarray) -> np.ndarray:
    """R (D, r) with R Rᵀ = Σ: Cholesky's factor, or without full rank, at twice the cost, scaled eigenvectors."""
    try:
        return np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(covariance)
    kept = values > values[-1].clip(0) * len(values) * np.finfo(float).eps  # the rest is rounding, and its root is not
    return vectors[:, kept] * np.sqrt(values[kept])


def extrapolate(
    a: np.ndarray,
    b: np.ndarray,
    *,
    generator: np.random.Generator,
    groups: np.ndarray | None = None,
    unequal_counts: bool = False,
    draws: int = 4,
) -> Estimate:
    """The distance of samples (N, D) and (M, D), its count, and its extrapolation to infinitely many samples.

    After Chong & Forsyth 2020 (FID infinity): the distance of random subsets of several sizes, `draws` of each, is a
    straight line in 1/N; the estimate is where it meets 1/N = 0. Both sides shrink together, with the same rows where
    counts are equal, since frames of one dialogue are paired. The line bends, and the estimate with it, where N is
    not above D.

    Frames of one clip are alike: with single frames drawn, most of the bias of few clips stays. `groups` (N,), the
    clip of each row of both arrays, draws whole clips instead.
    """
    a, b = _samples(a), _samples(b)
    if draws < 1:
        raise ConfigError(f"draws is {draws}, but each size needs at least one subset.")
    distance = frechet_distance(a, b, unequal_counts=unequal_counts)
    if groups is not None and not len(a) == len(b) == len(groups):
        raise DataError(f"groups of {len(groups)} rows do not fit samples of {len(a)} and {len(b)} rows.")
    names = None if groups is None else np.unique(groups)
    units = min(len(a), len(b)) if names is None else len(names)
    if units < MINIMUM_UNITS:
        raise DataError(f"an extrapolation needs at least {MINIMUM_UNITS} samples or groups, got {units}.")
    inverse_shares, distances = [], []
    by_group = _by_group(a, b, groups, names)
    for fraction in FRACTIONS:
        found = [distance]
        if fraction < 1:
            chosen = [_subset(len(a), len(b), fraction, names, generator) for _ in range(draws)]
            if by_group:
                found = [
                    moments_distance(*(reduce(merge, (side[c] for c in own)) for side in by_group)) for own in chosen
                ]
            else:
                rows = [_rows(own, groups) for own in chosen]
                found = [frechet_distance(a[i], b[j], unequal_counts=unequal_counts) for i, j in rows]
        inverse_shares.append(units / round(fraction * units))
        distances.append(np.mean(found))
    _, intercept = np.polyfit(inverse_shares, distances, 1)
    return Estimate(distance, min(len(a), len(b)), float(intercept))


def _by_group(a: np.ndarray, b: np.ndarray, groups, names) -> tuple[dict, dict] | None:
    """Moments of both sides by group, so that no subset is summed anew; None where subsets may have too few samples."""
    if groups is None:
        return None
    _, counts = np.unique(groups, return_counts=True)
    fewest = np.sort(counts)[: round(FRACTIONS[0] * len(names))].sum()
    if fewest < a.shape[1] or a.shape[1] != b.shape[1]:  # `thin_distance` is the cheap one
        return None
    return tuple({name: sample_moments(side[groups == name]) for name in names} for side in (a, b))


def _rows(chosen, groups) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers of both sides, of chosen groups or of pairs of rows."""
    if groups is None:
        return chosen
    rows = np.flatnonzero(np.isin(groups, chosen))
    return rows, rows


def _subset(n: int, m: int, fraction: float, names, generator):
    """A random share of the groups, or row numbers of each side, the same of both if they are equally long."""
    if names is not None:
        return generator.choice(names, round(fraction * len(names)), replace=False)
    rows = generator.permutation(n)[: round(fraction * n)]
    return rows, rows if n == m else generator.permutation(m)[: round(fraction * m)]


def _distance(shift: np.ndarray, spread: float, cross: float) -> float:
    """|shift|² + spread - 2 cross; rounding may leave -1e-12, which becomes 0."""
    return float(max(_finite(shift @ shift + spread - 2 * cross), 0.0))


def _samples(samples: np.ndarray) -> np.ndarray:
    samples = np.asarray(samples, np.float64)
    if samples.ndim != 2 or not samples.shape[1]:
        raise DataError(f"samples of shape {samples.shape} are not (count, dimensions).")
    return _finite(samples)


def _finite(values: Any) -> Any:
    if not np.isfinite(values).all():
        raise DataError("a value is not finite or overflowed; a distance needs finite samples and moments.")
    return values


def _require_same_dimensions(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    if len(a) != 1 or a != b or not a[0]:
        raise DataError(f"means of shape {a} and {b} have no distance; give two of the same dimension.")


def _require_comparable(n: int, m: int, unequal_counts: bool) -> None:
    if min(n, m) < 2:
        raise DataError(f"a Frechet distance needs at least 2 samples on each side, got {n} and {m}.")
    if n != m and not unequal_counts:
        raise DataError(
            f"{n} and {m} samples bias the distance differently; take equal counts, or ask for unequal_counts=True."
        )
