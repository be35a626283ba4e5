"""A Frechet distance of the set as it is reported: with its count, and without the bias of that count."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from dyads.seeding import rng
from evaluation.cards import Value, count_part, extrapolated_part, undefined
from evaluation.frechet import MINIMUM_UNITS, extrapolate
from evaluation.metrics._series import Undefined

PROTOCOL = (
    "<part>_count: the samples on each side; <part>_extrapolated: the distance at infinitely many clips, by the "
    "straight line in 1/N through random subsets of whole clips (FID infinity, Chong & Forsyth 2020; from "
    f"{MINIMUM_UNITS} clips on, and only with more clips than dimensions: with fewer the bias is no straight line), "
    "unbiased to first order, hence below zero now and then"
)
LARGE = 512  # dimensions from which one subset of each size must do


def no_estimate(metric: str, part: str, status: str) -> Iterator[Value]:
    """The three rows of a part that there is nothing to compute from."""
    yield from (undefined(metric, name, status) for name in (part, count_part(part), extrapolated_part(part)))


def estimate(
    metric: str,
    part: str,
    generated: Sequence[np.ndarray],
    true: Sequence[np.ndarray],
    distance: Callable[[np.ndarray, np.ndarray], float],
) -> Iterator[Value]:
    """The three rows of a part, of samples (N_i, D) by clip; `distance` of all of them, (N, D) each, may be Undefined.

    What has no distance has no extrapolation either; the count is there all the same.
    """
    sides = np.concatenate(generated), np.concatenate(true)
    yield Value(metric, count_part(part), float(len(sides[1])))
    try:
        yield Value(metric, part, distance(*sides))
    except Undefined as failure:
        yield from (undefined(metric, name, failure.status) for name in (part, extrapolated_part(part)))
        return
    if len(true) < MINIMUM_UNITS or len(true) <= sides[1].shape[1]:
        yield undefined(metric, extrapolated_part(part), "too_few_clips")
        return
    groups = np.repeat(np.arange(len(true)), [len(samples) for samples in true])
    # the same subsets for every method, whose distances can then be compared
    generator = rng(0, "evaluation.extrapolate", metric, part)
    draws = 1 if sides[1].shape[1] >= LARGE else 4
    found = extrapolate(*sides, generator=generator, groups=groups, draws=draws)
    yield Value(metric, extrapolated_part(part), found.extrapolation)
