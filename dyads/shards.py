"""A run of a data folder's dialogues as one job's share; the lists of all as one: `python -m dyads.shards A B --out C`.

Shard k of n is the k-th of n runs of consecutive dialogues, equal but for one; whoever reads a manifest in the same
order cuts it alike. A stage writes each dialogue by itself, so its files do not depend on how they were cut.
"""

import argparse
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from dyads.errors import ConfigError, DataError, run_cli
from dyads.files import write_json, write_text

Item = TypeVar("Item")
RECORD = "provenance.json"
COUNTS = ("dyads", "frames", "clips", "resized_clips")  # what provenance counts of a shard


@dataclass(frozen=True)
class Shard:
    """Number `number` of `count`, counted from 1; the only one by default."""

    number: int = 1
    count: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise ConfigError(f"shard {self.number}-of-{self.count} does not exist; count from 1 to {self.count}.")

    def __str__(self) -> str:
        return f"{self.number}-of-{self.count}"

    @property
    def whole(self) -> bool:
        """Whether it is all there is."""
        return self.count == 1

    def of(self, items: Sequence[Item]) -> Sequence[Item]:
        """This shard's run of `items`; empty where there are fewer items than shards."""
        start, stop = ((self.number - 1 + k) * len(items) // self.count for k in (0, 1))
        return items[start:stop]

    def list_in(self, folder: Path, name: str = "index.csv") -> Path:
        """Where a stage writes its list: `<folder>/index.csv`, or `<folder>/shards/3-of-15.csv` for a part of it."""
        return folder / name if self.whole else folder / "shards" / f"{self}{Path(name).suffix}"

    def folder_in(self, folder: Path) -> Path:
        """Where it keeps what belongs to it alone, such as a journal: `folder`, or `<folder>/shards/3-of-15`."""
        return folder if self.whole else folder / "shards" / str(self)


WHOLE = Shard()


def parse_shard(text: str) -> Shard:
    """`3-of-15`; ConfigError for anything else."""
    match = re.fullmatch(r"(\d+)-of-(\d+)", text)
    if not match:
        raise ConfigError(f"--shard is {text!r}; write K-of-N, such as 3-of-15.")
    return Shard(int(match[1]), int(match[2]))


def add_shard(parser: argparse.ArgumentParser) -> None:
    """The option `--shard K-of-N` of a stage that loops over dialogues."""
    parser.add_argument(
        "--shard", type=parse_shard, default=WHOLE, metavar="K-of-N", help="only this run of the dialogues"
    )


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


def summed(records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One provenance of several shards': the first one's, with counts and seconds of all and the machines' kinds."""
    whole = dict(records[0])
    for key, value in whole.items():
        if key in COUNTS or key.endswith("_seconds"):
            whole[key] = type(value)(round(sum(record.get(key, 0) for record in records), 3))
        elif key.startswith("failed_") and isinstance(value, dict):
            whole[key] = {name: why for record in records for name, why in record.get(key, {}).items()}
    kinds = sorted({record.get("machine", {}).get("kind", "") for record in records} - {""})
    return {**whole, "shards": len(records), "machine_kinds": kinds}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m dyads.shards", description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="+", type=Path, help="the shards' lists, in order")
    parser.add_argument("--out", type=Path, required=True, help="the list of all")
    arguments = parser.parse_args()
    print(f"{gather(arguments.parts, arguments.out)} lines -> {arguments.out}")


if __name__ == "__main__":
    run_cli(main)
