"""A user study: `python -m user_study make` writes it, `python -m user_study analyse` reads the answers.

`make` writes OUT/page, a static page for the raters (open index.html, no server needed; `?rater=p07&list=2` fills in
who rates what), and OUT/key.json, which tells what each video is and stays with you. `analyse` leaves out raters who
failed attention checks, and writes E-Appro means, Bradley-Terry ranks and agreement as CSV, and study.md.
"""

import argparse
from pathlib import Path

from dyads.errors import run_cli
from user_study.analyse import AnalysisOptions, analyse
from user_study.design import DesignOptions
from user_study.make import Source, data_folder, make_study, read_consent
from user_study.stimuli import VideoOptions


def run_make(args: argparse.Namespace) -> None:
    source = Source(args.results, args.data or data_folder(args.results), args.split)
    design = DesignOptions(args.pairs, args.checks, args.lists, args.seed)
    video = VideoOptions(args.row_seed, args.height)
    consent = read_consent(args.consent)
    made = make_study(args.out, source, tuple(args.methods), args.dialogues, design, video, consent)
    trials = "/".join(sorted({str(len(trials)) for trials in made.lists}))
    print(
        f"{len(made.lists)} lists of {trials} steps, {len(made.stimuli)} videos -> {args.out / 'page' / 'index.html'}; "
        f"keep {args.out / 'key.json'} to yourself",
        flush=True,
    )


def run_analyse(args: argparse.Namespace) -> None:
    options = AnalysisOptions(args.allow_failed, args.resamples, args.seed)
    found = analyse(args.ratings, args.key, args.out, options)
    print(f"{found} -> {args.out / 'study.md'}", flush=True)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m user_study", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    kinds = parser.add_subparsers(dest="kind", required=True)
    make = kinds.add_parser("make", help="write the page and its key")
    make.add_argument("--results", type=Path, required=True, help="results/<profile> with videos")
    make.add_argument(
        "--methods", nargs="+", required=True, help="rows to compare, as named in results/<profile>/videos"
    )
    make.add_argument("--dialogues", type=int, required=True, help="how many test dialogues, drawn at random")
    make.add_argument("--out", type=Path, required=True, help="a new folder")
    make.add_argument("--data", type=Path, help="folder with manifest.csv; default: the one in results/<profile>/data")
    make.add_argument("--split", default="test")
    make.add_argument("--row-seed", type=int, default=0, help="which seed's videos")
    make.add_argument("--pairs", type=int, default=24, help="pairs a rater sees; 0: every pair of every dialogue")
    make.add_argument("--checks", type=int, default=4, help="attention checks a rater sees")
    make.add_argument("--lists", type=int, default=8, help="different lists, given out by rater id")
    make.add_argument("--seed", type=int, default=0, help="of every random choice")
    make.add_argument("--height", type=int, default=256, help="least height of a face in pixels")
    make.add_argument("--consent", type=Path, help="text file, paragraphs parted by empty lines")
    make.set_defaults(run=run_make)
    read = kinds.add_parser("analyse", help="from the raters' files to tables")
    read.add_argument("ratings", type=Path, nargs="+", help="ratings_*.json")
    read.add_argument("--key", type=Path, required=True, help="key.json of the study")
    read.add_argument("--out", type=Path, required=True, help="folder of the tables")
    read.add_argument("--allow-failed", type=int, default=0, help="attention checks a rater may fail")
    read.add_argument("--resamples", type=int, default=1000, help="bootstrap samples of raters")
    read.add_argument("--seed", type=int, default=0, help="of the bootstrap")
    read.set_defaults(run=run_analyse)
    args = parser.parse_args(arguments)
    args.run(args)


if __name__ == "__main__":
    run_cli(main)
