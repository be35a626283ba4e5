"""Do the metrics order the controls as their cards promise, and fail where the cards say so?

A metric that does not order them is no evidence; one that tells apart what its card calls alike has a wrong card.
"""

import math
from collections.abc import Callable

import pandas as pd

from evaluation.cards import MetricCard, truth_part
from evaluation.registry import cards

HOLDS, LEVEL, VIOLATED, UNDEFINED = "holds", "level", "violated", "undefined"
Level = Callable[[str, str, tuple[str, str]], bool]  # whether (metric, part) is known not to tell two rows apart
FLOOR = "frozen_reference"  # what a blind pair's gap is measured by
NEAREST = ("ground_truth", "vae_round_trip")  # a good autoencoder keeps what a metric sees: these two may be level
COLUMNS = (
    *("metric", "part", "direction", "better", "better_value", "relation", "worse", "worse_value"),
    *("verdict", "reason"),
)
# Row names of the embedded study; any other row is found by its own name or its class.
ALIASES = {
    "truth": "ground_truth",
    "oracle": "oracle_expression",
    "vae": "vae_round_trip",
    "frozen": "frozen_reference",
    "shuffled": "shuffled_partner",
    "shifted": "time_shifted_audio",
    "mirror": "mirror_of_user",
    "random_clip": "random_training_clip",
    "time_shifted": "time_shifted_audio",
    "hard_cuts": "hard_cuts",
}


def control_name(method: str, implementation: str = "") -> str:
    """The name by which cards call a control: from `pkg.module:ClassName` if given, else from the row's name."""
    if implementation:
        name = implementation.rpartition(":")[2]
        return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")
    return ALIASES.get(method, method)


def never(metric: str, part: str, rows: tuple[str, str]) -> bool:
    """A `Level` of whom nobody asked."""
    return False


def check_controls(summary: pd.DataFrame, names: dict[str, str], level: Level = never) -> pd.DataFrame:
    """One line per promise: `verdict` holds, level, violated or undefined, with both values (means over seeds).

    Args:
        summary: of `analysis.summary.summarise`.
        names: row name -> the cards' name of that control.
        level: asked of the rows of `NEAREST` where their order is the other one: then that is no violation.
    """
    methods = {control: method for method, control in reversed(names.items())}
    lines = []
    for card in cards().values():
        for part in card.separates_parts or card.parts:
            for better, worse in card.separates:
                lines.append(_line(card, part, better, worse, summary, methods, level))
            for right, wrong in card.blind:
                lines.append(_blind_line(card, part, right, wrong, summary, methods))
    return pd.DataFrame(lines, columns=list(COLUMNS))


def _line(
    card: MetricCard, part: str, better: str, worse: str | float, summary, methods: dict[str, str], level: Level
) -> tuple:
    first, missing = _value(card, part, better, summary, methods)
    second, also = (float(worse), "") if not isinstance(worse, str) else _value(card, part, worse, summary, methods)
    relation = {"higher": "above", "lower": "below", "truth": "nearer the truth than"}[card.direction]
    relation = relation if isinstance(worse, str) else f"reaches ({card.arrow})"
    head = (card.name, part, card.direction, better, first, relation, str(worse), second)
    reason = "; ".join(filter(None, (missing, also)))
    if reason:
        return (*head, UNDEFINED, reason)
    ahead, behind = first, second
    if card.direction == "truth":
        truth, missing = _value(card, truth_part(part), better, summary, methods)
        if missing:
            return (*head, UNDEFINED, missing)
        ahead, behind = -abs(first - truth), -abs(second - truth) if isinstance(worse, str) else -second
    elif card.direction == "lower":
        ahead, behind = -first, -second
    good = ahead > behind if isinstance(worse, str) else ahead >= behind
    if not good and (better, worse) == NEAREST and level(card.name, part, (methods[better], methods[worse])):
        return (*head, LEVEL, "people do not tell the two apart")
    tie = "the values are equal" if ahead == behind and not good else ""
    return (*head, HOLDS if good else VIOLATED, tie)


def _blind_line(card: MetricCard, part: str, right: str, wrong: str, summary, methods: dict[str, str]) -> tuple:
    """Holds if `wrong` lies nearer to `right` than to a still face."""
    found = {name: _value(card, part, name, summary, methods) for name in (right, wrong, FLOOR)}
    (first, _), (second, _), (floor, _) = found.values()
    head = (card.name, part, card.direction, right, first, "not told from", wrong, second)
    reason = "; ".join(dict.fromkeys(reason for _, reason in found.values() if reason))
    if reason:
        return (*head, UNDEFINED, reason)
    good = abs(second - first) < abs(second - floor)
    return (*head, HOLDS if good else VIOLATED, "" if good else f"{FLOOR}, at {floor:.4g}, is nearer")


def _value(card: MetricCard, part: str, control: str, summary, methods: dict[str, str]) -> tuple[float, str]:
    """Mean over seeds, and why there is none."""
    method = methods.get(control)
    if method is None:
        return math.nan, f"{control}: not a row of this study"
    if (method, card.name, part) not in summary.index:
        return math.nan, f"{control}: not_run"
    row = summary.loc[(method, card.name, part)]
    if not math.isfinite(row["mean"]):
        return math.nan, f"{control}: {row['status']}"
    return float(row["mean"]), ""


def out_of_order(
    metrics: set[str], summary: pd.DataFrame, names: dict[str, str], level: Level = never
) -> dict[str, str]:
    """Metric -> the first order that its card promises or needs and this study violates; absent where none is.

    An order of which a control is absent is not asked for. Arguments as in `check_controls`.
    """
    methods = {control: method for method, control in reversed(names.items())}
    found = {}
    for card in (cards()[metric] for metric in sorted(metrics)):
        for part in card.separates_parts or card.parts:
            for better, worse in card.separates + card.needs:
                line = dict(zip(COLUMNS, _line(card, part, better, worse, summary, methods, level), strict=True))
                if line["verdict"] == VIOLATED:
                    found.setdefault(card.name, f"{better} {line['relation']} {worse}, {part}")
    return found


def counts(checked: pd.DataFrame) -> str:
    """'31 hold, 1 level, 2 violated, 5 undefined'; none that are level are not named."""
    number = checked["verdict"].value_counts()
    level = f"{number[LEVEL]} level, " if LEVEL in number else ""
    return (
        f"{number.get(HOLDS, 0)} hold, {level}{number.get(VIOLATED, 0)} violated, {number.get(UNDEFINED, 0)} undefined"
    )
