"""The report's tables: every CSV of `tables/` as cells that sort, each number with the rows it comes from."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from evaluation.cards import OK
from evaluation.controls_check import ALIASES
from evaluation.registry import cards
from evaluation.rendering import decimals, ranks, truth_value
from evaluation.report.study import Study, reason
from evaluation.tables import unmeasured

FIRST = ("main_table", "ablations_table")  # the rest follows by name
LEFT_OUT = ("summary", "claims")  # a machine's file; a section of its own
PARTIES = ("method", "better", "worse", "first", "second", "row", "own")  # columns that name a row of the study
HIDDEN = ("method", "group", "seeds_asked", "label", "status")
CHIPS = ("supported", "contradicted", "inconclusive", "not_measured", "holds", "violated", "undefined")


@dataclass(frozen=True)
class Head:
    """A column's heading, what hovering over it explains, and whether it holds numbers."""

    text: str
    tip: str = ""
    numeric: bool = False


@dataclass(frozen=True)
class Cell:
    """What a reader sees, what sorting compares, and which rows and `metric/part` a number comes from."""

    text: str
    sort: float | str
    mark: str = ""  # best, second, absent, chip ...
    methods: tuple[str, ...] = ()
    key: str = ""
    note: str = ""


@dataclass(frozen=True)
class Line:
    """One row of a table; `method` and `group` are empty where the table is not one of methods."""

    cells: list[Cell]
    method: str = ""
    group: str = ""


@dataclass
class Sheet:
    """One table of the page; `problem` says why it has no lines."""

    name: str
    title: str
    heads: list[Head] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    problem: str = ""

    @property
    def partly(self) -> bool:
        """Whether some mean leaves out values that are undefined."""
        return any(cell.note and cell.mark != "absent" for line in self.lines for cell in line.cells)

    @property
    def groups(self) -> list[str]:
        return list(dict.fromkeys(line.group for line in self.lines if line.group))


def read_sheets(study: Study, summary: pd.DataFrame) -> list[Sheet]:
    """All tables of the study, the main one first; a damaged file becomes a table that says so.

    Args:
        study: of `read_study`.
        summary: of `evaluation.summary.summarise`.
    """
    folder = study.results / "tables"
    names = {path.stem for path in folder.glob("*.csv")} - set(LEFT_OUT)
    order = [name for name in FIRST if name in names] + sorted(names - set(FIRST))
    return [read_sheet(folder / f"{name}.csv", study, summary) for name in order]


def read_sheet(path: Path, study: Study, summary: pd.DataFrame) -> Sheet:
    """One table with the title and the notes of the Markdown file beside it."""
    title, notes = _beside(path.with_suffix(".md"))
    sheet = Sheet(path.stem, title or path.stem.replace("_", " ").capitalize(), notes=notes)
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
        _fill_measured(sheet, table, measured, summary)
    else:
        _fill_plain(sheet, table, study)
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


def _fill_measured(sheet: Sheet, table: pd.DataFrame, measured: list[str], summary: pd.DataFrame) -> None:
    """A table of methods and metrics: mean ± sd, best and second best, undefined values with their reason."""
    known = cards()
    pairs = {name: (known.get(name.partition("/")[0]), name.partition("/")[2]) for name in measured}
    gone = unmeasured(table, [pair for pair in pairs.values() if pair[0] and pair[1] in pair[0].all_parts])
    shown = {name: pair for name, pair in pairs.items() if pair not in gone}
    plain = [name for name in table.columns if name not in HIDDEN and "/" not in name]
    failed = bool((table["status"] != OK).any())
    before = [name for name in plain if name == "seeds"]
    after = [name for name in plain if name != "seeds"]  # budgets; what was measured comes first
    sheet.heads = [Head("method"), *(_plain_head(name, table) for name in before)]
    ranked, digits = {}, {}
    for name, (card, part) in shown.items():
        truth = truth_value(card, part, summary) if card and card.direction == "truth" else math.nan
        digits[name] = decimals(table[f"{name}_mean"])
        ranked[name] = ranks(table, card, part, truth) if card else {}
        sheet.heads.append(_head(card, name, part, truth, digits[name]))
    sheet.heads += [_plain_head(name, table) for name in after]
    if failed:
        sheet.heads.insert(1, Head("missing"))
    for index, line in table.iterrows():
        method = str(line["method"])
        cells = [Cell(str(line["label"]), str(line["label"]).lower(), "name", (method,))]
        cells += [_seeds(line) for _ in before]
        cells += [_measured(line, name, digits[name], ranked[name].get(index), method) for name in shown]
        cells += [_plain(line[name], (method,)) for name in after]
        if failed:
            state = "" if line["status"] == OK else str(line["status"])
            cells.insert(1, Cell(state, state, "status" if state else ""))
        sheet.lines.append(Line(cells, method, str(line["group"])))


