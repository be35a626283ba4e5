"""Adapter for a folder of real recordings: `python -m dyads.adapters.folder --pairs pairs.csv --root CLIPS --out DIR`.

Every dialogue of the pairs file (see `dyads.adapters.pairs`) is re-encoded to the Dyad contract: 25 fps by
timestamps, one square face crop per video, mono 16 kHz sound of exactly 640 samples a frame. Both
sides are cut to the shorter one; what was cut is printed and written to `report.csv`, beside the source and
the crop. A finished dialogue is skipped when the same command runs again. Broken recordings are listed in
`skipped.csv`, the others are made, and the exit code is 3. Memory does not grow with a recording's length.
"""

import argparse
from pathlib import Path

from dyads.adapters.engine.adapt import adapt, finish
from dyads.adapters.engine.options import AdaptOptions, parse_options
from dyads.adapters.pairs import read_pairs
from dyads.errors import DataError, run_cli


def main() -> int:
    """Command line; see the module docstring."""
    parser = argparse.ArgumentParser(prog="python -m dyads.adapters.folder", description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=Path, required=True, help="CSV with one row per dialogue")
    parser.add_argument("--root", type=Path, help="folder that its paths are relative to (default: its own)")
    parser.add_argument("--out", type=Path, required=True, help="data folder to write")
    parser.add_argument("--size", type=int, help="side of the square frames in pixels (default 64)")
    parser.add_argument("--segment-seconds", type=float, help="cut dialogues into parts of this length")
    parser.add_argument("--options", help="JSON object with the fields of AdaptOptions")
    parser.add_argument("--workers", type=int, default=1, help="dialogues made at the same time (default 1)")
    arguments = parser.parse_args()
    options = parse_options(
        AdaptOptions, arguments.options, size=arguments.size, segment_seconds=arguments.segment_seconds
    )
    root = arguments.root or arguments.pairs.parent
    if not root.is_dir():
        raise DataError(f"{root}: there is no such folder; give the folder of the recordings as --root.")
    pairs = read_pairs(arguments.pairs, root)
    return finish(adapt(pairs, arguments.out, options, arguments.workers, bar=True), arguments.out, options)


if __name__ == "__main__":
    run_cli(main)
