"""What one profile's results hold: its rows, their runs by seed, and its test dialogues; what is missing says why."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.controls_check import ALIASES
from analysis.summary import seed_values
from dyads.coefficients.store import is_coefficients
from dyads.contract import FPS, Dyad, Turn, data_folders, read_manifest
from dyads.errors import DataError
from evaluation.cards import OK, STATUSES
from evaluation.clips import read_truth
from evaluation.rows import WHOLE_SET, read_rows

GROUPS = ("main", "ablation", "swap", "baseline", "control", "other")
CUES = ("face", "voice", "words")  # bits of Truth.cue
FILES = {  # what the page calls a run's file -> where it lies in the results
    "measurement": "metrics/{method}/seed{seed}.json",
    "values": "metrics/{method}/seed{seed}.csv",
    "videos": "videos/{method}/seed{seed}/provenance.json",
    "weights": "models/{method}/seed{seed}.json",
}


@dataclass
class Run:
    """One row with one seed.

    `status`: ok, or one sentence on what is missing. `files`: those of `FILES` that exist. `measured`: tidy rows of
    `evaluation.run`, None without a readable file. `facts`: the measurement's provenance.
    """

    method: str
    seed: int
    status: str
    files: dict[str, Path] = field(default_factory=dict)
    measured: pd.DataFrame | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return f"{self.method}/{self.seed}"


@dataclass
class Method:
    """One row of the study: name in the results, label, group and its runs by seed."""

    name: str
    label: str
    group: str
    runs: list[Run]

    @property
    def status(self) -> str:
        """ok, or what is missing, seed by seed."""
        wrong = [run for run in self.runs if run.status != OK]
        if not wrong:
            return OK
        if len({run.status for run in wrong}) == 1 and len(wrong) == len(self.runs):
            return wrong[0].status
        return "; ".join(f"seed {run.seed}: {run.status}" for run in wrong)


@dataclass
class Study:
    """Everything the page shows of `results`, read once. `problems`: sentences on what could not be read."""

    results: Path
    methods: list[Method]
    data: Path | None
    dyads: dict[str, Dyad]
    dialogues: list[str]
    problems: list[str]

    @property
    def runs(self) -> list[Run]:
        return [run for method in self.methods for run in method.runs]

    def values(self) -> pd.DataFrame:
        """Tidy rows of all measured runs."""
        frames = [run.measured for run in self.runs if run.measured is not None]
        return pd.concat(frames, ignore_index=True) if frames else read_rows([])


def read_study(results: Path, given: Mapping[str, Mapping[str, Any]] | None = None) -> Study:
    """The study in `results`; DataError if there is no such folder.

    Args:
        results: one profile's results.
        given: row name -> label, group, seeds, as `reporting.tables --rows` takes them; without it, rows are those
            of the tables and folders, and a row that left nothing anywhere is unknown.
    """
    if not results.is_dir():
        raise DataError(f"{results} is no folder; name one profile's results, such as results/default.")
    problems: list[str] = []
    asked = {name: dict(entry) for name, entry in (given or {}).items()}
    for name, entry in _known_rows(results, problems).items():
        if given and name not in asked:
            continue  # left by a study that had this row: it is no part of the one asked for
        asked.setdefault(name, {})
        asked[name] = {**entry, **{key: value for key, value in asked[name].items() if value not in (None, "", [])}}
    methods = []
    for name, entry in asked.items():
        seeds = sorted({*(entry.get("seeds") or _seeds(results, name))}) or [0]
        runs = [read_run(results, name, seed) for seed in seeds]
        group = entry.get("group") or ("control" if name in ALIASES else "other")
        methods.append(Method(name, entry.get("label") or name, group if group in GROUPS else "other", runs))
    methods.sort(key=lambda method: GROUPS.index(method.group))  # stable: the order given, within a group
    data, dyads = _dialogues(results, methods, problems)
    clips = {clip for run in _measured(methods) for clip in run.measured["clip"].unique()} - {WHOLE_SET}
    return Study(results, methods, data, dyads, sorted(clips | set(dyads)), problems)


def _measured(methods: list[Method]) -> list[Run]:
    return [run for method in methods for run in method.runs if run.measured is not None]


def _known_rows(results: Path, problems: list[str]) -> dict[str, dict[str, str]]:
    """Rows that the tables name, then those that only left a folder."""
    found: dict[str, dict[str, str]] = {}
    for name in ("main_table", "ablations_table"):
        path = results / "tables" / f"{name}.csv"
        if not path.exists():
            continue
        try:
            table = pd.read_csv(path)[["method", "label", "group"]]
        except (ValueError, KeyError) as error:
            problems.append(f"{path}: cannot be read ({error}); make the tables again.")
            continue
        for line in table.itertuples(index=False):
            found.setdefault(line.method, {"label": line.label, "group": line.group})
    for stage in ("metrics", "videos"):
        for folder in sorted((results / stage).glob("*/")):
            if _seeds(results, folder.name):
                found.setdefault(folder.name, {})
    return found


def _seeds(results: Path, method: str) -> set[int]:
    """Seeds of which there is a measurement or a folder of videos."""
    paths = [*(results / "metrics" / method).glob("seed*.csv"), *(results / "videos" / method).glob("seed*/")]
    return {int(path.stem[4:]) for path in paths if path.stem[4:].isdigit()}


def read_run(results: Path, method: str, seed: int) -> Run:
    """A run's measurement and provenance; every fault becomes its status."""
    files = {name: results / place.format(method=method, seed=seed) for name, place in FILES.items()}
    run = Run(method, seed, OK, {name: path for name, path in files.items() if path.is_file()})
    faults = []
    if "values" not in run.files:
        videos = (results / "videos" / method / f"seed{seed}" / "index.csv").is_file()
        faults.append(f"not_run: {'videos but no measurement' if videos else 'no videos and no measurement'}")
    else:
        try:
            run.measured = read_rows([run.files["values"]])
            faults += _clip_faults(run.measured)
        except DataError as error:
            faults.append(str(error))
    for name, wanted in (("measurement", "facts"), ("weights", "training")):
        if name in run.files:
            try:
                setattr(run, wanted, json.loads(run.files[name].read_text(encoding="utf-8")))
            except ValueError as error:
                faults.append(f"{run.files[name]}: not JSON ({error}); measure this row again.")
    run.status = "; ".join(faults) or OK
    return run


