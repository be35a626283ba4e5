"""Ranks of all methods at once: Friedman's test over people and Nemenyi's critical difference (Demsar 2006)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats as scipy_stats

from analysis import people
from evaluation.cards import OK, MetricCard, truth_part
from evaluation.rows import WHOLE_SET

NAN = float("nan")
COLUMNS = ("metric", "part", "method", "mean_rank", "critical", "statistic", "p", "blocks", "status")


@dataclass(frozen=True)
class Ranks:
    """Friedman's test over `blocks`; two mean ranks (1 is best) further apart than `critical` differ (Nemenyi)."""

    blocks: int
    status: str = OK
    mean_ranks: tuple[float, ...] = ()
    statistic: float = NAN
    p: float = NAN
    critical: float = NAN


def friedman(scores: np.ndarray, higher: bool = True, level: float = 0.95) -> Ranks:
    """Friedman's test and Nemenyi's critical difference (Demsar 2006) of scores, shape (blocks, methods).

    Blocks are independent (people, averaged over seeds and over the dialogues of each); one with a NaN is left out.
    `higher`: larger is better.
    """
    scores = np.asarray(scores, np.float64)
    scores = scores[np.isfinite(scores).all(axis=1)]
    blocks, methods = scores.shape
    if min(methods - 1, blocks) < 2:
        return Ranks(blocks, "too_few_methods" if methods < 3 else "too_few_pairs")
    if not np.ptp(scores, axis=1).any():
        return Ranks(blocks, "all_zero")
    ranks = scipy_stats.rankdata(-scores if higher else scores, axis=1).mean(axis=0)
    test = scipy_stats.friedmanchisquare(*scores.T)
    reach = scipy_stats.studentized_range.ppf(level, methods, np.inf) / math.sqrt(2)
    critical = float(reach * math.sqrt(methods * (methods + 1) / (6 * blocks)))
    return Ranks(blocks, OK, tuple(map(float, ranks)), float(test.statistic), float(test.pvalue), critical)


def rank_table(
    rows: pd.DataFrame,
    methods: Sequence[str],
    columns: Sequence[tuple[MetricCard, str]],
    subjects: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Mean rank of every method on every column that has values per clip; one line per column and method.

    A block is a person, its value the mean over a method's seeds and the person's dialogues; a dialogue that some
    method lacks is left out of that column. A method that lacks more than a tenth of the dialogues (`people.lacking`)
    would take them from all others, so it does not take part; its line says so.

    Args:
        subjects: dialogue -> who the avatar is; without it each dialogue is somebody else's.
    """
    lines = []
    for card, part in columns:
        everyone = rows[(rows["metric"] == card.name) & (rows["clip"] != WHOLE_SET)]
        own = everyone[everyone["method"].isin(methods)]
        asked = own[own["part"] == part]
        if asked.empty:
            continue
        cells = _cells(asked)
        if card.direction == "truth":
            cells = (cells - _cells(own[own["part"] == truth_part(part)])).abs()
        scores = cells.T.groupby(level="method").mean().T.where(cells.notna().T.groupby(level="method").all().T)
        lack = people.lacking(everyone, card.name, part)
        found = [method for method in methods if method in scores and lack[method] <= 1 - people.LEAST_SHARE + 1e-9]
        ranks = Ranks(0, "too_few_methods")
        if found:
            whole = scores[found].dropna()
            who = [(subjects or {}).get(clip, clip) for clip in whole.index]
            blocks = people.means(whole.to_numpy(float).T, who).T
            few = len(set(who)) < people.LEAST_PEOPLE
            ranks = Ranks(len(set(who)), "too_few_pairs") if few else friedman(blocks, card.direction == "higher")
        place = dict(zip(found, ranks.mean_ranks, strict=False))
        for method in methods:
            numbers = (place.get(method, NAN), ranks.critical, ranks.statistic, ranks.p, ranks.blocks)
            status = ranks.status if method in found else "too_few_values"
            lines.append((card.name, part, method, *numbers, status))
    return pd.DataFrame(lines, columns=list(COLUMNS))


def _cells(rows: pd.DataFrame) -> pd.DataFrame:
    """Values with dialogues as lines and (method, seed) as columns."""
    return rows.pivot(index="clip", columns=["method", "seed"], values="value")
