"""Every metric, variant and part of every row: too many columns for a page, so metrics go down and methods across."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from dyads.files import write_text
from evaluation.cards import OK, STATUSES, count_part
from evaluation.registry import cards
from reporting.table_cells import cells_of, decimals, interval_text, markdown, truth_value

GROUPS = ("main", "baseline", "ablation", "control")
NOTES = (
    "One line per metric and part, one column per method; mean ± standard deviation (N - 1) over seeds.",
    "↑ higher is better, ↓ lower is better, → nearer to the truth's own value, given beside the arrow. What each "
    "metric is, and which variant of it others compute, stands in docs/metrics.md.",
    "[k/n undefined]: values that could not be computed, of all asked for; they are in no mean.",
)


def full_table(methods: Sequence[str], summary: pd.DataFrame) -> pd.DataFrame:
    """Text cells, a line per metric and part that some method was measured on; `summary` of `analysis.summary`.

    Metrics that no method has, for want of weights, truth, timing or a judge, are left to `missing`.
    """
    lines, known = [], cells_of(summary)
    for card in cards().values():
        counts = {count_part(part) for part in card.parts} & set(card.estimate_parts)
        for part in card.parts + card.estimate_parts:
            cells = [known.get((method, card.name, part)) for method in methods]
            means = pd.Series([cell["mean"] if cell is not None else math.nan for cell in cells], dtype=float)
            if means.isna().all():
                continue
            digits, truth = decimals(means), truth_value(card, part, summary)
            aim = f"{card.arrow} {truth:.{digits}f}" if math.isfinite(truth) else card.arrow
            line = {"metric": card.name, "part": part, "unit": card.unit, "aim": aim}
            line |= {"unit": "sample", "aim": ""} if part in counts else {}
            told = [_text(cell, digits) for cell in cells]
            if card.interval:
                told = [
                    text + interval_text(m, card, part, summary, digits) for m, text in zip(methods, told, strict=True)
                ]
            lines.append(line | dict(zip(methods, told, strict=True)))
    return pd.DataFrame(lines, columns=["metric", "part", "unit", "aim", *methods])


def missing(methods: Sequence[str], summary: pd.DataFrame) -> list[str]:
    """'status: metric, metric' of the metrics no method has a value of."""
    found: dict[str, list[str]] = {}
    known = cells_of(summary)
    for card in cards().values():
        cells = [known.get((method, card.name, part)) for method in methods for part in card.parts]
        if all(cell is None or not math.isfinite(cell["mean"]) for cell in cells):
            states = [cell["status"] for cell in cells if cell is not None]
            found.setdefault(max(states, key=states.count) if states else "not_run", []).append(card.name)
    return [f"Not measured, {STATUSES[status]}: {', '.join(names)}." for status, names in found.items()]


def write_full_table(rows, summary: pd.DataFrame, out: Path) -> None:
    """full_table.csv and .md of `tables.Row` rows, in the tables' order of groups."""
    order = sorted(rows, key=lambda row: GROUPS.index(row.group) if row.group in GROUPS else len(GROUPS))
    methods = [row.method for row in order]
    table = full_table(methods, summary)
    write_text(out / "full_table.csv", table.to_csv(index=False, lineterminator="\n"))
    names = {row.method: f"{row.method} ({row.status})" if row.status != OK else row.method for row in order}
    shown = table.rename(columns=names).map(lambda cell: str(cell).replace("|", "\\|"))
    write_text(out / "full_table.md", markdown("Every metric", shown, [*NOTES, *missing(methods, summary)]))


def _text(cell: dict[str, Any] | None, digits: int) -> str:
    if cell is None:
        return "– (not_run)"
    if not math.isfinite(cell["mean"]):
        return f"– ({cell['status']})"
    text = f"{cell['mean']:.{digits}f}"
    if math.isfinite(cell["sd"]):
        text += f" ± {cell['sd']:.{digits}f}"
    return text + (f" [{int(cell['undefined'])}/{int(cell['count'])} undefined]" if cell["undefined"] else "")
