"""Two methods on one metric, paired by dialogue and seed: from result rows, and for set metrics from probe readings."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from analysis import people, resampling, stats
from analysis.bootstrap import Interval, hierarchical_bootstrap
from evaluation.cards import OK, count_part, truth_part
from evaluation.readings.by_row import Readings, for_every_seed
from evaluation.readings.set_level import SetMetric
from evaluation.registry import cards
from evaluation.rows import WHOLE_SET

BASES = {
    "clips": "values per dialogue; seeds and people are samples",
    "set": "value of the whole set; seeds and people are samples, by the jackknife over people",
    "seeds": "value of the whole set; seeds are samples, the test set is taken as it is",
}


@dataclass(frozen=True)
class Compared:
    """First minus second method; see `stats` for the parts. `basis` of `BASES`; `about`: over what it generalises.

    `dialogues`: those with a value of every seed of both methods; `total`: those in which any row has a value.
    """

    status: str
    basis: Literal["clips", "set", "seeds"] = "clips"
    mean: stats.Mean = stats.Mean(0, 0, "too_few_pairs")
    rank: stats.Paired = stats.Paired(0, "too_few_pairs")
    boot: Interval = Interval("too_few_pairs")
    dialogues: int = 0
    total: int = 0
    about: str = ""


def compare(
    rows: pd.DataFrame,
    metric: str,
    part: str,
    methods: tuple[str, str],
    readings: Readings,
    resample: bool = True,
) -> Compared:
    """Methods on a metric's part, by the value that tables print of each training.

    Where nearer to the truth is better, that is |value - the truth's own value|, of the mean over dialogues. No
    comparison without `people.enough` of dialogues with a value of every seed of both.

    Args:
        rows: tidy result rows, of all methods: a dialogue counts as measurable where any of them has a value.
        resample: also the bootstrap and the permutation test, which cost seconds for set metrics.
    """
    card = cards()[metric]
    rows = rows[(rows["metric"] == metric) & ((rows["clip"] == WHOLE_SET) == (card.per == "set"))]
    own, readings = beside_every_seed(rows[rows["method"].isin(methods)], methods, readings)
    counts = own.loc[own["part"] == count_part(part), "value"] if card.estimate else own["value"].iloc[:0]
    if counts.nunique() > 1:  # the bias of a Frechet distance depends on its count
        return Compared("unequal_counts", "seeds")
    grids, status = values_of(own, part, methods)
    if status != OK:
        return Compared(status, "clips" if card.per == "clip" else "seeds")
    truth = _truth(own, part) if card.direction == "truth" else None
    table = grids[0] - grids[1]
    if truth is not None:
        table = table.where(truth.reindex_like(table).notna())
    table = table.loc[grids[0].index.intersection(grids[1].index)]  # a seed that one of them was not run with
    seeds, whole = list(table.index), not table.isna().any(axis=None)
    table = table.dropna(axis=1)  # a dialogue that one of them lacks, in any seed: one that failed whole is no way out
    if card.per == "clip":
        total = rows.loc[(rows["part"] == part) & rows["value"].notna(), "clip"].nunique()
        return _by_clip(table, grids, truth, total, readings, resample, readings.are_given(methods))
    if not whole:
        lack = stats.Mean(len(seeds), 1, "too_few_values")
        return Compared(OK, "seeds", lack, stats.Paired(1, lack.status), Interval(lack.status), total=1)
    pairs = [tuple(readings.set_metric(method, seed, metric, part) for method in methods) for seed in seeds]
    if pairs and all(None not in pair for pair in pairs):
        return _by_set(pairs, seeds, readings, resample, readings.are_given(methods))
    if truth is not None:
        table = (grids[0] - truth).abs() - (grids[1] - truth).abs()
    mean = stats.mean_crossed(stats.nested(table.loc[seeds].to_numpy(float), readings.backbones(seeds)))
    about = readings.about("seeds", seeds, readings.are_given(methods))
    return Compared(OK, "seeds", mean, dialogues=1, total=1, about=about)


def _by_clip(
    table: pd.DataFrame,
    grids: list[pd.DataFrame],
    truth: pd.DataFrame | None,
    total: int,
    readings: Readings,
    resample: bool,
    given: bool,
) -> Compared:
    """`table`: differences without holes; `truth`: the truth's own values, where nearness to them is better; `given`:
    one output of both methods is given, so that people alone are the sample."""
    seeds, clips = list(table.index), list(table.columns)
    who, trainings = readings.identities(clips), readings.backbones(seeds)
    known = {"dialogues": len(clips), "total": total, "about": readings.about("clips", seeds, given)}
    lack = people.enough(len(clips), total, len(set(who)))
    if lack:
        few = {"mean": stats.Mean(len(seeds), len(set(who)), lack), "rank": stats.Paired(len(set(who)), lack)}
        return Compared(OK, "clips", **few, boot=Interval(lack), **known)
    boot, flips = Interval("not_asked"), 9999 if resample else 999
    if truth is not None:
        sides = [[grid.loc[seeds, clips].to_numpy(float), truth.loc[seeds, clips].to_numpy(float)] for grid in grids]
        pairs = [tuple(_mean_distance(clips, value[k], true[k]) for value, true in sides) for k in range(len(seeds))]
        one, other = (np.abs(people.means(value - true, who)) for value, true in sides)
        rank = stats.compare(stats.nested(one - other, trainings).mean(axis=0), flips=flips)
        boot = resampling.bootstrap(pairs, who, given=given, trainings=trainings) if resample else boot
        return Compared(OK, "clips", resampling.crossed(pairs, who, trainings, given), rank, boot, **known)
    cells = table.to_numpy(float)
    mean = stats.mean_people(stats.nested(people.by_person(cells, who), trainings), given)
    rank = stats.compare(stats.nested(people.means(cells, who), trainings).mean(axis=0), flips=flips)
    boot = hierarchical_bootstrap(stats.nested(cells, trainings), who, given=given) if resample else boot
    return Compared(OK, "clips", mean, rank, boot, **known)


def are_level(
    rows: pd.DataFrame, readings: Readings, metric: str, part: str, pair: tuple[str, str], alpha: float = 0.05
) -> bool:
    """Whether people cannot tell two controls apart: 0 lies in the interval of their difference. Too few never do."""
    given = replace(readings, given=readings.given | set(pair))
    found = compare(rows, metric, part, pair, given, resample=False)
    if found.status != OK or found.mean.status != OK:
        return False
    low, high = stats.limits(found.mean, 1 - alpha)
    return low <= 0 <= high


def compare_swaps(
    part: str,
    methods: tuple[str, str],
    of: tuple[str, str],
    readings: Readings,
    metric: Callable[[Path, Path, str], SetMetric],
    resample: bool = True,
) -> Compared:
    """What changes when an input is exchanged: two rows, each against the row `of` which it has the weights.

    `metric`: of the readings of a row and of its own (`swap_table.change_metric`). A row with one seed, which learns
    nothing, stands against every seed of the other; where rows are `given`, only one of them.
    """
    pairs, owned = [], [sorted(seed for name, seed in readings.files if name == method) for method in methods]
    for method, seeds in zip((*methods, *of), (*owned, *owned), strict=True):
        if not any(name == method and path.exists() for (name, _), path in readings.files.items()):
            return Compared(f"{'not_run' if not seeds else 'no_readings'}: {method}", "set")
    fixed = readings.given or set(methods)  # who says which rows no seed changes means no others by it
    single = [len(seeds) == 1 and method in fixed for method, seeds in zip(methods, owned, strict=True)]
    common = owned[single[0]] if any(single) else sorted(set(owned[0]) & set(owned[1]))
    for seed in common:
        own = [seeds[0] if alone else seed for seeds, alone in zip(owned, single, strict=True)]
        files = [(readings.files[m, s], readings.files.get((o, s))) for m, o, s in zip(methods, of, own, strict=True)]
        if any(base is None or not base.exists() for _, base in files):
            return Compared("no_common_pairs", "set")
        pairs.append(tuple(metric(swapped, base, part) for swapped, base in files))
    return _by_set(pairs, common, readings, resample, False) if pairs else Compared("no_common_pairs", "set")


def _mean_distance(clips: list[str], values: np.ndarray, truth: np.ndarray) -> SetMetric:
    """|mean value - mean of the truth's own| over dialogues (N,), as sums."""
    cells = np.stack([np.ones(len(values)), values, truth], axis=1)

    def mean(column: int) -> Callable[[np.ndarray], np.ndarray]:
        def of(totals: np.ndarray) -> np.ndarray:
            with np.errstate(invalid="ignore", divide="ignore"):
                return totals[:, column] / totals[:, 0]

        return of

    return SetMetric(tuple(clips), cells, mean(1), mean(2))


