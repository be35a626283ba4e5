"""The rows of a study's tables: those asked for, run or not, and what went wrong with them."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from analysis.controls_check import control_name
from evaluation.cards import OK
from evaluation.registry import cards
from evaluation.rows import WHOLE_SET


@dataclass(frozen=True)
class Row:
    """One method of a table: its name in the results, label, group, seeds (run, asked for) and what went wrong."""

    method: str
    label: str
    group: str
    seeds: int
    asked: int
    status: str


def study_rows(given: dict, files: list[Path], rows: pd.DataFrame, logs: Path | None = None) -> list[Row]:
    """Every row that was asked for, measured or not, in the order of `given`, then the rest by name.

    `logs`: folder with `<stage>/<method>_seed<k>.log`, whose last error explains a row that is missing.
    """
    asked: dict[str, set[int]] = {name: set() for name in given}
    for name, entry in given.items():
        asked[name].update(entry.get("seeds") or ())
    for path in files:
        if path.stem.removeprefix("seed").isdigit():
            asked.setdefault(path.parent.name, set()).add(int(path.stem.removeprefix("seed")))
    for method, seed in rows[["method", "seed"]].drop_duplicates().itertuples(index=False):
        asked.setdefault(method, set()).add(seed)
    found = []
    for method, seeds in asked.items():
        entry = given.get(method, {})
        own = rows[rows["method"] == method]
        group = entry.get("group") or ("control" if control_name(method) in _controls() else "main")
        status = _status(own, seeds) + _failure(logs, entry, method, sorted(seeds - set(own["seed"])))
        found.append(Row(method, entry.get("label", method), group, own["seed"].nunique(), len(seeds), status))
    return found


def _failure(logs: Path | None, entry: dict, method: str, seeds: list[int]) -> str:
    """'; fit failed: <its last error>' of the first missing seed whose log, or that of a row it builds on, has one."""
    names = dict.fromkeys([entry.get("start"), entry.get("weights"), method])
    for seed in seeds if logs else ():
        for stage in ("fit", "generate", "evaluate"):
            for name in filter(None, names):
                path = logs / stage / f"{name}_seed{seed}.log"
                lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
                errors = [
                    line for line in lines if line.startswith("error: ") or line.partition(":")[0].endswith("Error")
                ]
                if errors:
                    return f"; {stage} failed: {errors[-1].removeprefix('error: ')[:200]}"
    return ""


def _controls() -> set[str]:
    return {name for card in cards().values() for pair in card.separates for name in pair if isinstance(name, str)}


def _status(own: pd.DataFrame, seeds: set[int]) -> str:
    """'ok', or the seeds that were not run and the clips without a usable video."""
    if own.empty:
        return "not_run"
    missing = sorted(seeds - set(own["seed"]))
    problems = [f"not_run: seed {', '.join(map(str, missing))}"] if missing else []
    for status in ("missing_video", "length_mismatch"):
        clips = own[(own["status"] == status) & (own["clip"] != WHOLE_SET)]
        number = len(clips[["seed", "clip"]].drop_duplicates())
        total = len(own.loc[own["clip"] != WHOLE_SET, ["seed", "clip"]].drop_duplicates())
        problems += [f"{status}: {number} of {total} clips"] if number else []
    return "; ".join(problems) or OK
