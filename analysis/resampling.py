"""Two methods on a set metric: jackknife, bootstrap and exchange of clips, from the sums that `set_level` keeps.

The jackknife gives every (seed, dialogue) a pseudo-value, so that the same analysis as for metrics per clip
(`stats.mean_crossed`) takes both seeds and dialogues as samples: what Dorfman, Berbaum and Metz (1992) do with the area
under a curve, which has no value per case either.
"""

import math
from dataclasses import replace

import numpy as np

from analysis import stats
from analysis.bootstrap import Interval, draw_counts
from evaluation.readings.set_level import SetMetric

Pair = tuple[SetMetric, SetMetric]  # of one seed: the first method's and the second's


def shared(pairs: list[Pair]) -> list[str]:
    """Clips that every method and seed has."""
    found = set.intersection(*(set(metric.clips) for pair in pairs for metric in pair)) if pairs else set()
    return [clip for clip in pairs[0][0].clips if clip in found] if pairs else []


def restricted(metric: SetMetric, clips: list[str]) -> SetMetric:
    """The same metric of fewer clips."""
    rows = [metric.clips.index(clip) for clip in clips]
    return SetMetric(tuple(clips), metric.cells[rows], metric.value, metric.truth)


def common(pairs: list[Pair]) -> list[Pair]:
    """All pairs on the clips that they share."""
    clips = shared(pairs)
    return [tuple(restricted(metric, clips) for metric in pair) for pair in pairs]


def difference(pair: Pair, weights: np.ndarray) -> np.ndarray:
    """First minus second at weights (n, clips): (n,)."""
    return pair[0].at(weights) - pair[1].at(weights)


def plain(pairs: list[Pair]) -> float:
    """The difference of the whole test set, mean over seeds."""
    return float(np.mean([difference(pair, np.ones(len(pair[0].clips)))[0] for pair in pairs])) if pairs else math.nan


def pseudo_values(pairs: list[Pair]) -> np.ndarray:
    """(seeds, clips): n times the whole set's difference minus n - 1 times the one without the clip.

    NaN where leaving the clip out leaves the metric undefined.
    """
    tables = []
    for pair in pairs:
        n = len(pair[0].clips)
        whole, without = difference(pair, np.ones(n))[0], difference(pair, 1.0 - np.eye(n))
        tables.append(n * whole - (n - 1) * without)
    return np.array(tables) if tables else np.empty((0, 0))


def crossed(pairs: list[Pair]) -> stats.Mean:
    """`stats.mean_crossed` of the pseudo-values, around the difference that the tables show."""
    mean = stats.mean_crossed(pseudo_values(pairs))
    if mean.status != stats.OK:
        return mean
    return replace(mean, estimate=plain(pairs))


def bootstrap(
    pairs: list[Pair], identities: list[str] | None = None, level: float = 0.95, draws: int = 1000, seed: int = 0
) -> Interval:
    """Percentile interval of the difference, drawing seeds, identities and their dialogues with replacement."""
    if len(pairs) < 2 or len(pairs[0][0].clips) < 2:
        return Interval("one_seed" if len(pairs) == 1 else "too_few_pairs")
    clips = pairs[0][0].clips
    of_seed, of_clip = draw_counts(len(pairs), list(clips) if identities is None else identities, draws, seed)
    values = np.array([difference(pair, of_clip) for pair in pairs])  # (seeds, draws)
    means = (of_seed.T * values).sum(0) / len(pairs)
    means = means[np.isfinite(means)]
    if len(means) < 0.9 * draws:
        return Interval("undefined_draws")
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(stats.OK, plain(pairs), float(low), float(high))


def exchange(pairs: list[Pair], flips: int = 999, seed: int = 0) -> float:
    """Two-sided p under exchange of the two methods' clips: a dialogue changes sides in every seed at once.

    It speaks of these trainings, as a permutation test over dialogues does for metrics per clip. NaN if undefined.
    """
    if not pairs or len(pairs[0][0].clips) < 6:
        return math.nan
    swap = np.random.default_rng(seed).integers(0, 2, (flips, len(pairs[0][0].clips))).astype(np.float64)
    found = np.zeros(flips)
    for first, second in pairs:
        mine, theirs = (1 - swap) @ first.cells + swap @ second.cells, swap @ first.cells + (1 - swap) @ second.cells
        found += (first.of(mine) - second.of(theirs)) / len(pairs)
    own = abs(plain(pairs))
    if not (math.isfinite(own) and np.isfinite(found).all()):
        return math.nan
    return float(((np.abs(found) >= own - 1e-12 * max(own, 1.0)).sum() + 1) / (flips + 1))
