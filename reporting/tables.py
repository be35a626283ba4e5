"""Tables from tidy result rows: `python -m reporting.tables --metrics FILES|DIR --rows JSON --out DIR`.

Writes main_table, ablations_table, talking_table, listening_table, efficiency_table and controls, each as .csv
(machine readable), .md and .tex, and every metric and part in full_table. Tidy beside them: comparisons.csv (every
row against the main one), ranks.csv, values.csv (per seed), summary.csv and metrics.csv (what each metric is). A row
that was asked for and has no results keeps its line, with the reason. `python -m reporting.tables --print FILE.md`
shows a table in the terminal.
"""

import argparse
import math
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from analysis import comparisons, people
from analysis.controls_check import VIOLATED, check_controls, control_name, counts
from analysis.pairing import Readings, readings_of, trainings_of
from analysis.ranking import rank_table
from analysis.study_rows import Row, study_rows
from analysis.summary import seed_values, summarise
from dyads.errors import ConfigError, DataError, run_cli
from dyads.files import write_text
from evaluation import efficiency
from evaluation.cards import STATUSES, MetricCard, count_part
from evaluation.readings import talking_listening
from evaluation.readings.talking_listening import state_rows
from evaluation.registry import cards
from evaluation.rows import read_rows, result_files
from reporting.full_table import write_full_table
from reporting.table_cells import BUDGET, cells_of, estimates, latex, markdown, notes, shown_table, tex
from training.options import from_dict, parse_json

DEFAULT_COLUMNS = (
    *("mouth_opening_correlation/speech", "expression_correlation/all", "expression_amplitude/all"),
    *("motion_mse/all", "motion_fd_clip/all", "motion_fd_pooled/all", "rpcc/expression", "sid/expression", "var/all"),
    *("fid_small/frame", "fvd_small/window", "csim_small/frame", "lse_d_small/speech", "lse_c_small/speech"),
    *("ssim/frame", "psnr/frame", "lpips_small/frame", "clip_border/picture"),
    # By reference networks: shown where their weights are given, else named below the table.
    *("fid/frame", "fvd/window", "csim/frame", "lse_d/speech", "lse_c/speech", "lpips/frame"),
)
TALKING_COLUMNS = (
    *("mouth_opening_correlation/speech", "lse_d_small/speech", "lse_c_small/speech", "lse_d/speech", "lse_c/speech"),
    *("motion_mse/lips", "motion_fd_pooled/lips"),
    *("var/lips", "motion_mse/expression", "expression_correlation/all", "expression_amplitude/all"),
    *("motion_fd_pooled/pose", "fid_small/frame"),
)
LISTENING_COLUMNS = (
    *("expression_correlation/all", "expression_amplitude/all", "expression_valence/smile"),
    *("nod_correlation/due", "nod_delay/due"),
    *("motion_mse/expression", "motion_fd_pooled/expression", "motion_fd_pooled/pose", "rpcc/expression", "rpcc/pose"),
    *("sid/expression", "sid/pose", "var/expression", "var/pose", "fid_small/frame"),
)


@dataclass(frozen=True)
class Table:
    """A table of methods: which groups of rows, in which order; its columns, and whose frames count."""

    title: str
    groups: tuple[str, ...]
    columns: tuple[str, ...] = DEFAULT_COLUMNS
    state: talking_listening.State | None = None


ROWS = ("main", "baseline", "ablation", "control")
TABLES = {
    "main_table": Table("Main results", ("main", "baseline", "control")),
    "ablations_table": Table("Ablations", ("main", "ablation", "control")),
    "talking_table": Table("While the avatar speaks", ROWS, TALKING_COLUMNS, "talking"),
    "listening_table": Table("While the avatar listens", ROWS, LISTENING_COLUMNS, "listening"),
}


@dataclass(frozen=True)
class TableOptions:
    """`columns`: `metric/part` of the main and ablations tables, empty for the default; `note`: a sentence below."""

    columns: tuple[str, ...] = ()
    note: str = ""


@dataclass
class Study:
    """What the tables are made of: rows asked for or found, tidy values, readings, and where they come from.

    `given`: row name -> label, group and, optionally, class, seeds, start, weights, fixed (no seed changes it).
    """

    rows: list[Row]
    values: pd.DataFrame
    given: dict[str, dict]
    readings: Readings = field(default_factory=Readings)
    budget: dict[str, dict] = field(default_factory=dict)
    note: str = ""


def chosen_columns(names: tuple[str, ...]) -> list[tuple[MetricCard, str]]:
    """(card, part) of each column `metric/part`; ConfigError for a name no card has."""
    known, found = cards(), []
    for name in names:
        metric, _, part = name.partition("/")
        card = known.get(metric)
        if card is None:
            raise ConfigError(f"table column {name!r} names no metric; known are {', '.join(known)}.")
        part = part or card.parts[-1]
        if part not in card.all_parts:
            raise ConfigError(f"table column {name!r} names no part; {metric} has {', '.join(card.all_parts)}.")
        found.append((card, part))
    return found


