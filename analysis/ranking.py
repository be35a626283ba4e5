"""Ranks of all methods at once: Friedman's test over dialogues and Nemenyi's critical difference (Demsar 2006)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats as scipy_stats

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

    Blocks are independent (dialogues, averaged over seeds); one with a NaN is left out. `higher`: larger is better.
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


def rank_table(rows: pd.DataFrame, methods: Sequence[str], columns: Sequence[tuple[MetricCard, str]]) -> pd.DataFrame:
    """Mean rank of every method on every column that has values per clip; one line per column and method.

    A block is a dialogue, its value the mean over a method's seeds; a dialogue that some method lacks is left out of
    that column. A method without values in a tenth or more of the dialogues would take them from all others, so it does
    not take part; its line says so.
    """
    lines = []
    for card, part in columns:
        own = rows[(rows["metric"] == card.name) & (rows["clip"] != WHOLE_SET) & rows["method"].isin(methods)]
        asked = own[own["part"] == part]
        if asked.empty:
            continue
        cells = _cells(asked)
        if card.direction == "truth":
            cells = (cells - _cells(own[own["part"] == truth_part(part)])).abs()
        scores = cells.T.groupby(level="method").mean().T.where(cells.notna().T.groupby(level="method").all().T)
        known = scores.notna().any(axis=1).sum()
        found = [method for method in methods if method in scores and scores[method].notna().sum() > 0.9 * known]
        ranks = Ranks(0, "too_few_methods")
        if found:
            ranks = friedman(scores[found].to_numpy(float), card.direction == "higher")
        place = dict(zip(found, ranks.mean_ranks, strict=False))
        for method in methods:
            numbers = (place.get(method, NAN), ranks.critical, ranks.statistic, ranks.p, ranks.blocks)
            status = ranks.status if method in found else "too_few_values"
            lines.append((card.name, part, method, *numbers, status))
    return pd.DataFrame(lines, columns=list(COLUMNS))


def _cells(rows: pd.DataFrame) -> pd.DataFrame:
    """Values with dialogues as lines and (method, seed) as columns."""
    return rows.pivot(index="clip", columns=["method", "seed"], values="value")
