"""A row's shards as one: `python -m evaluation.readings.gather --parts 1-of-2.csv 2-of-2.csv --out seed0.csv`.

Values per clip are taken over, readings and provenance joined, and metrics of the whole set computed from sums over the
shards' clips, one after the other in the manifest's order: the result is the same, byte for byte, as of one job that
measured every clip, and memory does not grow with the dialogues.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from dyads.errors import DataError, run_cli
from dyads.files import atomic_path, write_json
from dyads.shards.records import summed
from evaluation.readings.clip import Tools
from evaluation.readings.joined import JoinedClips, join_files, join_meta
from evaluation.run import set_rows, value_lines

READINGS = ".features.safetensors"


def gather(parts: Sequence[Path], out: Path, metrics: tuple[str, ...] = ()) -> int:
    """Join a row's shards (.csv, with .json and readings beside each) into `out`; the number of clips.

    Raises:
        DataError: a shard is missing, or is of another row.
    """
    for path in (file for part in parts for file in (part, part.with_suffix(".json"), part.with_suffix(READINGS))):
        if not path.is_file():
            raise DataError(f"shard {path} is missing; run the same command again to make it.")
    readings = [part.with_suffix(READINGS) for part in parts]
    meta = join_meta(readings)
    clips = JoinedClips(readings, meta)
    rows = set_rows(clips, clips.statuses, Tools(), metrics)
    join_files(readings, out.with_suffix(READINGS), meta)
    write_json(out.with_suffix(".json"), summed([json.loads(part.with_suffix(".json").read_text()) for part in parts]))
    header, *lines = value_lines(rows, meta["method"], meta["seed"], meta["dataset"], meta["split"])
    with atomic_path(out) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.write(f"{header}\n")
        for part in parts:
            file.write(part.read_text(encoding="utf-8").partition("\n")[2])
        file.write("".join(f"{line}\n" for line in lines))
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
