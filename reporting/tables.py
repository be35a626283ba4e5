"""Tables from tidy result rows: `python -m reporting.tables --metrics FILES|DIR --rows JSON --out DIR`.

Writes main_table, ablations_table, talking_table, listening_table, efficiency_table and controls, each as .csv
(machine readable), .md and .tex, and every metric and part in full_table. Tidy beside them: comparisons.csv (every
row against the main one), ranks.csv, values.csv (per seed), summary.csv and metrics.csv (what each metric is). A row
that was asked for and has no results keeps its line, with the reason. `python -m reporting.tables --print FILE.md`
shows a table in the terminal.
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import pandas as pd

from analysis.controls_check import VIOLATED, check_controls, control_name, counts
from analysis.pairing import are_level
from analysis.study_rows import study_rows
from analysis.summary import seed_values, summarise
from dyads.errors import ConfigError, DataError, run_cli
from dyads.files import write_text
from evaluation import efficiency
from evaluation.readings.by_row import readings_of, trainings_of
from evaluation.readings.stored import LARGE
from evaluation.registry import cards
from evaluation.rows import read_rows, result_files
from reporting.full_table import write_full_table
from reporting.method_tables import ROWS, TABLES, Study, write_csv, write_table
from reporting.table_cells import latex, markdown, tex
from training.options import from_dict, parse_json

T = TypeVar("T")
GROUPS = (*ROWS, "swap", "none")  # of the last two no table shows a row


@dataclass(frozen=True)
class TableOptions:
    """`columns`: `metric/part` of the main and ablations tables, empty for the default; `note`: a sentence below."""

    columns: tuple[str, ...] = ()
    note: str = ""


def write_tables(
    files: list[Path],
    given: dict,
    options: TableOptions,
    out: Path,
    results: Path | None = None,
    manifest: Path | None = None,
    backbones_per_seed: bool = False,
    workers: int = 1,
) -> None:
    """All tables in three formats; a row without results is shown with its status.

    `results`: folder with models, videos, logs and benchmarks; default: where the result files lie.
    `backbones_per_seed`: each seed trained its own, so marks speak of trainings of everything.
    """
    rows = read_rows(files)
    results = results or (files[0].parent.parent.parent if files else out.parent)
    found = study_rows(given, files, rows, results / "logs")
    if not found:
        raise DataError("no result files and no rows were given; run evaluation first, or name the rows by --rows.")
    budget = efficiency.budgets([row.method for row in found], results / "models", given)
    fixed = [name for name, row in given.items() if row.get("fixed")]
    readings = readings_of(files, manifest, trainings_of([files], backbones_per_seed), fixed)
    asked = {card.name for table in TABLES.values() for card, _ in table.asked(options.columns)}
    shown = rows[rows["metric"].isin(asked)]
    study = Study(found, shown, given, readings, budget, options.note, options.columns)
    values = seed_values(rows)
    summary = summarise(values)
    made = _by_workers(partial(write_table, study=study, summary=summary, out=out), readings.files, workers)
    compared, ranked = zip(*made, strict=True)
    write_csv(pd.concat(compared), out / "comparisons.csv")
    write_csv(pd.concat(ranked), out / "ranks.csv")
    write_csv(values, out / "values.csv")
    write_csv(summary.reset_index(), out / "summary.csv")
    write_csv(catalogue(), out / "metrics.csv")
    write_efficiency(study, results, out)
    write_full_table(found, summary, out)
    names = {row.method: control_name(row.method, given.get(row.method, {}).get("class", "")) for row in found}
    write_controls(check_controls(summary, names, partial(are_level, rows, readings)), out)


def checked_rows(given: dict) -> dict:
    """The same; ConfigError where a row is no object, or its group or seeds are none that a table has a place for."""
    for name, row in given.items():
        if not isinstance(row, dict):
            raise ConfigError(f'--rows: {name} is {row!r}, but must be an object such as {{"label": "ECHO"}}.')
        if row.get("group", "main") not in GROUPS:
            raise ConfigError(f"--rows: {name}.group is {row['group']!r}, but must be one of {', '.join(GROUPS)}.")
        seeds = row.get("seeds") or []
        if not isinstance(seeds, list) or not all(isinstance(seed, int) for seed in seeds):
            raise ConfigError(f"--rows: {name}.seeds is {seeds!r}, but must be a list of whole numbers.")
    return given


def _by_workers(write: Callable[[str], T], readings: Mapping[tuple[str, int], Path], workers: int) -> list[T]:
    """What `write` makes of each table; in processes where readings are too large to be kept from one to the next."""
    size = sum(path.stat().st_size for path in readings.values() if path.exists())
    if workers == 1 or size < LARGE * workers:
        return [write(name) for name in TABLES]
    with ProcessPoolExecutor(min(workers, len(TABLES)), get_context("spawn")) as pool:
        return list(pool.map(write, reversed(TABLES)))[::-1]  # the last ones take longest


def catalogue() -> pd.DataFrame:
    """What each metric is, for those who read the tidy files: a line per metric and part."""
    lines = [
        (card.name, part, card.label, card.unit, card.direction, card.arrow, card.per, len(card.parts), card.protocol)
        for card in cards().values()
        for part in card.parts
    ]
    names = ("metric", "part", "label", "unit", "direction", "arrow", "per", "parts", "protocol")
    return pd.DataFrame(lines, columns=list(names))


def write_efficiency(study: Study, results: Path, out: Path) -> None:
    """What the rows cost; see `efficiency`."""
    order = [row for group in ROWS for row in study.rows if row.group == group] or study.rows
    table = efficiency.efficiency_table(order, study.given, results, study.budget)
    lines = [*efficiency.NOTES, f"{efficiency.hardware_note(table)}."]
    write_csv(table, out / "efficiency_table.csv")
    shown = efficiency.shown(table, lambda text: str(text).replace("|", "\\|"))
    write_text(out / "efficiency_table.md", markdown("Efficiency", shown, lines))
    write_text(out / "efficiency_table.tex", latex("Efficiency", efficiency.shown(table, tex), lines, "efficiency"))


def write_controls(checked: pd.DataFrame, out: Path) -> None:
    """Which promised orders hold on this run."""
    shown = checked.copy()
    for column in ("better_value", "worse_value"):
        shown[column] = ["–" if pd.isna(v) else f"{v:.4g}" for v in checked[column]]
    shown = shown.rename(columns=lambda name: name.replace("_", " "))
    lines = [
        f"{counts(checked)}.",
        "Each line is an order that the metric's card promises on controls; a metric that violates one is no "
        "evidence on this run. Equal values are a violation, because the metric does not tell the two apart; level is "
        "the one order that may be so: the autoencoder's round trip, where people do not tell it from the truth.",
        "'Not told from' is what the metric cannot see: the wrong control lies nearer to the right one than to a still "
        "face. Where it does not, the metric sees more than its card says.",
    ]
    write_text(out / "controls.csv", checked.to_csv(index=False, float_format="%.9g", lineterminator="\n"))
    bold = shown.assign(verdict=[f"**{v}**" if v == VIOLATED else v for v in shown["verdict"]])
    write_text(out / "controls.md", markdown("Controls", bold, lines))
    write_text(out / "controls.tex", latex("Controls", shown.map(tex), lines, "controls"))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m reporting.tables", description=__doc__)
    parser.add_argument("--metrics", nargs="+", type=Path, help="result files, or folders with <method>/seed<k>.csv")
    parser.add_argument(
        "--rows", default="{}", help="JSON or @file: row name -> label, group; class, seeds, start, weights, fixed"
    )
    parser.add_argument("--options", "--config", default="{}", help="JSON object or @file; see TableOptions")
    parser.add_argument("--results", type=Path, help="folder with models, videos, logs; default: that of the metrics")
    parser.add_argument("--manifest", type=Path, help="the data's manifest.csv: dialogues of one person go together")
    parser.add_argument("--out", type=Path, help="folder of the tables")
    parser.add_argument("--backbones-per-seed", action="store_true", help="each seed has backbones of its own")
    parser.add_argument("--threads", type=int, default=1, help="processes, where readings are many")
    parser.add_argument("--print", type=Path, dest="shown", metavar="FILE", help="show a table in the terminal")
    args = parser.parse_args(arguments)
    if args.shown:
        if not args.shown.is_file():
            raise DataError(f"{args.shown} does not exist; make the tables first.")
        sys.stdout.write(args.shown.read_text(encoding="utf-8"))
        return
    if not args.metrics or not args.out:
        raise ConfigError("--metrics and --out are both needed (or --print FILE); see --help.")
    options = from_dict(TableOptions, parse_json(args.options, "--options"), "tables")
    files = result_files(args.metrics)
    given = checked_rows(parse_json(args.rows, "--rows"))
    if args.threads < 1:
        raise ConfigError(f"--threads is {args.threads}, but must be at least 1.")
    write_tables(files, given, options, args.out, args.results, args.manifest, args.backbones_per_seed, args.threads)
    print(f"tables of {len(files)} result files -> {args.out}", flush=True)


if __name__ == "__main__":
    run_cli(main)