def machine_table(
    rows: list[Row], columns, summary: pd.DataFrame, budget: dict[str, dict], values: pd.DataFrame | None = None
) -> pd.DataFrame:
    """The .csv: method, group, label, seeds, steps, samples, parameters, status, then mean, sd, n, undefined, total.

    `lacking`: the share of dialogues without a value of some seed (`people.lacking` of the tidy rows `values`), which
    decides whether the row can be best. Where nearer to the truth is better, the `distance` to it; of a set's Frechet
    distances the number of samples on each side.
    """
    lines, known = [], cells_of(summary)
    lack = {}
    for card, part in columns if values is not None else ():
        if card.per == "clip":
            lack[card.name, part] = people.lacking(values, card.name, part)
    for row in rows:
        line = {"method": row.method, "group": row.group, "seeds": row.seeds, "seeds_asked": row.asked}
        line |= {key: budget.get(row.method, {}).get(key) for key in BUDGET}
        line |= {"label": row.label, "status": row.status}
        for card, part in columns:
            name, key = f"{card.name}/{part}", (row.method, card.name, part)
            got = known.get(key)
            line[f"{name}_mean"] = math.nan if got is None else got["mean"]
            line[f"{name}_sd"] = math.nan if got is None else got["sd"]
            line[f"{name}_n"] = 0 if got is None else int(got["n"])
            line[f"{name}_undefined"] = 0 if got is None else int(got["undefined"])
            line[f"{name}_total"] = 0 if got is None else int(got["count"])
            line[f"{name}_status"] = "not_run" if got is None else got["status"]
            if (card.name, part) in lack:
                line[f"{name}_lacking"] = lack[card.name, part].get(row.method, 1.0)
            if card.direction == "truth":
                line[f"{name}_distance"] = math.nan if got is None else got["distance"]
            count = (row.method, card.name, count_part(part))
            if card.estimate:
                line[f"{name}_samples"] = known[count]["mean"] if count in known else math.nan
        lines.append(line)
    return pd.DataFrame(lines)


def unmeasured(table: pd.DataFrame, columns) -> dict[tuple[MetricCard, str], str]:
    """Columns that no row can fill because data or weights are missing, with that status."""
    found = {}
    for card, part in columns:
        states = set(table[f"{card.name}/{part}_status"]) - {"not_run", "missing_video", "length_mismatch"}
        if len(states) == 1 and states <= {"weights_missing", "no_truth", "no_mesh"}:
            found[card, part] = states.pop()
    return found


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
    study = Study(found, rows, given, readings, budget, options.note)
    values = seed_values(rows)
    summary = summarise(values)
    compared, ranked = [], []
    for name, table in TABLES.items():
        plain = table.state is None
        columns = chosen_columns((options.columns or table.columns) if plain else table.columns)
        own = rows if plain else state_rows(rows, study.readings.files, table.state, columns, workers)
        means = summary if plain else summarise(seed_values(own))
        differences = _write_table(name, table, columns, own, means, study, out)
        compared.append(differences.assign(table=name))
        if plain:
            methods = [row.method for row in found if row.group in table.groups and row.group != "control"]
            ranked.append(rank_table(rows, methods, columns, study.readings.subjects).assign(table=name))
    _write_csv(pd.concat(compared), out / "comparisons.csv")
    _write_csv(pd.concat(ranked), out / "ranks.csv")
    _write_csv(values, out / "values.csv")
    _write_csv(summary.reset_index(), out / "summary.csv")
    _write_csv(catalogue(), out / "metrics.csv")
    write_efficiency(study, results, out)
    write_full_table(found, summary, out)
    names = {row.method: control_name(row.method, given.get(row.method, {}).get("class", "")) for row in found}
    write_controls(check_controls(summary, names), out)


def _write_table(
    name: str, table: Table, columns, values: pd.DataFrame, summary: pd.DataFrame, study: Study, out: Path
) -> pd.DataFrame:
    """One table of methods in three formats, from tidy rows and their summary; its differences from the main row."""
    order = [row for group in table.groups for row in study.rows if row.group == group] or study.rows
    machine = machine_table(order, columns, summary, study.budget, values)
    dropped = unmeasured(machine, columns)
    seen = [column for column in columns if column not in dropped]
    lines = notes(machine, seen, values, study.note) + estimates(machine, seen, summary)
    if table.state:
        lines.insert(0, talking_listening.note(table.state))
    reference = next((row for row in order if row.group == "main"), None)
    differences = pd.DataFrame(columns=list(comparisons.COLUMNS))
    if reference is not None:
        methods = [row.method for row in order if row.group != "control"]
        fixed = [row.method for row in order if study.given.get(row.method, {}).get("fixed")]
        readings = replace(study.readings, asked=[(card.name, part) for card, part in columns])
        if table.state:
            readings = replace(readings, cut=lambda clip: talking_listening.masked(clip, table.state), _known={})
        differences = comparisons.compare_rows(values, reference.method, methods, seen, readings, fixed)
        lines.append(comparisons.note(differences, reference.label))
        lines += filter(None, [comparisons.power_note(differences, seen)])
    lines += [f"Not measured, {STATUSES[why]}: {card.label}." for (card, _), why in dropped.items()]
    _write_csv(machine, out / f"{name}.csv")
    marks = comparisons.marks(differences)
    write_text(out / f"{name}.md", markdown(table.title, shown_table(machine, seen, summary, "md", marks), lines))
    in_tex = shown_table(machine, seen, summary, "tex", marks)
    in_tex = in_tex.rename(columns={key: tex(key) for key in ("method", *BUDGET)})
    write_text(out / f"{name}.tex", latex(table.title, in_tex, lines, name))
    return differences


def _write_csv(table: pd.DataFrame, path: Path) -> None:
    write_text(path, table.to_csv(index=False, float_format="%.9g", lineterminator="\n"))


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
    _write_csv(table, out / "efficiency_table.csv")
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
        "evidence on this run. Equal values are a violation, because the metric does not tell the two apart.",
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
    given = parse_json(args.rows, "--rows")
    write_tables(files, given, options, args.out, args.results, args.manifest, args.backbones_per_seed, args.threads)
    print(f"tables of {len(files)} result files -> {args.out}", flush=True)


if __name__ == "__main__":
    run_cli(main)
