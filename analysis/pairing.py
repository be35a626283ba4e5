"""Two methods on one metric, paired by dialogue and seed: from result rows, and for set metrics from probe readings."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from analysis import resampling, stats
from analysis.bootstrap import Interval, hierarchical_bootstrap
from dyads.errors import DataError
from evaluation.cards import OK, count_part, truth_part
from evaluation.readings.set_level import SetMetric, set_metric
from evaluation.readings.stored import read_features
from evaluation.registry import cards
from evaluation.rows import WHOLE_SET

BASES = {
    "clips": "values per dialogue; seeds and dialogues are samples",
    "set": "value of the whole set; seeds and dialogues are samples, by the jackknife over dialogues",
    "seeds": "value of the whole set; seeds are samples",
}


@dataclass
class Readings:
    """What the probes read, by (method, seed): paths of `<row>.features.safetensors`, read once when first asked for.

    `subjects`: dialogue -> who the avatar is; dialogues of one person are drawn together. `cut`: what is kept of a
    clip's readings, None for nothing.
    """

    files: Mapping[tuple[str, int], Path] = field(default_factory=dict)
    subjects: Mapping[str, str] = field(default_factory=dict)
    cut: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray] | None] | None = None
    _known: dict = field(default_factory=dict)

    def set_metric(self, method: str, seed: int, metric: str, part: str) -> SetMetric | None:
        """Sums of a set metric; None where there are no readings or the metric is not known to `set_level`."""
        path = self.files.get((method, seed))
        key = (path, metric, part)
        if key not in self._known:
            there = path is not None and path.exists()
            self._known[key] = set_metric(metric, part, *self._clips(path)) if there else None
        return self._known[key]

    def _clips(self, path: Path):
        if path not in self._known:
            clips, meta = read_features(path)
            if self.cut is not None:
                clips = {name: cut for name, clip in clips.items() if (cut := self.cut(clip)) is not None}
            self._known[path] = clips, meta
        return self._known[path]

    def identities(self, clips: Iterable[str]) -> list[str]:
        """Whose dialogue each is; itself where nobody knows."""
        return [self.subjects.get(clip, clip) for clip in clips]


@dataclass(frozen=True)
class Compared:
    """First minus second method; see `stats` for the parts. `basis` of `BASES`; `total`: dialogues before dropping."""

    status: str
    basis: Literal["clips", "set", "seeds"] = "clips"
    mean: stats.Mean = stats.Mean(0, 0, "too_few_pairs")
    rank: stats.Paired = stats.Paired(0, "too_few_pairs")
    boot: Interval = Interval("too_few_pairs")
    total: int = 0


def readings_of(files: Iterable[Path], manifest: Path | None = None) -> Readings:
    """The readings beside result files, and who is who from a manifest."""
    found = {}
    for path in files:
        seed = path.stem.removeprefix("seed")
        if seed.isdigit():
            found[path.parent.name, int(seed)] = path.with_suffix(".features.safetensors")
    subjects = {}
    if manifest is not None:
        try:
            rows = pd.read_csv(manifest, dtype=str)
            rows = rows[rows["role"] == "avatar"]
            subjects = dict(zip(rows["dyad_id"], rows["subject_id"], strict=True))
        except (OSError, KeyError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
            raise DataError(f"{manifest} is no manifest ({error}); name the data's manifest.csv.") from error
    return Readings(found, subjects)


def compare(
    rows: pd.DataFrame,
    metric: str,
    part: str,
    methods: tuple[str, str],
    readings: Readings,
    whole: bool = False,
    resample: bool = True,
) -> Compared:
    """Methods on a metric's part; of |value - truth| where nearer to the truth is better.

    Args:
        rows: tidy result rows.
        whole: the value of the whole set even where there are rows per clip; a metric without them is always so.
        resample: also the bootstrap and the permutation test, which cost seconds for set metrics.
    """
    own = rows[(rows["metric"] == metric) & rows["method"].isin(methods)]
    counts = own.loc[own["part"] == count_part(part), "value"] if cards()[metric].estimate else own["value"].iloc[:0]
    if counts.nunique() > 1:  # the bias of a Frechet distance depends on its count
        return Compared("unequal_counts", "seeds")
    per_clip = own[own["clip"] != WHOLE_SET]
    by_clip = not whole and len(per_clip) > 0
    table, clips, status = differences(per_clip if by_clip else own[own["clip"] == WHOLE_SET], metric, part, methods)
    if status != OK:
        return Compared(status, "clips" if by_clip else "seeds")
    if by_clip:
        return _by_clip(table, clips, readings, resample)
    seeds = sorted(set.intersection(*(set(own.loc[own["method"] == method, "seed"]) for method in methods)))
    pairs = [tuple(readings.set_metric(method, seed, metric, part) for method in methods) for seed in seeds]
    pairs = [pair for pair in pairs if None not in pair]
    if len(pairs) == len(seeds) and pairs:
        return _by_set(resampling.common(pairs), readings, resample)
    return Compared(OK, "seeds", stats.mean_crossed(table), total=table.shape[1])


def _by_clip(table: np.ndarray, clips: list[str], readings: Readings, resample: bool) -> Compared:
    rank = stats.compare(stats.by_dialogue(table), flips=9999 if resample else 999)
    boot = Interval("not_asked")
    if resample:
        whole = np.isfinite(table[np.isfinite(table).any(axis=1)]).all(axis=0)  # as `stats.complete` keeps them
        kept = [clip for clip, good in zip(clips, whole, strict=True) if good]
        boot = hierarchical_bootstrap(stats.complete(table), readings.identities(kept))
    return Compared(OK, "clips", stats.mean_crossed(table), rank, boot, table.shape[1])


def _by_set(pairs: list[resampling.Pair], readings: Readings, resample: bool) -> Compared:
    clips = pairs[0][0].clips
    mean, boot = resampling.crossed(pairs), Interval("not_asked")
    rank = stats.Paired(mean.dialogues, mean.status)
    if resample:
        boot = resampling.bootstrap(pairs, readings.identities(clips))
        rank = stats.Paired(len(clips), mean.status, flip_p=resampling.exchange(pairs))
    return Compared(OK, "set", mean, rank, boot, len(clips))


def differences(
    rows: pd.DataFrame, metric: str, part: str, methods: tuple[str, str]
) -> tuple[np.ndarray, list[str], str]:
    """The table of differences (seeds, dialogues), NaN where a value is missing; its dialogues; why it is empty."""
    tables = []
    for method in methods:
        own = rows[rows["method"] == method]
        asked = own[own["part"] == part]
        if asked.empty:
            return np.empty((0, 0)), [], f"not_run: {method}"
        if asked["value"].isna().all():
            return np.empty((0, 0)), [], f"{asked['status'].mode().iloc[0]}: {method}"
        tables.append(_grid(asked))
        if cards()[metric].direction == "truth":
            tables[-1] = (tables[-1] - _grid(own[own["part"] == truth_part(part)])).abs()
    table = tables[0] - tables[1]  # aligned; a cell that one method lacks is NaN
    values = table.to_numpy(np.float64)
    return values, list(table.columns), OK if np.isfinite(values).any() else "no_common_pairs"


def _grid(rows: pd.DataFrame) -> pd.DataFrame:
    """Values with seeds as lines and clips as columns."""
    return rows.pivot(index="seed", columns="clip", values="value")


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
