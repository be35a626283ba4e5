"""A row's shards as one: `python -m evaluation.readings.gather --parts 1-of-2.csv 2-of-2.csv --out seed0.csv`.

Values per clip are taken over, readings and provenance joined, and metrics of the whole set computed from the joined
readings, in the manifest's order: the result is the same, byte for byte, as of one job that measured every clip.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from dyads.errors import DataError, run_cli
from dyads.files import atomic_path, write_json, write_text
from dyads.shards.records import summed
from evaluation.readings.clip import Tools
from evaluation.readings.stored import read_features
from evaluation.recompute import restored
from evaluation.run import measure, value_lines

READINGS = ".features.safetensors"


def join_readings(parts: Sequence[Path], out: Path) -> dict[str, Any]:
    """Write the readings of `parts` (.features.safetensors) as one file; its header."""
    tensors: dict[str, np.ndarray] = {}
    whole: dict[str, Any] = {}
    for path in parts:
        clips, meta = read_features(path)
        tensors.update({f"{clip}/{key}": array for clip, found in clips.items() for key, array in found.items()})
        if not whole:
            whole = dict(meta)
            continue
        if (meta["method"], meta["seed"], meta["names"]) != (whole["method"], whole["seed"], whole["names"]):
            raise DataError(f"{path} is of another row or probe than {parts[0]}; measure its shards again.")
        datasets = {name for name in f"{whole['dataset']},{meta['dataset']}".split(",") if name}
        whole["dataset"] = ",".join(sorted(datasets))
        whole["clips"] += meta["clips"]
        for key, value in meta.items():
            if isinstance(value, dict):  # by dialogue, such as who is in it
                whole[key] = {**whole.get(key, {}), **value}
            elif not whole.get(key):  # a shard without truth, or without a dialogue, does not know it
                whole[key] = value
    with atomic_path(out) as temporary:
        save_file(tensors, temporary, metadata={"meta": json.dumps(whole)})
    return whole


def gather(parts: Sequence[Path], out: Path, metrics: tuple[str, ...] = ()) -> int:
    """Join a row's shards (.csv, with .json and readings beside each) into `out`; the number of clips.

    Raises:
        DataError: a shard is missing, or is of another row.
    """
    for path in (file for part in parts for file in (part, part.with_suffix(".json"), part.with_suffix(READINGS))):
        if not path.is_file():
            raise DataError(f"shard {path} is missing; run the same command again to make it.")
    features = out.with_suffix(READINGS)
    meta = join_readings([part.with_suffix(READINGS) for part in parts], features)
    clips, _ = restored(features)
    rows, _ = measure(iter(()), Tools(), metrics, known=clips)
    write_json(out.with_suffix(".json"), summed([json.loads(part.with_suffix(".json").read_text()) for part in parts]))
    header, *lines = value_lines(rows, meta["method"], meta["seed"], meta["dataset"], meta["split"])
    own = [line for part in parts for line in part.read_text(encoding="utf-8").splitlines()[1:]]
    write_text(out, "\n".join([header, *own, *lines]) + "\n")
    return len(clips)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m evaluation.readings.gather", description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", type=Path, required=True, help="the shards' .csv, in order")
    parser.add_argument("--metrics", default="[]", help="JSON list: file names of the metrics that were computed")
    parser.add_argument("--out", type=Path, required=True, help="the row's .csv")
    arguments = parser.parse_args()
    count = gather(arguments.parts, arguments.out, tuple(json.loads(arguments.metrics)))
    print(f"{len(arguments.parts)} shards, {count} clips -> {arguments.out}", flush=True)


if __name__ == "__main__":
    run_cli(main)
