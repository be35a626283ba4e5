"""Measure a row again from what the probes read: `python -m evaluation.recompute --features FILE --out CSV`.

Nothing is decoded and no network runs. All metrics of the whole set are computed, and of those per clip the ones whose
card says `from_readings`; rows of the other metrics are taken over from --rows, the row's old .csv, if it is given.
"""

import argparse
from pathlib import Path
from typing import Any

from dyads.errors import DataError, run_cli
from evaluation.cards import Value
from evaluation.clips import Clip
from evaluation.readings.clip import Tools
from evaluation.readings.stored import read_meta, restored_clips
from evaluation.rows import read_rows
from evaluation.run import measure, write_rows


def restored(path: Path) -> tuple[list[Clip], dict[str, Any]]:
    """The clips of a features file without their frames, failed ones too, in the order measured; and its header."""
    return list(restored_clips(path)), read_meta(path)


def recomputed(clips: list[Clip]) -> list[tuple[str, Value]]:
    """(clip id or '*', value) of every metric that needs no frames."""
    rows, _ = measure(iter(clips), Tools(), readings_only=True)
    return rows


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m evaluation.recompute", description=__doc__.splitlines()[0])
    parser.add_argument("--features", required=True, type=Path, help="<name>.features.safetensors of evaluation.run")
    parser.add_argument("--rows", type=Path, help="the row's .csv, for the metrics that need frames")
    parser.add_argument("--out", required=True, type=Path, help="the .csv to write")
    args = parser.parse_args(arguments)
    clips, meta = restored(args.features)
    rows = recomputed(clips)
    if args.rows:
        old = read_rows([args.rows])
        if set(zip(old["method"], old["seed"], strict=True)) != {(meta["method"], meta["seed"])}:
            raise DataError(f"{args.rows} is not of {meta['method']} seed {meta['seed']}, as {args.features} is.")
        done = {(clip, value.metric, value.part) for clip, value in rows}
        for row in old.itertuples():
            if (row.clip, row.metric, row.part) not in done:
                rows.append((row.clip, Value(row.metric, row.part, row.value, row.status)))
    write_rows(args.out, rows, meta["method"], meta["seed"], meta["dataset"], meta["split"])
    print(f"{meta['method']} seed {meta['seed']}: {len(rows)} values of {len(clips)} clips -> {args.out}", flush=True)


if __name__ == "__main__":
    run_cli(main)
