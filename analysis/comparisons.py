"""Every row of a table against its reference row: differences with intervals, by column, Holm within a column."""

import math
from collections.abc import Sequence

import pandas as pd

from analysis import stats
from analysis.pairing import compare, repeated
from analysis.people import LEAST_PEOPLE
from evaluation.cards import OK, STATUSES, MetricCard, count_part, truth_part
from evaluation.readings.by_row import GIVEN, Readings, for_every_seed

LEVEL = 0.05
COLUMNS = (
    *("method", "reference", "metric", "part", "basis", "estimate", "low", "high", "p", "p_holm", "better"),
    *("hodges_lehmann", "wilcoxon_p", "rank_biserial", "detectable", "people", "dialogues", "seeds", "about", "status"),
)
MARKS = {"better": "▲", "worse": "▼"}


def compare_rows(
    rows: pd.DataFrame,
    reference: str,
    methods: Sequence[str],
    columns: Sequence[tuple[MetricCard, str]],
    readings: Readings,
    fixed: Sequence[str] = (),
) -> pd.DataFrame:
    """One line per method and column: its difference from the reference, in the metric's unit.

    Args:
        rows: tidy result rows; set metrics by their value of the whole set, as the tables show them.
        reference: the row that all others stand against.
        fixed: rows that no seed changes; they are paired with every seed of the reference.
    """
    seeds = sorted(set(rows.loc[rows["method"] == reference, "seed"]))
    rows, readings = repeated(rows, fixed, seeds), for_every_seed(readings, fixed, seeds)
    lines = []
    for card, part in columns:
        here = rows[(rows["metric"] == card.name) & rows["part"].isin([part, truth_part(part), count_part(part)])]
        for method in methods:
            if method != reference:
                lines.append(_line(here, card, part, (method, reference), readings))
    table = pd.DataFrame(lines, columns=[name for name in COLUMNS if name not in ("p_holm", "better")])
    # A row that was asked for counts in its column's family, measured or not.
    table["p_holm"] = table.groupby(["metric", "part"], sort=False)["p"].transform(
        lambda p: stats.holm(p.to_numpy(), len(p))
    )
    directions = {card.name: card.direction for card, _ in columns}
    higher = table["metric"].map(directions).eq("higher")
    sure = table["p_holm"] <= LEVEL
    gain = (table["estimate"] > 0) == higher  # of a distance to the truth, less is better too
    table["better"] = ["" if not s else "better" if g else "worse" for s, g in zip(sure, gain, strict=True)]
    return table[list(COLUMNS)]


def _line(rows: pd.DataFrame, card: MetricCard, part: str, methods: tuple[str, str], readings: Readings) -> dict:
    found = compare(rows, card.name, part, methods, readings, resample=False)
    mean, rank = found.mean, found.rank
    line = {"method": methods[0], "reference": methods[1], "metric": card.name, "part": part, "basis": found.basis}
    line |= {"people": mean.people, "dialogues": found.dialogues, "seeds": mean.seeds, "about": found.about}
    line["status"] = mean.status if found.status == OK else found.status
    low, high = stats.limits(mean)
    p = min(1.0, 2 * min(stats.p_above(mean), stats.p_below(mean))) if mean.status == OK else stats.NAN
    line |= {"estimate": mean.estimate, "low": low, "high": high, "p": p, "detectable": stats.detectable(mean)}
    return line | {
        "hodges_lehmann": rank.estimate,
        "wilcoxon_p": rank.wilcoxon_p,
        "rank_biserial": rank.effect,
    }


def marks(table: pd.DataFrame) -> dict[tuple[str, str, str], str]:
    """(method, metric, part) -> the mark of a difference from the reference that chance does not explain."""
    sure = table[table["better"] != ""]
    keys = zip(sure["method"], sure["metric"], sure["part"], strict=True)
    return dict(zip(keys, sure["better"].map(MARKS), strict=True))


def note(table: pd.DataFrame, label: str) -> str:
    """How to read the marks, and how many differences they are about."""
    tested = table["p"].notna()
    families = table.loc[tested, ["metric", "part"]].drop_duplicates()
    if not tested.any():
        known = STATUSES | stats.STATUSES
        reasons = ", ".join(sorted({known.get(s := status.partition(":")[0], s) for status in table["status"]}))
        return f"No row could be tested against {label}: {reasons or 'there is no other row'}."
    about = sorted({about.partition("; ")[2] for about in table.loc[tested, "about"]} - {""})
    sample, as_sample, one = "seeds and people", "both as samples", "training"
    if about == [GIVEN]:
        sample, as_sample, one = "people", "as the sample", "row"
    return (
        f"▲ better, ▼ worse than {label}: p below {LEVEL:g} after Holm over the rows of a column ({int(tested.sum())} "
        f"differences in {len(families)} columns), {sample} (with all their dialogues) {as_sample}, of the "
        f"value printed here: where nearer to the truth is better, of each {one}'s distance to it. No mark without "
        f"{LEAST_PEOPLE} people, or where more than a tenth of the dialogues lack a value. It speaks of "
        f"{' or '.join(about)}. comparisons.csv has every difference with its interval."
        + ("" if about == [GIVEN] else " Rows that no seed changes stand against each of its seeds.")
    )


def power_note(table: pd.DataFrame, columns: Sequence[tuple[MetricCard, str]]) -> str:
    """How small a difference each column sees; empty where nothing was tested."""
    found = []
    for card, part in columns:
        here = table[(table["metric"] == card.name) & (table["part"] == part)]["detectable"].median()
        if math.isfinite(here):
            found.append(f"{card.label}{f', {part}' if len(card.parts) > 1 else ''} {here:.2g}")
    if not found:
        return ""
    return (
        "Smallest difference that this many clips and seeds see with 80 % power, before Holm, median over rows: "
        f"{'; '.join(found)}."
    )