def _clip_faults(measured: pd.DataFrame) -> list[str]:
    """How many dialogues have no usable video, by reason."""
    clips = measured[measured["clip"] != WHOLE_SET]
    total = clips["clip"].nunique()
    faults = []
    for status in ("missing_video", "length_mismatch"):
        number = clips.loc[clips["status"] == status, "clip"].nunique()
        faults += [f"{status}: {number} of {total} clips"] if number else []
    return faults


def _dialogues(results: Path, methods: list[Method], problems: list[str]) -> tuple[Path | None, dict[str, Dyad]]:
    """The data folder and its dyads of the measured split."""
    found = data_folders(results)
    if not found:
        problems.append(f"{results}/data holds no manifest.csv: the gallery lacks the user and the true avatar.")
        return None, {}
    if is_coefficients(found[0]):
        problems.append("The data are motion coefficients: there is no video of anyone to show.")
        return found[0], {}
    splits = [run.measured["split"].iloc[0] for run in _measured(methods) if len(run.measured)]
    try:
        dyads = read_manifest(found[0], splits[0] if splits else "test")
    except DataError as error:
        problems.append(str(error))
        return found[0], {}
    return found[0], {dyad.dyad_id: dyad for dyad in dyads}


def seed_summary(study: Study) -> dict[str, dict[str, tuple[float, int, int, str]]]:
    """Run key -> `metric/part` -> (value, asked, undefined, most frequent reason); NaN where undefined."""
    found: dict[str, dict[str, tuple[float, int, int, str]]] = {}
    for line in seed_values(study.values()).itertuples(index=False):
        key = found.setdefault(f"{line.method}/{line.seed}", {})
        key[f"{line.metric}/{line.part}"] = (line.value, int(line.count), int(line.undefined), line.reason)
    return found


def clip_values(run: Run, dialogues: list[str]) -> dict[str, tuple[list[float], dict[int, str]]]:
    """`metric/part` -> values in the order of `dialogues` (NaN where undefined), and the reasons by position."""
    place = {name: index for index, name in enumerate(dialogues)}
    found: dict[str, tuple[list[float], dict[int, str]]] = {}
    if run.measured is None:
        return found
    for line in run.measured[run.measured["clip"] != WHOLE_SET].itertuples(index=False):
        values, reasons = found.setdefault(f"{line.metric}/{line.part}", ([float("nan")] * len(dialogues), {}))
        values[place[line.clip]] = line.value
        if line.status != OK:
            reasons[place[line.clip]] = line.status
    return found


def turns_of(dyad: Dyad) -> list[Turn]:
    return list(dyad.turns)


def events_of(dyad: Dyad) -> list[dict[str, Any]]:
    """Stretches in which the true avatar shows an emotion: start, end (s), its name, and the user's cues for it.

    Empty for recorded data, whose causes nobody knows.
    """
    try:
        truth = read_truth(dyad)
    except DataError:
        return []
    if truth is None:
        return []
    edges = np.flatnonzero(np.diff(truth.emotion.astype(int))) + 1
    found = []
    for start, stop in zip([0, *edges], [*edges, len(truth.emotion)], strict=True):
        name = truth.emotions[int(truth.emotion[start])]
        if name == "neutral":
            continue
        bits = int(np.bitwise_or.reduce(truth.cue[start:stop].astype(int)))
        cues = [cue for bit, cue in enumerate(CUES) if bits >> bit & 1]
        found.append({"start": start / FPS, "end": stop / FPS, "text": name, "cues": cues})
    return found


def reason(status: str) -> str:
    """A status in words."""
    return f"{status}: {STATUSES[status]}" if status in STATUSES else status
