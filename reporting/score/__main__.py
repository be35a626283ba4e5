"""Score a folder of videos: `python -m evaluation.score --generated DIR --true DIR`, with no study and no training.

Videos belong together by name. `--generated` may be given several times, as NAME=DIR; `--user DIR` adds the other side
of the dialogue, `--pairs FILE` names files where names do not agree. What needs no truth is measured without one.
`--samples [NAME=]DIR` adds another sample of every clip by a system, for the metrics that compare several.
Coefficients, landmarks and meshes of other extractors are taken from a .npz beside a video (docs/scoring.md).
`--out` gets rows.csv, table.md, files.csv and page/index.html. Exit code 0: every pair was scored; 3: some were not;
2: none was. With `--data` and `--probes` in place of `--true`: against the test dialogues of a finished study.
"""

import argparse
import sys
from pathlib import Path

from dyads.errors import ConfigError, run_cli
from training.device import limit_threads

PARTLY = 3


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(prog="python -m evaluation.score", description=__doc__.splitlines()[0])
    found.add_argument("--generated", required=True, action="append", metavar="[NAME=]DIR", help="videos; repeat it")
    found.add_argument(
        "--samples", default=[], action="append", metavar="[NAME=]DIR", help="more samples by a system; repeat it"
    )
    found.add_argument("--true", type=Path, metavar="DIR", help="true videos of the same names")
    found.add_argument("--user", type=Path, metavar="DIR", help="videos of the person talked to")
    found.add_argument(
        "--pairs", type=Path, metavar="CSV", help="columns name, generated (or each system's name), true, user"
    )
    found.add_argument("--out", type=Path, default=Path("score"), help="folder for the results (default: score)")
    found.add_argument("--weights", default="{}", help="JSON object or @file: network -> file, see evaluation.weights")
    found.add_argument("--common", action="store_true", help="score the common part of unequal lengths, and say so")
    found.add_argument("--size", type=int, default=512, help="longest side that pictures are scored at (default 512)")
    found.add_argument(
        "--regions", type=Path, metavar="JSON", help="vertex numbers of given meshes' lips and upper face"
    )
    found.add_argument("--metrics", nargs="*", default=(), help="file names under evaluation/metrics; all by default")
    found.add_argument("--cache", type=Path, help="folder for readings of videos (default: OUT/cache)")
    found.add_argument("--workers", type=int, help="processes, each with one thread (default: one for each core)")
    found.add_argument("--no-page", action="store_true", help="no page with the videos")
    return found


def main(arguments: list[str] | None = None) -> int:
    """Command line; see the module docstring."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if "--data" in arguments or any(word.startswith("--data=") for word in arguments):
        from reporting.score.study import main as against_a_study

        return against_a_study(arguments)
    given = parser().parse_args(arguments)
    if given.size < 64:
        raise ConfigError(f"--size {given.size} is too small to see a face; give at least 64.")
    if given.workers is not None and given.workers < 1:
        raise ConfigError(f"--workers {given.workers} is none; give at least 1.")
    limit_threads(1)
    from reporting.score.folders import score_folders

    return score_folders(given)


if __name__ == "__main__":
    run_cli(main)
