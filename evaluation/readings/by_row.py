"""What the probes read of every row: where it lies, whose it is, and which seeds share their backbones."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from dyads.errors import DataError
from evaluation.readings.set_level import METRICS, SetMetric, set_metrics
from evaluation.readings.stored import LARGE, each_clip, read_meta, seen_only
from evaluation.registry import cards
from training.shipped import RECORD, require_one_kind, shipped_set

GIVEN = "given these outputs"  # one output of each row is there, and no training of this study varies it
OF_PEOPLE = {"clips": "other people and dialogues", "set": "other people and dialogues", "seeds": "this test set alone"}


def _known_pairs() -> list[tuple[str, str]]:
    return [(metric, part) for metric in METRICS for part in cards()[metric].parts]


@dataclass
class Readings:
    """What the probes read, by (method, seed): paths of `<row>.features.safetensors`, read when first asked for.

    `subjects`: dialogue -> who the avatar is; dialogues of one person count together. `trainings`: seed -> the set of
    backbones (autoencoder, renderer, Phi) that it was trained on, where there is more than one; see `stats.nested`.
    `given`: rows of which one output is given and which no seed changes (released systems, controls): between two of
    them people alone are the sample.
    `cut`: what is kept of a clip's readings, None for nothing. `asked`: (metric, part) pairs that will be asked for.
    """

    files: Mapping[tuple[str, int], Path] = field(default_factory=dict)
    subjects: Mapping[str, str] = field(default_factory=dict)
    trainings: Mapping[int, int] = field(default_factory=dict)
    given: frozenset[str] = frozenset()
    cut: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray] | None] | None = None
    asked: Collection[tuple[str, str]] = field(default_factory=_known_pairs)
    _known: dict = field(default_factory=dict)

    def set_metric(self, method: str, seed: int, metric: str, part: str) -> SetMetric | None:
        """Sums of a set metric; None where there are no readings or the metric is not known to `set_level`."""
        path = self.files.get((method, seed))
        key = (path, metric, part)
        if key not in self._known:
            there = metric in METRICS and path is not None and path.exists()
            self._known |= self._sums(path, metric, part) if there else {key: None}
        return self._known[key]

    def _sums(self, path: Path, metric: str, part: str) -> dict[tuple, SetMetric | None]:
        """Of readings too `LARGE` to keep, all that will be asked of them as well: reading them takes longest."""
        pairs = {(metric, part)}
        if path.stat().st_size > LARGE:
            clips = self._read(path)
            pairs |= {pair for pair in self.asked if (path, *pair) not in self._known}
        else:
            if path not in self._known:
                self._known[path] = self._read(path)
            clips = self._known[path]
        return {(path, *pair): sums for pair, sums in set_metrics(pairs, *clips).items()}

    def _read(self, path: Path) -> tuple[dict[str, dict[str, np.ndarray]], dict]:
        kept = ((name, (self.cut or seen_only)(clip)) for name, clip in each_clip(path))
        return {name: clip for name, clip in kept if clip is not None}, read_meta(path)

    def learn(self, path: Path, sums: Mapping[tuple[str, str], SetMetric | None]) -> None:
        """Keep the sums of (metric, part) pairs that somebody made of a file's readings, cut as they are here."""
        self._known |= {(path, *pair): found for pair, found in sums.items()}

    def identities(self, clips: Iterable[str]) -> list[str]:
        """Whose dialogue each is; itself where nobody knows."""
        return [self.subjects.get(clip, clip) for clip in clips]

    def backbones(self, seeds: Iterable[int]) -> list[int]:
        """Which set of backbones each seed has; one for all where nobody says otherwise."""
        return [self.trainings.get(seed, 0) for seed in seeds]

    def are_given(self, methods: Iterable[str]) -> bool:
        """Whether one output of each of these rows is given."""
        return set(methods) <= self.given

    def about(self, basis: str, seeds: Iterable[int], given: bool = False) -> str:
        """Over what a comparison of these seeds generalises."""
        if given:
            return f"{OF_PEOPLE[basis]}; {GIVEN}"
        anew = len(set(self.backbones(seeds))) > 1
        return f"{OF_PEOPLE[basis]}; {'trainings of everything anew' if anew else 'other seeds, given these backbones'}"


def trainings_of(replicates: Sequence[Sequence[Path]], per_seed: bool) -> dict[int, int]:
    """Seed -> its set of backbones: the replicate (a list of result files) it is from, or itself if `per_seed`.

    Replicates that took the same shipped backbones, by the record that a run keeps of them, share one set. DataError
    where two have a seed in common, which are no independent trainings, or where only some took shipped ones.
    """
    found: dict[int, int] = {}
    owner: dict[int, int] = {}
    sets: dict[str, int] = {}
    runs = [(files[0] if files else Path()).parent.parent.parent for files in replicates]
    require_one_kind(runs)
    for number, (run, files) in enumerate(zip(runs, replicates, strict=True)):
        backbones = sets.setdefault(shipped_set(run / RECORD) or f"trained {number}", number)
        for seed in {int(path.stem.removeprefix("seed")) for path in files if path.stem.removeprefix("seed").isdigit()}:
            if owner.setdefault(seed, number) != number:
                raise DataError(f"two replicates have seed {seed}; make each with `--config replicate=<k>` of its own.")
            found[seed] = backbones
    return {seed: seed for seed in found} if per_seed else found


def readings_of(
    files: Iterable[Path],
    manifest: Path | None = None,
    trainings: Mapping[int, int] | None = None,
    given: Iterable[str] = (),
) -> Readings:
    """The readings beside result files, who is who from a manifest, which seeds share their backbones, and rows of
    which one output is given."""
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
            why = error.strerror if isinstance(error, OSError) else " ".join(str(error).split())
            raise DataError(f"{manifest} is no manifest ({why}); name the data's manifest.csv.") from error
    return Readings(found, subjects, trainings or {}, frozenset(given))


def for_every_seed(readings: Readings, fixed: Iterable[str], seeds: Iterable[int]) -> Readings:
    """Readings in which methods that no seed changes stand under every one of `seeds`."""
    files: dict[tuple[str, int], Path] = dict(readings.files)
    for method in fixed:
        own = [path for (name, _), path in readings.files.items() if name == method]
        if len(own) == 1:
            files |= {(method, seed): own[0] for seed in seeds}
    return replace(readings, files=files)
