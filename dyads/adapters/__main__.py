"""Adapt a data set as it lies on disk: `python -m dyads.adapters --kind seamless --root DIR --out DIR`.

Kinds: seamless, realtalk, vico, hdtf; `folder` (with --pairs) takes any recordings. What is left out or broken is in
`skipped.csv`, what was cut in `report.csv`. Exit code 3: some dialogues are broken, the others are made.
"""

import argparse
from pathlib import Path

from dyads.adapters.engine.adapt import adapt, adapt_shard, finish
from dyads.adapters.engine.options import AdaptOptions, parse_options
from dyads.adapters.kinds import LISTED, module_of, refuse_another
from dyads.adapters.pairs import read_pairs
from dyads.errors import ConfigError, DataError, run_cli
from dyads.layouts.recognise import KINDS
from dyads.shards import add_shard


def main(arguments: list[str] | None = None) -> int:
    """Command line; see the module docstring."""
    parser = argparse.ArgumentParser(prog="python -m dyads.adapters", description=__doc__.splitlines()[0])
    parser.add_argument("--kind", required=True, help=f"one of {', '.join((LISTED, *KINDS))}")
    parser.add_argument("--root", type=Path, required=True, help="folder of the data set, or of the recordings")
    parser.add_argument("--out", type=Path, required=True, help="data folder to write")
    parser.add_argument("--pairs", type=Path, help="kind folder: CSV with one row per dialogue")
    parser.add_argument("--options", help="JSON object with the adapter's options")
    parser.add_argument("--workers", type=int, default=1, help="dialogues made at the same time (default 1)")
    add_shard(parser)
    parser.add_argument("--list", action="store_true", help="only say what is there; exit code 1 if something lacks")
    given = parser.parse_args(arguments)
    if (given.kind == LISTED) != (given.pairs is not None):
        raise ConfigError("--pairs belongs to --kind folder, and only to it.")
    if not given.root.is_dir():
        raise DataError(f"{given.root}: there is no such folder; give the folder of the data set as --root.")
    if given.kind == LISTED:
        options = parse_options(AdaptOptions, given.options)
        pairs, skipped, remarks = read_pairs(given.pairs, given.root), {}, []
    else:
        module = module_of(given.kind)
        options = parse_options(module.OPTIONS, given.options)
        refuse_another(given.root, given.kind)
        pairs, skipped, remarks = module.pairs(given.root, options)
    pairs = [pair for pair in pairs if options.only in ("", pair.split)]
    for line in remarks:
        print(line)
    if options.only and not pairs and not given.list:
        raise DataError(f"{given.root}: no recording is in split {options.only}; take that test set out.")
    if given.list:
        for line in skipped.values():
            print(f"left out: {line}")
        counts = {split: sum(pair.split == split for pair in pairs) for split in ("train", "test")}
        print(f"{given.root}: {len(pairs)} dialogues ({', '.join(f'{n} {s}' for s, n in counts.items())})")
        return int(bool(skipped or remarks))
    if not given.shard.whole:
        print(f"shard {given.shard} -> {adapt_shard(pairs, given.out, options, given.workers, given.shard)}")
        return 0
    found = adapt(pairs, given.out, options, given.workers, skipped, bar=True)
    return finish(found, given.out, options)


if __name__ == "__main__":
    run_cli(main)
