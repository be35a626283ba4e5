"""From tidy result rows to one number per method, seed and metric, and its mean and spread over seeds."""

import pandas as pd

from evaluation.cards import OK, truth_part
from evaluation.registry import cards
from evaluation.rows import KEYS, WHOLE_SET


def seed_values(rows: pd.DataFrame) -> pd.DataFrame:
    """One line per method, seed, metric, part: `value` (mean over defined clips), `count`, `undefined`, `status`.

    A set metric's value is its row of the whole set; its rows per clip serve paired tests and are left out here.
    `count` is the number of values asked for, `undefined` how many failed, `status` the most frequent reason.
    """
    known = cards()
    whole = rows["clip"] == WHOLE_SET
    of_set = rows["metric"].map({name: card.per == "set" for name, card in known.items()}).fillna(False).astype(bool)
    rows = rows[whole == of_set]
    found = rows.groupby(KEYS, sort=False).agg(value=("value", "mean"), count=("status", "size"))
    failed = rows.loc[rows["status"] != OK, [*KEYS, "status"]]
    found["undefined"] = failed.groupby(KEYS).size().reindex(found.index, fill_value=0)
    found["reason"] = _most_frequent(failed, KEYS, "status").reindex(found.index, fill_value="")
    found["status"] = found["reason"].where(found["undefined"] == found["count"], OK)
    return found.reset_index()[[*KEYS, "value", "count", "undefined", "status", "reason"]]


def _most_frequent(rows: pd.DataFrame, keys: list[str], column: str) -> pd.Series:
    """The most frequent entry of a column by `keys`; of equally frequent ones the first by name."""
    counts = rows.groupby([*keys, column]).size().rename("times").reset_index()
    counts = counts.sort_values(["times", column], ascending=[False, True])
    return counts.drop_duplicates(keys).set_index(keys)[column]


def summarise(values: pd.DataFrame) -> pd.DataFrame:
    """Over seeds, by (method, metric, part): `mean`, `sd` (N - 1), `n` seeds, `count`, `undefined`, `status`.

    And `distance`, where nearer to the truth is better: the mean over seeds of |value - the truth's own value|, which
    is what verdicts compare; NaN elsewhere. The distance of the mean would forgive seeds that miss on both sides.
    """
    keys = ["method", "metric", "part"]
    truth = values[["method", "seed", "metric", "part", "value"]].rename(columns={"value": "truth"})
    to_truth = {name for name, card in cards().items() if card.direction == "truth"}
    own = values[values["metric"].isin(to_truth)]
    own = own.assign(key=own["part"].map(truth_part))
    own = own.merge(truth.rename(columns={"part": "key"}), on=["method", "seed", "metric", "key"], how="left")
    far = (own["value"] - own["truth"]).abs().groupby([own[key] for key in keys]).mean()
    found = values.groupby(keys, sort=False).agg(
        mean=("value", "mean"), sd=("value", "std"), n=("value", "count"),
        count=("count", "sum"), undefined=("undefined", "sum"),
    )  # fmt: skip
    reasons = _most_frequent(values[values["reason"] != ""], keys, "reason")
    found["status"] = reasons.reindex(found.index, fill_value=OK)
    found["distance"] = far.reindex(found.index)
    return found