def _by_set(
    pairs: list[resampling.Pair], seeds: list[int], readings: Readings, resample: bool, given: bool
) -> Compared:
    total = len({clip for pair in pairs for metric in pair for clip in metric.clips})
    pairs = resampling.common(pairs)
    clips = pairs[0][0].clips
    who, trainings = readings.identities(clips), readings.backbones(seeds)
    known = {"dialogues": len(clips), "total": total, "about": readings.about("set", seeds, given)}
    lack = people.enough(len(clips), total, len(set(who)))
    mean = stats.Mean(len(seeds), len(set(who)), lack) if lack else resampling.crossed(pairs, who, trainings, given)
    rank, boot = stats.Paired(mean.people, mean.status), Interval(lack or "not_asked")
    if resample and not lack:
        boot = resampling.bootstrap(pairs, who, given=given, trainings=trainings)
        rank = stats.Paired(mean.people, mean.status, flip_p=resampling.exchange(pairs, who))
    return Compared(OK, "set", mean, rank, boot, **known)


def values_of(rows: pd.DataFrame, part: str, methods: tuple[str, str]) -> tuple[list[pd.DataFrame], str]:
    """Each method's values, seeds as lines and dialogues as columns, NaN where missing; why there is nothing."""
    grids = []
    for method in methods:
        asked = rows[(rows["method"] == method) & (rows["part"] == part)]
        if asked.empty:
            return [], f"not_run: {method}"
        if asked["value"].isna().all():
            return [], f"{asked['status'].mode().iloc[0]}: {method}"
        grids.append(_grid(asked))
    both = (grids[0] - grids[1]).to_numpy(np.float64)  # aligned; a cell that one method lacks is NaN
    return grids, OK if np.isfinite(both).any() else "no_common_pairs"


