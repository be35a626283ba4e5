"""Tables of the report that are no tables of methods by metrics: costs, controls, comparisons, every metric."""

import math
import re
from collections.abc import Mapping

import pandas as pd

from analysis.controls_check import ALIASES
from evaluation.efficiency import BUDGET, MEASURES
from evaluation.registry import cards
from reporting.page.sheet_cells import Cell, Head, Line, Sheet
from reporting.page.study_files import Study

# Columns that name a row of the study.
PARTIES = ("method", "reference", "better", "worse", "first", "second", "row", "of", "own")
CHIPS = ("supported", "contradicted", "inconclusive", "not_measured", "holds", "level", "violated", "undefined")
NUMBER = re.compile(r"-?\d[\d.]*(e[+-]\d+)?")


def fill_costs(sheet: Sheet, table: pd.DataFrame) -> None:
    """The table of costs: mean ± sd over seeds; what is missing says of which seed."""
    lacks = (table["missing"].fillna("") != "").any()
    heads = [*BUDGET, *(heading for heading, _ in MEASURES.values())]
    sheet.heads = [Head("method"), Head("seeds", numeric=True), *(Head(head, numeric=True) for head in heads)]
    sheet.heads += [Head("missing")] if lacks else []
    for line in table.to_dict("records"):
        method = str(line["method"])
        cells = [Cell(str(line["label"]), str(line["label"]).lower(), "name", (method,))]
        cells += [plain(line[name], (method,)) for name in ("seeds", *BUDGET)]
        for name, (_, digits) in MEASURES.items():
            mean, sd = line[f"{name}_mean"], line[f"{name}_sd"]
            text = f"{mean:,.{digits}f}" + (f" ± {sd:,.{digits}f}" if math.isfinite(sd) else "")
            cells.append(Cell(text, float(mean), "", (method,)) if math.isfinite(mean) else plain(None))
        if lacks:
            gone = line["missing"] if isinstance(line["missing"], str) else ""
            cells.append(Cell(gone, gone, "status" if gone else ""))
        sheet.lines.append(Line(cells, method, str(line["group"])))


def fill_plain(sheet: Sheet, table: pd.DataFrame, study: Study) -> None:
    """Any other table: its columns as they are; names of rows, and numbers, lead to the rows."""
    labels = {method.name: method.label for method in study.methods}
    called = {control: name for name, control in reversed(ALIASES.items()) if name in labels} | dict(
        zip(labels, labels, strict=True)
    )
    table = table.dropna(axis="columns", how="all")
    table = table[[name for name in table.columns if name != "label" or "method" not in table]]
    across = [name for name in table.columns if name in labels]  # a column for each row of the study
    sheet.heads = [_head(name, table, labels) for name in table.columns]
    numeric = {name: _numeric(table[name]) for name in table.columns}
    group = {method.name: method.group for method in study.methods}
    for line in table.to_dict("records"):
        named = [called[str(line[name])] for name in PARTIES if str(line.get(name)) in called]
        methods, key = tuple(dict.fromkeys(named)), _key(line)
        cells = []
        for name, value in line.items():
            if pd.isna(value) and not numeric[name]:
                cells.append(Cell("", ""))
            elif name in across:
                cells.append(_written(str(value), name, key))
            elif name in PARTIES and str(value) in called:
                row = called[str(value)]
                cells.append(Cell(labels[row], labels[row].lower(), "name", (row,)))
            elif name == "metric" and str(value) in cards():
                label = cards()[str(value)].label
                cells.append(Cell(label, label.lower(), note=str(value)))
            else:
                cells.append(plain(value, methods, key))
        own = called.get(str(line.get("method")), "")
        sheet.lines.append(Line(cells, own, group.get(own, "")))


def _head(name: str, table: pd.DataFrame, labels: Mapping[str, str]) -> Head:
    return Head(labels.get(name, str(name).replace("_", " ")), numeric=name in labels or _numeric(table[name]))


def _written(text: str, method: str, key: str) -> Cell:
    """A number with its spread as text, '0.30 ± 0.01', or the reason why there is none."""
    number = NUMBER.match(text)
    return Cell(text, float(number[0]) if number else math.nan, "" if number else "absent", (method,), key)


def _key(line: Mapping[str, object]) -> str:
    metric, part = line.get("metric"), line.get("part")
    return f"{metric}/{part}" if isinstance(metric, str) and isinstance(part, str) else str(metric or "")


def _numeric(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def plain_head(name: str, table: pd.DataFrame) -> Head:
    """A heading from a column's name."""
    return Head(str(name).replace("_", " "), numeric=_numeric(table[name]))


def plain(value: object, methods: tuple[str, ...] = (), key: str = "") -> Cell:
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
