"""A run of a data folder's dialogues as one job's share.

Shard k of n is the k-th of n runs of consecutive dialogues, equal but for one; whoever reads a manifest in the same
order cuts it alike. A stage writes each dialogue by itself, so its files do not depend on how they were cut.
"""

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from dyads.errors import ConfigError

Item = TypeVar("Item")


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
