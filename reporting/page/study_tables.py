"""The report's tables: the CSVs of `tables/` as cells that sort, each number with the rows it comes from."""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd

from analysis.comparisons import marks
from evaluation.cards import OK
from evaluation.registry import cards
from reporting.method_tables import unmeasured
from reporting.page.plain_tables import fill_costs, fill_plain, plain, plain_head
from reporting.page.sheet_cells import Cell, Head, Line, Sheet
from reporting.page.study_files import Study, reason
from reporting.table_cells import decimals, interval_text, ranks, truth_value

FIRST = (
    *("main_table", "ablations_table", "talking_table", "listening_table", "efficiency_table", "controls"),
    *("swaps", "full_table"),
)  # the rest follows by name
FOLDED = ("comparisons", "ranks")  # long ones, shown when asked for
TIDY = ("values", "summary", "metrics", "claims")  # one value a line: files to compute with, no tables to read
HIDDEN = ("method", "group", "seeds_asked", "label", "status")
Marks = Mapping[tuple[str, str, str], str]  # (method, metric, part) -> the sign of a sure difference


def read_sheets(study: Study, summary: pd.DataFrame) -> list[Sheet]:
    """All tables of the study, the main one first; a damaged file becomes a table that says so.

    Args:
        study: of `read_study`.
        summary: of `analysis.summary.summarise`.
    """
    folder = study.results / "tables"
    names = {path.stem for path in folder.glob("*.csv")} - set(TIDY)
    order = [name for name in FIRST if name in names] + sorted(names - set(FIRST), key=lambda n: (n in FOLDED, n))
    signs = _signs(folder / "comparisons.csv")
    return [read_sheet(folder / f"{name}.csv", study, summary, signs.get(name, {})) for name in order]


def _signs(path: Path) -> dict[str, Marks]:
    """Table -> the marks of its sure differences; empty without readable comparisons."""
    try:
        compared = pd.read_csv(path).fillna({"better": ""})
        return {str(name): marks(own) for name, own in compared.groupby("table")}
    except (OSError, ValueError, KeyError):
        return {}


def read_sheet(path: Path, study: Study, summary: pd.DataFrame, signs: Marks) -> Sheet:
    """One table with the title and the notes of the Markdown file beside it."""
    title, notes = _beside(path.with_suffix(".md"))
    title = title or path.stem.replace("_", " ").capitalize()
    sheet = Sheet(path.stem, title, notes=notes, folded=path.stem in FOLDED)
    sheet.files = [
        path.with_suffix(suffix).name for suffix in (".csv", ".md", ".tex") if path.with_suffix(suffix).exists()
    ]
    try:
        table = pd.read_csv(path)
    except (ValueError, OSError) as error:  # pandas' own errors are ValueErrors
        sheet.problem = f"{path}: cannot be read ({error}); make the tables again."
        return sheet
    measured = [name.removesuffix("_mean") for name in table.columns if "/" in name and name.endswith("_mean")]
    if measured and {"method", "group", "label", "status"} <= set(table.columns):
        _fill_measured(sheet, table, measured, summary, signs)
    elif path.stem == "efficiency_table" and {"method", "label", "train_seconds_mean"} <= set(table.columns):
        fill_costs(sheet, table)
    else:
        fill_plain(sheet, table, study)
    if not sheet.lines:
        sheet.problem = "This table has no rows."
    return sheet


def _beside(page: Path) -> tuple[str, list[str]]:
    """Title and list of notes of a table's Markdown file; empty where there is none."""
    if not page.is_file():
        return "", []
    lines = page.read_text(encoding="utf-8").splitlines()
    title = next((line.lstrip("# ") for line in lines if line.startswith("#")), "")
    return title, [line[2:] for line in lines if line.startswith("- ")]


