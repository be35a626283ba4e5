"""The person as the random unit: dialogues of one person count together, and what is missing can make no winner.

Two dialogues of one face resemble each other more than two faces do, so a test that takes dialogues for independent
calls chance a difference. Everything here turns dialogues into people; `resampling` does the same for set metrics.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from evaluation.rows import WHOLE_SET

LEAST_PEOPLE = 6  # the fewest that a 95 % interval of signed ranks needs
LEAST_SHARE = 0.9  # of the dialogues that any row has a value in


def numbered(people: Sequence[str]) -> np.ndarray:
    """(dialogues, people) of zeros and ones: whose dialogue each is."""
    owner = np.unique(np.asarray(people, dtype=str), return_inverse=True)[1]
    return np.eye(owner.max(initial=-1) + 1)[owner]


def means(values: np.ndarray, people: Sequence[str]) -> np.ndarray:
    """Mean over each person's dialogues: (..., dialogues) -> (..., people)."""
    owner = numbered(people)
    return values @ (owner / owner.sum(0)) if len(owner) else values


def by_person(table: np.ndarray, people: Sequence[str]) -> np.ndarray:
    """What each person adds to the mean over dialogues: a table (seeds, dialogues) as (seeds, people).

    The pseudo-values of the mean, leaving one person out: their mean is that over dialogues, which tables print, and
    their variance that of a mean over clusters (Busing, Meijer and van der Leeden 1999; the table without holes).
    """
    owner = numbered(people)
    whole = table.mean(axis=1, keepdims=True)
    weight = owner.sum(0) / len(owner) * owner.shape[1]
    return whole + weight * (means(table, people) - whole)


def lacking(rows: pd.DataFrame, metric: str, part: str) -> pd.Series:
    """Share of dialogues, of those in which any row has a value, where a method lacks a value of some seed of its own.

    Empty for a metric without values per clip. `rows`: tidy rows of all that stand side by side.
    """
    own = rows[(rows["metric"] == metric) & (rows["part"] == part) & (rows["clip"] != WHOLE_SET)]
    known = own[own["value"].notna()]
    measurable = known["clip"].nunique()
    if not measurable:
        return pd.Series(1.0, index=own["method"].unique(), dtype=float)
    seeds = own.groupby("method")["seed"].nunique()
    found = known.groupby(["method", "clip"])["seed"].nunique().reset_index(name="seeds")
    whole = found[found["seeds"] == found["method"].map(seeds)].groupby("method").size()
    return 1 - whole.reindex(seeds.index, fill_value=0) / measurable


def enough(kept: int, measurable: int, people: int) -> str:
    """'' or why a comparison of `kept` dialogues out of `measurable`, of so many people, has no verdict."""
    if people < LEAST_PEOPLE:
        return "too_few_pairs"
    return "too_few_values" if kept < LEAST_SHARE * measurable - 1e-9 else ""