def _plain_head(name: str, table: pd.DataFrame) -> Head:
    return Head(str(name).replace("_", " "), numeric=_numeric(table[name]))


def _head(card, name: str, part: str, truth: float, digits: int) -> Head:
    if card is None:
        return Head(name, numeric=True)
    text = card.label if len(card.parts) == 1 else f"{card.label}, {part}"
    goal = f" {truth:.{digits}f}" if math.isfinite(truth) else ""
    return Head(f"{text} {card.arrow}{goal}", f"[{card.unit}] {card.protocol}", True)


def _measured(line: pd.Series, name: str, digits: int, rank: int | None, method: str) -> Cell:
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
    return Cell(text, float(mean), mark, (method,), name, note)


def _seeds(line: pd.Series) -> Cell:
    run, asked = int(line["seeds"]), int(line.get("seeds_asked", line["seeds"]))
    return Cell(f"{run}" if run >= asked else f"{run} of {asked}", run, methods=(str(line["method"]),))


def _fill_plain(sheet: Sheet, table: pd.DataFrame, study: Study) -> None:
    """Any other table: its columns as they are; names of rows lead to them."""
    labels = {method.name: method.label for method in study.methods}
    called = {control: name for name, control in reversed(ALIASES.items()) if name in labels} | dict(
        zip(labels, labels, strict=True)
    )
    table = table.dropna(axis="columns", how="all")
    table = table[[name for name in table.columns if name != "label" or "method" not in table]]
    sheet.heads = [_plain_head(name, table) for name in table.columns]
    numeric = {name: _numeric(table[name]) for name in table.columns}
    group = {method.name: method.group for method in study.methods}
    for line in table.to_dict("records"):
        named = [called[str(line[name])] for name in PARTIES if str(line.get(name)) in called]
        methods, key = tuple(dict.fromkeys(named)), _key(line)
        cells = []
        for name, value in line.items():
            if pd.isna(value) and not numeric[name]:
                cells.append(Cell("", ""))
            elif name in PARTIES and str(value) in called:
                row = called[str(value)]
                cells.append(Cell(labels[row], labels[row].lower(), "name", (row,)))
            else:
                cells.append(_plain(value, methods, key))
        own = called.get(str(line.get("method")), "")
        sheet.lines.append(Line(cells, own, group.get(own, "")))


def _key(line: Mapping[str, object]) -> str:
    metric, part = line.get("metric"), line.get("part")
    return f"{metric}/{part}" if isinstance(metric, str) and isinstance(part, str) else str(metric or "")


def _numeric(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def _plain(value: object, methods: tuple[str, ...] = (), key: str = "") -> Cell:
    """One value as it stands; only numbers lead to the rows they come from."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return Cell("–", math.nan, "absent")
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        text = str(value)
        return Cell(
            text.replace("_", " ") if text in CHIPS else text, text.lower(), f"chip {text}" if text in CHIPS else ""
        )
    whole = float(value).is_integer() and abs(value) < 1e15
    text = f"{int(value):,}" if whole else f"{value:.4g}"
    return Cell(text, float(value), methods=methods, key=key)


def control_counts(results: Path) -> dict[str, int]:
    """How many promised orders of the controls hold, are violated, are undefined; empty without that table."""
    path = results / "tables" / "controls.csv"
    if not path.exists():
        return {}
    try:
        return {str(k): int(v) for k, v in pd.read_csv(path)["verdict"].value_counts().items()}
    except (ValueError, KeyError):
        return {}