def _grid(rows: pd.DataFrame) -> pd.DataFrame:
    """Values with seeds as lines and clips as columns."""
    return rows.pivot(index="seed", columns="clip", values="value")


def _truth(rows: pd.DataFrame, part: str) -> pd.DataFrame:
    """The truth's own values, which no method changes, seeds as lines and clips as columns."""
    own = rows[rows["part"] == truth_part(part)]
    return own.groupby(["seed", "clip"])["value"].mean().unstack()


def beside_every_seed(
    rows: pd.DataFrame, methods: tuple[str, str], readings: Readings
) -> tuple[pd.DataFrame, Readings]:
    """Rows and readings in which one of two methods, if its output is given, stands beside every seed of the other."""
    for one, other in (methods, methods[::-1]):
        if one in readings.given and other not in readings.given:
            seeds = sorted(set(rows.loc[rows["method"] == other, "seed"]))
            return repeated(rows, [one], seeds), for_every_seed(readings, [one], seeds)
    return rows, readings


def repeated(rows: pd.DataFrame, fixed: Iterable[str], seeds: Iterable[int]) -> pd.DataFrame:
    """Rows in which methods that no seed changes stand under every one of `seeds`, so that they can be paired."""
    fixed, seeds = set(fixed), sorted(set(seeds))
    kept = [rows[~rows["method"].isin(fixed)]]
    for method in sorted(fixed):
        own = rows[rows["method"] == method]
        if own["seed"].nunique() == 1:
            kept += [own.assign(seed=seed) for seed in seeds]
        else:
            kept.append(own)
    return pd.concat(kept, ignore_index=True) if len(kept) > 1 else rows
