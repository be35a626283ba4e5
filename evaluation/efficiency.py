"""What every row costs: parameters, steps, seconds and memory of training, frames per second of generation.

Read from what the stages left: `models/<row>/seed<k>.json`, `videos/<row>/seed<k>/provenance.json` and, for memory,
Snakemake's `benchmarks/{fit,generate}/<row>_seed<k>.tsv`. Times differ from run to run and with what else runs, so
these are the only tables that two runs of one study do not repeat to the digit.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from dyads.errors import DataError

BUDGET = ("steps", "samples", "parameters")
MEASURES = {  # column -> heading, digits
    "train_seconds": ("train s", 0),
    "train_gib": ("train GiB", 2),
    "frames_per_second": ("frames/s", 1),
    "frames_per_cpu_second": ("frames/CPU s", 1),
    "generate_gib": ("generate GiB", 2),
}
NOTES = (
    "Mean ± standard deviation over seeds. Parameters: of the method's own networks; shared backbones (video "
    "autoencoder, renderer, Phi) are trained once and not counted. Steps, samples and train seconds hold the stage 1 "
    "that a row starts from, which several rows may share; a row that uses another's weights shows that row's.",
    "Seconds are those of the clock on a machine that other jobs may share; frames per CPU second are not troubled by "
    "that. One process, loading included for memory, excluded for speed. Memory: peak of the process's resident set.",
    "–: nothing was trained, or nothing recorded it; the last column says which.",
)
ELSEWHERE = "This study trained and generated nothing: the outputs were given, and what they cost is not known"


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; empty if there is no file. DataError if it is damaged."""
    if not path.exists():
        return {}
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not JSON ({error}); run the stage that writes it again.") from error


def peak_gib(path: Path) -> float:
    """max_rss of a Snakemake benchmark file, in GiB; NaN without one."""
    if not path.exists():
        return math.nan
    try:
        return float(pd.read_csv(path, sep="\t")["max_rss"].astype(float).max()) / 1024
    except (KeyError, ValueError, pd.errors.ParserError, pd.errors.EmptyDataError):
        return math.nan  # written by another version of Snakemake, or "-" where a job was too short to look at


