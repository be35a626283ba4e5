"""Shards' lists, journals and provenance as one: `python -m dyads.shards 1-of-2.csv 2-of-2.csv --out index.csv`."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from dyads.errors import DataError, run_cli
from dyads.files import write_json, write_text
from dyads.shards.records import RECORD, summed


def gather(parts: Sequence[Path], out: Path) -> int:
    """Write the lists `parts` as one, with the first one's header; the number of lines below it.

    What shards keep in folders of their own comes along: journals one after the other, and provenance with its counts
    and times summed.

    Raises:
        DataError: a part is missing or has another header.
    """
    header, lines = None, []
    for part in parts:
        if not part.is_file():
            raise DataError(f"shard {part} is missing; run the same command again to make it.")
        first, *rest = part.read_text(encoding="utf-8").splitlines() or [""]
        if header is not None and first != header:
            raise DataError(f"{part} has the header {first!r}, but the first shard has {header!r}; make it again.")
        header, lines = first, lines + rest
    folders = [part.with_suffix("") for part in parts]
    for name in sorted({path.name for folder in folders for path in folder.glob("*.jsonl")}):
        texts = [(folder / name).read_text(encoding="utf-8") for folder in folders if (folder / name).is_file()]
        write_text(out.parent / name, "".join(texts))
    records = [json.loads(path.read_text(encoding="utf-8")) for path in (f / RECORD for f in folders) if path.is_file()]
    if records:
        write_json(out.parent / RECORD, summed(records))
    write_text(out, "\n".join([header or "", *lines]) + "\n")
    return len(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m dyads.shards", description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="+", type=Path, help="the shards' lists, in order")
    parser.add_argument("--out", type=Path, required=True, help="the list of all")
    arguments = parser.parse_args()
    print(f"{gather(arguments.parts, arguments.out)} lines -> {arguments.out}")


if __name__ == "__main__":
    run_cli(main)
