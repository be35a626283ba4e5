"""Tables from tidy result rows: `python -m evaluation.tables --metrics FILES|DIR --rows JSON --out DIR`.

Writes main_table, ablations_table and controls, each as .csv (machine readable), .md and .tex, and every metric and
part in full_table and summary.csv; `python -m evaluation.tables --print FILE.md` shows one in the terminal.
"""

import argparse
import math
import sys
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from dyads.errors import ConfigError, DataError, run_cli
from dyads.files import write_text
from evaluation.cards import OK, STATUSES, MetricCard
from evaluation.controls_check import VIOLATED, check_controls, control_name, counts
from evaluation.full_table import write_full_table
from evaluation.registry import cards
from evaluation.rendering import BUDGET, latex, markdown, notes, shown_table, tex
from evaluation.summary import WHOLE_SET, budgets, read_rows, result_files, seed_values, summarise
from training.options import from_dict, parse_json

DEFAULT_COLUMNS = (
    *("mouth_opening_correlation/speech", "expression_correlation/all", "expression_amplitude/all"),
    *("motion_mse/all", "motion_fd_pooled/all", "rpcc/expression", "sid/expression", "var/all"),
    *("fid_small/frame", "ssim/frame", "psnr/frame", "lpips_small/frame", "lse_d/speech", "lse_c/speech"),
)
TABLES = {
    "main_table": (("main", "baseline", "control"), "Main results"),
    "ablations_table": (("main", "ablation", "control"), "Ablations"),
}


@dataclass(frozen=True)
class TableOptions:
    """`columns`: `metric/part` of the table's columns; empty means the default; `note`: a sentence below."""

    columns: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Row:
    """One method of a table: its name in the results, label, group, seeds (run, asked for) and what went wrong."""

    method: str
    label: str
    group: str
    seeds: int
    asked: int
    status: str


def chosen_columns(options: TableOptions) -> list[tuple[MetricCard, str]]:
    """(card, part) of each column; ConfigError for a name no card has."""
    known, found = cards(), []
    for name in options.columns or DEFAULT_COLUMNS:
        metric, _, part = name.partition("/")
        card = known.get(metric)
        if card is None:
            raise ConfigError(f"table column {name!r} names no metric; known are {', '.join(known)}.")
        part = part or card.parts[-1]
        if part not in card.all_parts:
            raise ConfigError(f"table column {name!r} names no part; {metric} has {', '.join(card.all_parts)}.")
        found.append((card, part))
    return found


def study_rows(given: dict, files: list[Path], rows: pd.DataFrame) -> list[Row]:
    """Every row that was asked for, measured or not, in the order of `given`, then the rest by name."""
    asked: dict[str, set[int]] = {name: set() for name in given}
    for name, entry in given.items():
        asked[name].update(entry.get("seeds") or ())
    for path in files:
        if path.stem.removeprefix("seed").isdigit():
            asked.setdefault(path.parent.name, set()).add(int(path.stem.removeprefix("seed")))
    for method, seed in rows[["method", "seed"]].drop_duplicates().itertuples(index=False):
        asked.setdefault(method, set()).add(seed)
    found = []
    for method, seeds in asked.items():
        entry = given.get(method, {})
        own = rows[rows["method"] == method]
        group = entry.get("group") or ("control" if control_name(method) in _controls() else "main")
        found.append(
            Row(method, entry.get("label", method), group, own["seed"].nunique(), len(seeds), _status(own, seeds))
        )
    return found


def _controls() -> set[str]:
    return {name for card in cards().values() for pair in card.separates for name in pair if isinstance(name, str)}


def _status(own: pd.DataFrame, seeds: set[int]) -> str:
    """'ok', or the seeds that were not run and the clips without a usable video."""
    if own.empty:
        return "not_run"
    missing = sorted(seeds - set(own["seed"]))
    problems = [f"not_run: seed {', '.join(map(str, missing))}"] if missing else []
    for status in ("missing_video", "length_mismatch"):
        clips = own[(own["status"] == status) & (own["clip"] != WHOLE_SET)]
        number = len(clips[["seed", "clip"]].drop_duplicates())
        total = len(own.loc[own["clip"] != WHOLE_SET, ["seed", "clip"]].drop_duplicates())
        problems += [f"{status}: {number} of {total} clips"] if number else []
    return "; ".join(problems) or OK


