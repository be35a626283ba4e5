"""Published numbers: `python -m analysis.published table|page`.

`table` prints the numbers of one comparable group and data set, with those of `--results` below where metric, protocol,
data set and split are the same, and says so where they are not; without `--group` it lists the groups. `page` writes
docs/published.md, `page --check` compares.
"""

import argparse
from pathlib import Path

import pandas as pd

from analysis.published import load, select
from analysis.published.ours import beside, namesakes, read_results, verdict
from analysis.published.page import COMMAND, markdown, page, set_up_table
from dyads.errors import DataError, run_cli
from dyads.files import write_text

PAGE = Path(__file__).resolve().parents[2] / "docs" / "published.md"


def show_table(args: argparse.Namespace) -> None:
    """Print, or write to `args.out`, one set-up or the list of set-ups."""
    rows = load()
    if args.group is None:
        text = markdown(set_up_table(select(rows, dataset=args.dataset))) + "\n"
    else:
        chosen = select(rows, args.group, args.dataset, args.split)
        known = namesakes()
        ours, said = read_results(args.results) if args.results else (pd.DataFrame(), {})
        table = beside(chosen, known, ours, said)
        table = table.rename_axis("method").reset_index()
        if args.out and args.out.suffix == ".csv":
            text = table.to_csv(index=False, lineterminator="\n")
        else:
            text = markdown(table) + "\n"
            text += f"\n{verdict(chosen, known, ours, said)}\n" if args.results else ""
            text += "\nSources: " + "; ".join(dict.fromkeys(chosen["source"])) + ".\n"
    if args.out:
        write_text(args.out, text)
        print(f"published numbers -> {args.out}", flush=True)
    else:
        print(text, end="", flush=True)


def show_page(args: argparse.Namespace) -> None:
    """Write the page, or with --check compare it."""
    text = page(load())
    if not args.check:
        write_text(args.out, text)
        print(f"page on published numbers -> {args.out}", flush=True)
    elif not args.out.is_file() or args.out.read_text(encoding="utf-8") != text:
        raise DataError(f"{args.out} is not what the data give; write it again with `{COMMAND}`.")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m analysis.published", description=__doc__)
    kinds = parser.add_subparsers(dest="kind", required=True)
    table = kinds.add_parser("table", help="one comparable group, ours beside it where allowed")
    table.add_argument("--group", help="comparable_group; without it, the groups are listed")
    table.add_argument("--dataset", help="data set, where the group has several")
    table.add_argument("--split", help="split or protocol, where the data set has several")
    table.add_argument("--results", type=Path, help="a results folder, results/<profile>")
    table.add_argument("--out", type=Path, help=".md or .csv; default: print")
    table.set_defaults(run=show_table)
    written = kinds.add_parser("page", help="docs/published.md")
    written.add_argument("--out", type=Path, default=PAGE)
    written.add_argument("--check", action="store_true", help="compare with the file instead of writing it")
    written.set_defaults(run=show_page)
    args = parser.parse_args(arguments)
    args.run(args)


if __name__ == "__main__":
    run_cli(main)