def _fill_measured(sheet: Sheet, table: pd.DataFrame, measured: list[str], summary: pd.DataFrame, signs: Marks) -> None:
    """A table of methods and metrics: mean ± sd, best, second best, sure differences, and why values are undefined."""
    known = cards()
    pairs = {name: (known.get(name.partition("/")[0]), name.partition("/")[2]) for name in measured}
    gone = unmeasured(table, [pair for pair in pairs.values() if pair[0] and pair[1] in pair[0].all_parts])
    shown = {name: pair for name, pair in pairs.items() if pair not in gone}
    others = [name for name in table.columns if name not in HIDDEN and "/" not in name]
    failed = bool((table["status"] != OK).any())
    before = [name for name in others if name == "seeds"]
    after = [name for name in others if name != "seeds"]  # budgets; what was measured comes first
    sheet.heads = [Head("method"), *(plain_head(name, table) for name in before)]
    ranked, digits = {}, {}
    for name, (card, part) in shown.items():
        truth = truth_value(card, part, summary) if card and card.direction == "truth" else math.nan
        digits[name] = decimals(table[f"{name}_mean"])
        ranked[name] = ranks(table, card, part, truth) if card else {}
        sheet.heads.append(_head(card, name, part, truth, digits[name]))
    sheet.heads += [plain_head(name, table) for name in after]
    if failed:
        sheet.heads.insert(1, Head("missing"))
    for index, line in table.iterrows():
        method = str(line["method"])
        cells = [Cell(str(line["label"]), str(line["label"]).lower(), "name", (method,))]
        cells += [_seeds(line) for _ in before]
        for name, (card, part) in shown.items():
            sign = signs.get((method, card.name, part), "") if card else ""
            cell = _measured(line, name, digits[name], ranked[name].get(index), method, sign)
            if card and card.interval:
                cell = replace(cell, text=cell.text + interval_text(method, card, part, summary, digits[name]))
            cells.append(cell)
        cells += [plain(line[name], (method,)) for name in after]
        if failed:
            state = "" if line["status"] == OK else str(line["status"])
            cells.insert(1, Cell(state, state, "status" if state else ""))
        sheet.lines.append(Line(cells, method, str(line["group"])))


def _head(card, name: str, part: str, truth: float, digits: int) -> Head:
    if card is None:
        return Head(name, numeric=True)
    text = card.label if len(card.parts) == 1 else f"{card.label}, {part}"
    goal = f" {truth:.{digits}f}" if math.isfinite(truth) else ""
    return Head(f"{text} {card.arrow}{goal}", f"[{card.unit}] {card.protocol}", True)


def _measured(line: pd.Series, name: str, digits: int, rank: int | None, method: str, sign: str) -> Cell:
    mean, failed, state = (line.get(f"{name}_{what}") for what in ("mean", "undefined", "status"))
    if not math.isfinite(mean):
        return Cell(f"– {state}", math.nan, "absent", (method,), name, reason(str(state)))
    text = f"{mean:.{digits}f}"
    spread = line.get(f"{name}_sd", math.nan)
    if math.isfinite(spread):
        text += f" ± {spread:.{digits}f}"
    mark = {1: "best", 2: "second"}.get(rank, "")
    partly = failed and math.isfinite(failed)
    note = f"{int(failed)} of {int(line[f'{name}_total'])} values undefined" if partly else ""
    return Cell(text, float(mean), mark, (method,), name, note, sign)


def _seeds(line: pd.Series) -> Cell:
    run, asked = int(line["seeds"]), int(line.get("seeds_asked", line["seeds"]))
    return Cell(f"{run}" if run >= asked else f"{run} of {asked}", run, methods=(str(line["method"]),))


def control_counts(results: Path) -> dict[str, int]:
    """How many promised orders of the controls hold, are violated, are undefined; empty without that table."""
    path = results / "tables" / "controls.csv"
    if not path.exists():
        return {}
    try:
        return {str(k): int(v) for k, v in pd.read_csv(path)["verdict"].value_counts().items()}
    except (ValueError, KeyError):
        return {}
