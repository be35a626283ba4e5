"""Whether the controls stand in the order that each metric's card claims; a metric that fails this says little."""

import pandas as pd

from evaluation.cards import OK
from evaluation.registry import cards

CHECKS = ("metric", "part", "better", "worse", "better_value", "worse_value", "result", "note")
TOLERANCE = 1e-6  # relative; equal values keep the order


def check_controls(summary: pd.DataFrame) -> pd.DataFrame:
    """One row per claim of a card: pass, fail, or undefined where a control is missing or has no value."""
    values = {(row.method, row.metric, row.part): row for row in summary.itertuples()}
    found = []
    for card in cards().values():
        for better, worse in card.separates:
            for part in card.separates_parts:
                one = values.get((better, card.name, part))
                if isinstance(worse, str):
                    found.append(_ordered(card, part, better, worse, one, values.get((worse, card.name, part))))
                else:
                    found.append(_reached(card, part, better, worse, one))
    return pd.DataFrame(found, columns=list(CHECKS))


def _ordered(card, part: str, better: str, worse: str, one, other) -> tuple:
    """Does `better` come before `worse`?"""
    for name, row in ((better, one), (worse, other)):
        if row is None or row.status != OK:
            note = f"{name}: {'not run' if row is None else row.status}"
            return (card.name, part, better, worse, _value(one), _value(other), "undefined", note)
    allowed = TOLERANCE * max(1.0, abs(one.distance), abs(other.distance))
    result = "pass" if one.distance <= other.distance + allowed else "fail"
    note = f"truth {one.truth:.4g}" if card.direction == "truth" else ""
    return (card.name, part, better, worse, one.mean, other.mean, result, note)


def _reached(card, part: str, better: str, least: float, one) -> tuple:
    """Does `better` reach the value `least`?"""
    label = f"value {least:g}"
    if one is None or one.status != OK:
        note = f"{better}: {'not run' if one is None else one.status}"
        return (card.name, part, better, label, _value(one), least, "undefined", note)
    good = one.mean >= least if card.direction == "higher" else one.mean <= least
    return (card.name, part, better, label, one.mean, least, "pass" if good else "fail", "")


def _value(row) -> float:
    return float("nan") if row is None else row.mean
