"""One offline page on one profile's results: `python -m reporting.page --results results/default --out DIR`."""

import argparse
from dataclasses import replace
from pathlib import Path

from dyads.errors import run_cli
from reporting.page.build import ReportOptions, build, told
from training.options import from_dict, parse_json


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m reporting.page", description=__doc__)
    parser.add_argument("--results", required=True, type=Path, help="one profile's results, such as results/default")
    parser.add_argument("--out", type=Path, help="folder to make; default: <results>/report")
    parser.add_argument("--rows", default="{}", help="JSON or @file: row name -> label, group, seeds; default: found")
    parser.add_argument("--external", default="{}", help="JSON or @file: row name -> folder of videos made elsewhere")
    parser.add_argument("--options", default="{}", help="JSON object or @file; see ReportOptions")
    parser.add_argument("--gallery-seeds", type=int, help="seeds of each row in the gallery; 0 for all (default: 1)")
    args = parser.parse_args(arguments)
    options = from_dict(ReportOptions, parse_json(args.options, "--options"), "report")
    if args.gallery_seeds is not None:
        options = replace(options, gallery_seeds=args.gallery_seeds)
    out = args.out or args.results / "report"
    rows, external = parse_json(args.rows, "--rows"), parse_json(args.external, "--external")
    print(told(build(args.results, out, options, rows, external), out), flush=True)


if __name__ == "__main__":
    run_cli(main)
