"""Two methods on a set metric: jackknife, bootstrap and exchange of people, from the sums that `set_level` keeps.

The jackknife leaves one person out at a time, with all of that person's dialogues. It gives every (seed, person) a
pseudo-value, so that the same analysis as for metrics per clip (`stats.mean_crossed`) takes both seeds and people as
samples: what Dorfman, Berbaum and Metz (1992) do with the area under a curve, which has no value per case either.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from analysis import stats
from analysis.bootstrap import Interval, draw_counts
from analysis.people import LEAST_PEOPLE, numbered
from evaluation.readings.set_level import SetMetric

Pair = tuple[SetMetric, SetMetric]  # of one seed: the first method's and the second's
LEAST_DEFINED = 0.9  # of the resampled test sets


def shared(pairs: list[Pair]) -> list[str]:
    """Clips that every method and seed has."""
    found = set.intersection(*(set(metric.clips) for pair in pairs for metric in pair)) if pairs else set()
    return [clip for clip in pairs[0][0].clips if clip in found] if pairs else []


def restricted(metric: SetMetric, clips: list[str]) -> SetMetric:
    """The same metric of fewer clips."""
    rows = [metric.clips.index(clip) for clip in clips]
    return replace(metric, clips=tuple(clips), cells=metric.cells[rows])


def common(pairs: list[Pair]) -> list[Pair]:
    """All pairs on the clips that they share."""
    clips = shared(pairs)
    return [tuple(restricted(metric, clips) for metric in pair) for pair in pairs]


def difference(pair: Pair, weights: np.ndarray) -> np.ndarray:
    """First minus second at weights (n, clips): (n,)."""
    return pair[0].at(weights) - pair[1].at(weights)


def whole_set(pairs: list[Pair]) -> np.ndarray:
    """The difference of the whole test set, by seed."""
    return np.array([difference(pair, np.ones(len(pair[0].clips)))[0] for pair in pairs])


def plain(pairs: list[Pair]) -> float:
    """The difference of the whole test set, mean over seeds."""
    return float(np.mean(whole_set(pairs))) if pairs else math.nan


def pseudo_values(pairs: list[Pair], people: Sequence[str] | None = None) -> np.ndarray:
    """(seeds, people): what each person adds to the whole set's difference, by leaving that person's clips out.

    With as many clips of everyone, P times the whole minus P - 1 times the rest; with unequal numbers each person
    counts by its share (Busing, Meijer and van der Leeden 1999), so that a mean has `people.by_person`'s values.
    `people`: one per clip, None where each clip is somebody else's. NaN where leaving one out leaves it undefined.
    """
    tables = []
    for pair in pairs:
        owner = numbered(pair[0].clips if people is None else people)
        whole, without = difference(pair, np.ones(len(owner)))[0], difference(pair, 1.0 - owner.T)
        tables.append(whole + owner.shape[1] * (1 - owner.mean(0)) * (whole - without))
    return np.array(tables) if tables else np.empty((0, 0))


def crossed(
    pairs: list[Pair],
    people: Sequence[str] | None = None,
    trainings: Sequence[int] | None = None,
    given: bool = False,
) -> stats.Mean:
    """`stats.mean_people` of the pseudo-values, around the difference that the tables show.

    `trainings`: which set of backbones each seed belongs to, see `stats.nested`; `given`: one output of both methods is
    given, so that people alone are the sample.
    """
    values = pseudo_values(pairs, people)
    mean = stats.mean_people(stats.nested(values, trainings), given)
    if mean.status != stats.OK:
        return mean
    estimate = float(stats.nested(whole_set(pairs)[:, None], trainings).mean())
    square = mean.error**2 + luck(pairs)
    return replace(mean, estimate=estimate, error=math.sqrt(square), share=mean.share * mean.error**2 / square)


def luck(pairs: list[Pair]) -> float:
    """Variance of the difference that the draws inside a metric leave (`SetMetric.draws`), shared by all seeds."""
    if any(metric.draws is None for pair in pairs for metric in pair):
        return 0.0
    totals = [[metric.draws(metric.cells.sum(0)[None])[0] for metric in pair] for pair in pairs]
    found = np.mean([one - other for one, other in totals], axis=0)
    return float(found.var(ddof=1) / len(found))


def bootstrap(
    pairs: list[Pair],
    people: Sequence[str] | None = None,
    level: float = 0.95,
    draws: int = 1000,
    seed: int = 0,
    given: bool = False,
    trainings: Sequence[int] | None = None,
) -> Interval:
    """Percentile interval of the difference, drawing seeds, people and their dialogues with replacement; of one seed
    only where it is `given`. Seeds that share their backbones (`trainings`) are drawn together, as one."""
    if not pairs or len(pairs[0][0].clips) < 2:
        return Interval("too_few_pairs")
    if len(pairs) == 1 and not given:
        return Interval("one_seed")
    clips = pairs[0][0].clips
    whole = stats.nested(whole_set(pairs)[:, None], trainings)
    of_seed, of_clip = draw_counts(len(whole), list(clips) if people is None else people, draws, seed)
    values = stats.nested(np.array([difference(pair, of_clip) for pair in pairs]), trainings)  # (seeds, draws)
    means = (of_seed.T * values).sum(0) / len(whole)
    means = means[np.isfinite(means)]
    if len(means) < LEAST_DEFINED * draws:
        return Interval("undefined_draws")
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(stats.OK, float(whole.mean()), float(low), float(high))


def exchange(pairs: list[Pair], people: Sequence[str] | None = None, flips: int = 999, seed: int = 0) -> float:
    """Two-sided p under exchange of the two methods' clips: all of a person change sides, in every seed at once.

    It speaks of these trainings, as a permutation test over people does for metrics per clip. NaN if undefined.
    """
    owner = numbered((pairs[0][0].clips if people is None else people) if pairs else [])
    if not pairs or owner.shape[1] < LEAST_PEOPLE:
        return math.nan
    swap = np.random.default_rng(seed).integers(0, 2, (flips, owner.shape[1])).astype(np.float64) @ owner.T
    found = np.zeros(flips)
    for first, second in pairs:
        mine, theirs = (1 - swap) @ first.cells + swap @ second.cells, swap @ first.cells + (1 - swap) @ second.cells
        found += (first.of(mine) - second.of(theirs)) / len(pairs)
    own = abs(plain(pairs))
    if not (math.isfinite(own) and np.isfinite(found).all()):
        return math.nan
    return float(((np.abs(found) >= own - 1e-12 * max(own, 1.0)).sum() + 1) / (flips + 1))
