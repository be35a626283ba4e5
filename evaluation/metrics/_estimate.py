"""A Frechet distance of the set as it is reported: with its count, and without the bias of that count."""

from collections.abc import Callable, Collection, Iterator

import numpy as np

from dyads.errors import DataError
from dyads.seeding import rng
from evaluation.cards import Value, count_part, extrapolated_part, undefined
from evaluation.frechet import FRACTIONS, MINIMUM_UNITS, Moments, extrapolate, merge, moments, moments_distance
from evaluation.metrics._series import Undefined, frechet, require_frames
from evaluation.metrics._sums import ByClip

PROTOCOL = (
    "<part>_count: the samples on each side; <part>_extrapolated: the distance at infinitely many clips, by the "
    "straight line in 1/N through random subsets of whole clips (FID infinity, Chong & Forsyth 2020; from "
    f"{MINIMUM_UNITS} clips on, and only with more clips than dimensions: with fewer the bias is no straight line), "
    "unbiased to first order, hence below zero now and then"
)
LARGE = 512  # dimensions from which one subset of each size must do
FEW = 4  # samples a dimension up to which they are simply all in memory: so few cost no more than a covariance

Samples = Collection[np.ndarray]  # (N_i, D) by clip, gone through more than once


def more_than_dimensions(dimensions: int) -> int:
    """Samples below which a covariance has no full rank."""
    return dimensions + 1


def no_estimate(metric: str, part: str, status: str) -> Iterator[Value]:
    """The three rows of a part that there is nothing to compute from."""
    yield from (undefined(metric, name, status) for name in (part, count_part(part), extrapolated_part(part)))


def estimate(
    metric: str, part: str, generated: Samples, true: Samples, least: Callable[[int], int] = lambda dimensions: 2
) -> Iterator[Value]:
    """The three rows of a part; below `least(D)` samples there is no distance.

    What has no distance has no extrapolation either; the count is there all the same. Memory does not grow with the
    clips: from `FEW` samples a dimension on only moments are kept, of all clips and of each subset.
    """
    counts = [sum(len(samples) for samples in side) for side in (generated, true)]
    dimensions = next(iter(true)).shape[1]
    units, names = len(true), (part, extrapolated_part(part))
    yield Value(metric, count_part(part), float(counts[1]))
    many = units >= MINIMUM_UNITS and units > dimensions
    # the same subsets for every method, whose distances can then be compared
    generator = rng(0, "evaluation.extrapolate", metric, part)
    draws = 1 if dimensions >= LARGE else 4
    try:
        require_frames(min(counts), least(dimensions))
        if max(counts) <= FEW * dimensions:
            distance, infinite = _of_few(generated, true, generator if many else None, draws)
        else:
            distance, infinite = _of_moments(generated, true, counts, generator if many else None, draws)
    except Undefined as failure:
        yield from (undefined(metric, name, failure.status) for name in names)
        return
    yield Value(metric, part, distance)
    yield Value(metric, names[1], infinite) if many else undefined(metric, names[1], "too_few_clips")


def _of_few(
    generated: Samples, true: Samples, generator: np.random.Generator | None, draws: int
) -> tuple[float, float]:
    """Distance and extrapolation (NaN without a generator) from all samples at once."""
    groups = np.repeat(np.arange(len(true)), [len(samples) for samples in true])
    sides = np.concatenate([*generated]), np.concatenate([*true])
    distance = frechet(*sides)
    if generator is None:
        return distance, np.nan
    return distance, extrapolate(*sides, generator=generator, groups=groups, draws=draws).extrapolation


def _moments(side: Samples) -> Iterator[Moments]:
    return side.moments() if isinstance(side, ByClip) else map(moments, side)


def _of_moments(
    generated: Samples, true: Samples, counts: list[int], generator: np.random.Generator | None, draws: int
) -> tuple[float, float]:
    """As `_of_few`, from the moments of one clip after the other."""
    if counts[0] != counts[1]:
        raise Undefined("length_mismatch")
    units = len(true)
    sizes = [round(fraction * units) for fraction in FRACTIONS if fraction < 1] if generator is not None else []
    subsets = [generator.choice(units, size, replace=False) for size in sizes for _ in range(draws)]
    member = np.zeros((1 + len(subsets), units), bool)
    member[0] = True
    for chosen, row in zip(subsets, member[1:], strict=True):
        row[chosen] = True
    sums: list[tuple[Moments, Moments] | None] = [None] * len(member)
    try:
        for unit, own in enumerate(zip(_moments(generated), _moments(true), strict=True)):
            for k in np.flatnonzero(member[:, unit]):
                before = sums[k]
                sums[k] = own if before is None else tuple(merge(*both) for both in zip(before, own, strict=True))
        whole, *parts = (moments_distance(*both, unequal_counts=True) for both in sums)
    except DataError as error:  # shapes and counts are right already
        raise Undefined("not_finite") from error
    if generator is None:
        return whole, np.nan
    shares = [units / size for size in sizes] + [1.0]
    distances = [*np.reshape(parts, (len(sizes), draws)).mean(1), whole]
    return whole, float(np.polyfit(shares, distances, 1)[1])
