"""How the work is cut: shards of dialogues, and what their jobs need by what former ones took."""

import csv
import io
import re
from collections.abc import Iterable, Mapping
from functools import cache
from math import ceil
from pathlib import Path
from typing import Any


def shard_names(dialogues: int, size: int | None) -> list[str]:
    """`1-of-3`, `2-of-3`, ... for shards of at most `size` dialogues; none where one job does all (`size` None).

    `dyads.shards` reads these names: shard k of n is the k-th of n equal runs of the manifest's dialogues.
    """
    count = ceil(dialogues / size) if size else 1
    return [f"{k}-of-{count}" for k in range(1, count + 1)] if count > 1 else []


def count_dialogues(config: Mapping[str, Any], root: Path = Path(".")) -> dict[str, int]:
    """Dialogues (or recordings, where those are cut into segments) of each split, known before any stage has run."""
    dataset, told = config["dataset"], config["shards"].get("of")
    if told:
        return {"train": told.get("train", 0), "test": told.get("test", 0)}
    if dataset["kind"] == "synthetic":
        return {"train": config["world"].get("train", 160), "test": config["world"].get("test", 32)}
    pairs = dataset.get("pairs")
    if not pairs or not (root / pairs).is_file():
        return {}
    found = {"train": 0, "test": 0}
    text = (root / pairs).read_text(encoding="utf-8-sig")
    for row in csv.DictReader(io.StringIO(text, newline="")):
        split = (row.get("split") or "").strip()
        if split in found:
            found[split] += 1
    return found


@cache
def measured(benchmarks: str, pattern: str) -> dict[str, float]:
    """The most that jobs took by Snakemake's benchmark files: `mem_mb` of resident memory, `minutes` of the clock."""
    most = {"mem_mb": 0.0, "minutes": 0.0}
    for file in Path(benchmarks).glob(pattern):
        for row in csv.DictReader(file.read_text(encoding="utf-8").splitlines(), delimiter="\t"):
            most["mem_mb"] = max(most["mem_mb"], _number(row.get("max_rss")))
            most["minutes"] = max(most["minutes"], _number(row.get("s")) / 60)
    return most


def _number(text: str | None) -> float:
    try:
        return float(text)
    except (TypeError, ValueError):  # a job too short to be looked at has NA
        return 0.0


def missing_shards(paths: Iterable[str]) -> list[str]:
    """Names of shards whose files are not there."""
    return [Path(path).name.partition(".")[0] for path in paths if not Path(path).is_file()]


def processes_problem(processes: int, nodes: int, gpus: int, cores: int) -> str | None:
    """Why this machine cannot train in so many processes on so many nodes; None where it can.

    Without a GPU the processes compute on the CPU, where more of them than cores only wait for each other.
    """
    keep = "and train.accumulate of stage1 and stage2 as much higher, which keeps the batch"
    if nodes > 1:
        return (
            f"gpus_per_job is {processes} on {nodes} nodes, which Slurm alone can share (docs/cluster.md); on one "
            f"machine set gpus_per_node to null, gpus_per_job to at most {max(gpus, 1)}, {keep}."
        )
    if processes > 1 and processes > (gpus or cores):
        there = f"{gpus} GPU{'s' * (gpus > 1)}" if gpus else f"no GPU and {cores} cores"
        return f"gpus_per_job is {processes}, but this machine has {there}; set it to at most {gpus or cores}, {keep}."
    return None


SHARD = re.compile(r"\d+-of-\d+")