def machine_table(rows: list[Row], columns, summary: pd.DataFrame, budget: dict[str, dict]) -> pd.DataFrame:
    """The .csv: method, group, label, seeds, steps, samples, parameters, status, then mean, sd, n, undefined, total."""
    lines = []
    for row in rows:
        line = {"method": row.method, "group": row.group, "seeds": row.seeds, "seeds_asked": row.asked}
        line |= {key: budget.get(row.method, {}).get(key) for key in BUDGET}
        line |= {"label": row.label, "status": row.status}
        for card, part in columns:
            name, key = f"{card.name}/{part}", (row.method, card.name, part)
            got = summary.loc[key] if key in summary.index else None
            line[f"{name}_mean"] = math.nan if got is None else got["mean"]
            line[f"{name}_sd"] = math.nan if got is None else got["sd"]
            line[f"{name}_n"] = 0 if got is None else int(got["n"])
            line[f"{name}_undefined"] = 0 if got is None else int(got["undefined"])
            line[f"{name}_total"] = 0 if got is None else int(got["count"])
            line[f"{name}_status"] = "not_run" if got is None else got["status"]
        lines.append(line)
    return pd.DataFrame(lines)


def unmeasured(table: pd.DataFrame, columns) -> dict[tuple[MetricCard, str], str]:
    """Columns that no row can fill because data or weights are missing, with that status."""
    found = {}
    for card, part in columns:
        states = set(table[f"{card.name}/{part}_status"]) - {"not_run", "missing_video", "length_mismatch"}
        if len(states) == 1 and states <= {"weights_missing", "no_truth"}:
            found[card, part] = states.pop()
    return found


def write_tables(files: list[Path], given: dict, options: TableOptions, out: Path, models: Path | None = None) -> None:
    """All three tables in three formats; a row without results is shown with its status."""
    columns, rows = chosen_columns(options), read_rows(files)
    summary = summarise(seed_values(rows))
    study = study_rows(given, files, rows)
    if not study:
        raise DataError("no result files and no rows were given; run evaluation first, or name the rows by --rows.")
    budget = budgets(files, models)
    for name, (groups, title) in TABLES.items():
        order = [row for group in groups for row in study if row.group == group]
        table = machine_table(order or study, columns, summary, budget)
        dropped = unmeasured(table, columns)
        seen = [column for column in columns if column not in dropped]
        lines = notes(table, seen, rows, options.note)
        lines += [f"Not measured, {STATUSES[why]}: {card.label}." for (card, _), why in dropped.items()]
        write_text(out / f"{name}.csv", table.to_csv(index=False, float_format="%.9g", lineterminator="\n"))
        write_text(out / f"{name}.md", markdown(title, shown_table(table, seen, summary, "md"), lines))
        in_tex = shown_table(table, seen, summary, "tex").rename(columns={k: tex(k) for k in ("method", *BUDGET)})
        write_text(out / f"{name}.tex", latex(title, in_tex, lines, name))
    numbers = summary.reset_index().to_csv(index=False, float_format="%.9g", lineterminator="\n")
    write_text(out / "summary.csv", numbers)
    write_full_table(study, summary, out)
    names = {row.method: control_name(row.method, given.get(row.method, {}).get("class", "")) for row in study}
    write_controls(check_controls(summary, names), out)


def write_controls(checked: pd.DataFrame, out: Path) -> None:
    """Which promised orders hold on this run."""
    shown = checked.copy()
    for column in ("better_value", "worse_value"):
        shown[column] = ["–" if pd.isna(v) else f"{v:.4g}" for v in checked[column]]
    shown = shown.rename(columns=lambda name: name.replace("_", " "))
    lines = [
        f"{counts(checked)}.",
        "Each line is an order that the metric's card promises on controls; a metric that violates one is no "
        "evidence on this run. Equal values are a violation, because the metric does not tell the two apart.",
        "'Not told from' is what the metric cannot see: the wrong control lies nearer to the right one than to a still "
        "face. Where it does not, the metric sees more than its card says.",
    ]
    write_text(out / "controls.csv", checked.to_csv(index=False, float_format="%.9g", lineterminator="\n"))
    bold = shown.assign(verdict=[f"**{v}**" if v == VIOLATED else v for v in shown["verdict"]])
    write_text(out / "controls.md", markdown("Controls", bold, lines))
    write_text(out / "controls.tex", latex("Controls", shown.map(tex), lines, "controls"))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m evaluation.tables", description=__doc__)
    parser.add_argument("--metrics", nargs="+", type=Path, help="result files, or folders with <method>/seed<k>.csv")
    parser.add_argument(
        "--rows", default="{}", help="JSON or @file: row name -> label, group and, optionally, class, seeds"
    )
    parser.add_argument("--options", "--config", default="{}", help="JSON object or @file; see TableOptions")
    parser.add_argument("--models", type=Path, help="folder with <method>/seed<k>.json; default: beside the metrics")
    parser.add_argument("--out", type=Path, help="folder of the tables")
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
    write_tables(files, parse_json(args.rows, "--rows"), options, args.out, args.models)
    print(f"tables of {len(files)} result files -> {args.out}", flush=True)


if __name__ == "__main__":
    run_cli(main)