def budgets(methods: Iterable[str], models: Path, given: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """Method -> steps, samples, parameters: of its first card, or of the row whose weights it uses."""
    found = {}
    for method in methods:
        folder = models / str(given.get(method, {}).get("weights") or method)
        cards = [read_json(path).get("card", {}) for path in sorted(folder.glob("seed*.json"))[:1]]
        if cards:
            found[method] = {key: cards[0][key] for key in BUDGET if key in cards[0]}
    return found


def costs(results: Path, method: str, seeds: Iterable[int], entry: Mapping[str, Any]) -> list[dict[str, float]]:
    """`MEASURES` of each seed; `entry`: the row's `start` and `weights`. NaN where nothing is recorded."""
    trained = str(entry.get("weights") or method)
    lines = []
    for seed in seeds:
        parts = [trained, *([str(entry["start"])] if entry.get("start") else [])]
        seconds = [
            read_json(results / "models" / name / f"seed{seed}.json").get("card", {}).get("train_seconds", math.nan)
            for name in parts
        ]
        made = read_json(results / "videos" / method / f"seed{seed}" / "provenance.json")
        frames = made.get("frames", math.nan)
        memory = [peak_gib(results / "benchmarks" / "fit" / f"{name}_seed{seed}.tsv") for name in parts]
        lines.append(
            {
                "train_seconds": sum(seconds),
                "train_gib": max(memory, key=lambda x: -math.inf if math.isnan(x) else x),
                "frames_per_second": _rate(frames, made.get("generate_seconds")),
                "frames_per_cpu_second": _rate(frames, made.get("generate_cpu_seconds")),
                "generate_gib": peak_gib(results / "benchmarks" / "generate" / f"{method}_seed{seed}.tsv"),
            }
        )
    return lines


def _rate(frames: float, seconds: float | None) -> float:
    return frames / seconds if seconds and frames else math.nan


def efficiency_table(
    rows: Iterable, given: Mapping[str, Mapping[str, Any]], results: Path, budget: Mapping[str, Mapping[str, int]]
) -> pd.DataFrame:
    """The .csv: method, group, label, seeds, budget, mean and sd of every measure, hardware, what is missing.

    `weights`: the row whose weights it uses; `fixed`: whether it learns nothing.

    `rows`: of `tables.study_rows`; `given`: row name -> entry with seeds, start, weights.
    """
    lines = []
    for row in rows:
        entry = given.get(row.method, {})
        seeds = entry.get("seeds") or _seeds(results, row.method)
        found = pd.DataFrame(costs(results, row.method, seeds, entry), columns=list(MEASURES))
        line = {"method": row.method, "group": row.group, "label": row.label, "seeds": len(seeds)}
        line |= {"weights": entry.get("weights") or None, "fixed": bool(entry.get("fixed"))}
        line |= {key: budget.get(row.method, {}).get(key) for key in BUDGET}
        for name in MEASURES:
            line[f"{name}_mean"], line[f"{name}_sd"] = found[name].mean(), found[name].std(ddof=1)
            line[f"{name}_n"] = int(found[name].notna().sum())
        line["hardware"] = _hardware(results, str(entry.get("weights") or row.method), row.method)
        line["missing"] = _missing(found.assign(seed=list(seeds)), trains=line["steps"] is not None)
        lines.append(line)
    return pd.DataFrame(lines)


def _seeds(results: Path, method: str) -> list[int]:
    found = {path.stem.removeprefix("seed") for path in (results / "metrics" / method).glob("seed*.csv")}
    return sorted(int(seed) for seed in found if seed.isdigit())


def _hardware(results: Path, *names: str) -> str:
    """Where it was trained or, if nothing was, generated."""
    for folder, name in zip(("models", "videos"), names, strict=True):
        for path in sorted(
            (results / folder / name).glob("seed*.json" if folder == "models" else "seed*/provenance.json")
        ):
            known = read_json(path).get("hardware", {})
            if known:
                return ", ".join(known.get("gpus") or [f"{known.get('cpu')}, {known.get('threads')} thread"])
    return ""


def _missing(found: pd.DataFrame, trains: bool) -> str:
    """Which measures of which seeds nothing recorded; training is no part of a row without a budget."""
    if found.empty:
        return "not_run"
    gaps: dict[str, list[str]] = {}
    for name, (heading, _) in MEASURES.items():
        gone = found.loc[found[name].isna(), "seed"]
        if len(gone) and (trains or not name.startswith("train")):
            gaps.setdefault(f"seed {', '.join(map(str, gone))}", []).append(heading)
    return "; ".join(f"{seeds}: {', '.join(names)}" for seeds, names in gaps.items())


def shown(table: pd.DataFrame, clean: Callable[[str], str]) -> pd.DataFrame:
    """The table a person reads, as text cells."""
    cells = pd.DataFrame({"method": table["label"].map(clean), "seeds": table["seeds"].astype(str)})
    for key in BUDGET:
        cells[clean(key)] = [clean("–") if pd.isna(value) else f"{int(value):,}" for value in table[key]]
    for name, (heading, digits) in MEASURES.items():
        pairs = zip(table[f"{name}_mean"], table[f"{name}_sd"], strict=True)
        cells[clean(heading)] = [clean(_text(mean, sd, digits)) for mean, sd in pairs]
    if (table["missing"] != "").any():
        cells["missing"] = table["missing"].map(clean)
    return cells


def _text(mean: float, sd: float, digits: int) -> str:
    if not math.isfinite(mean):
        return "–"
    return f"{mean:,.{digits}f}" + (f" ± {sd:,.{digits}f}" if math.isfinite(sd) else "")


def hardware_note(table: pd.DataFrame) -> str:
    """Where the rows were made."""
    known = table[table["hardware"] != ""].groupby("hardware")["method"].count()
    if len(known):
        return "; ".join(f"{name}: {count} rows" for name, count in known.items())
    measured = table[["steps", *(f"{name}_mean" for name in MEASURES)]].notna().to_numpy().any()
    return "Hardware unknown" if measured else ELSEWHERE
