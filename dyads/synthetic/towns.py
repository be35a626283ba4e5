"""The second world: several synthetic worlds of seeds that no study has, as one data folder.

Frozen backbones and readers of metrics are trained on it, so its people and dialogues must be nobody's else: seeds
`FIRST` to `LAST` are kept for it, and a person's or dialogue's name says of which town it is.
"""

import argparse
import multiprocessing
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm import tqdm

from dyads.contract import SPLITS
from dyads.errors import ConfigError, run_cli
from dyads.manifest import write_manifest
from dyads.synthetic.world import WorldOptions, write_dialogue

FIRST, LAST = 1900, 1999  # world seeds that are the second world's alone


@dataclass(frozen=True)
class Towns:
    """`seeds`: one world each, of `options.train` and `options.test` dialogues."""

    seeds: tuple[int, ...]
    options: WorldOptions

    def __post_init__(self) -> None:
        for seed in self.seeds:
            if not FIRST <= seed <= LAST:
                raise ConfigError(f"a town's seed is {seed}; take one in {FIRST}..{LAST}, which no study's world has.")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise ConfigError(f"the towns' seeds are {list(self.seeds)}; name at least one, and none twice.")


def write_town_dialogue(task: tuple[Path, WorldOptions, str, int]) -> list[dict]:
    """One dialogue of a town (out, its options, split, number), under a name of its own: its manifest rows."""
    out, options, split, number = task
    making = out / f".town{options.seed}"
    name, town = f"{split}_{number:04d}", f"w{options.seed}_"
    old, new = making / split / name, out / split / f"{town}{name}"
    if new.is_dir():
        old.parent.mkdir(parents=True, exist_ok=True)
        new.rename(old)  # its rows are read where they are written
    rows = write_dialogue((making, options, split, number))
    new.parent.mkdir(parents=True, exist_ok=True)
    old.rename(new)
    for row in rows:
        row["dyad_id"], row["subject_id"] = new.name, town + row["subject_id"]
        for key in ("video", "audio"):
            row[key] = f"{split}/{new.name}/{Path(row[key]).name}"
    return rows


def write_towns(out: Path, towns: Towns, progress: bool = True) -> None:
    """Write all towns into the data folder `out`; the manifest comes last."""
    each = [replace(towns.options, seed=seed) for seed in towns.seeds]
    tasks = [(out, town, split, number) for town in each for split in SPLITS for number in range(getattr(town, split))]
    method = "fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn"
    with multiprocessing.get_context(method).Pool(min(towns.options.workers, len(tasks))) as pool:
        pairs = tqdm(pool.imap(write_town_dialogue, tasks), "dialogues", len(tasks), disable=not progress)
        rows = [row for pair in pairs for row in pair]
    for seed in towns.seeds:
        for folder in (out / f".town{seed}").glob("*"):
            folder.rmdir()
        (out / f".town{seed}").rmdir()
    write_manifest(out, rows)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m dyads.synthetic.towns", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="data folder to write")
    parser.add_argument("--seeds", type=int, nargs="+", required=True, help=f"towns, {FIRST}..{LAST}")
    parser.add_argument("--train", type=int, default=54, help="training dialogues of each")
    parser.add_argument("--test", type=int, default=6, help="test dialogues of each")
    parser.add_argument("--workers", type=int, default=1, help="processes; changes no byte")
    args = parser.parse_args()
    write_towns(args.out, Towns(tuple(args.seeds), WorldOptions(args.train, args.test, workers=args.workers)))


if __name__ == "__main__":
    run_cli(main)
