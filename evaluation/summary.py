"""From tidy result rows to one number per method, seed and metric, and its mean and spread over seeds."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from dyads.errors import DataError
from evaluation.cards import OK
from evaluation.registry import cards

COLUMNS = ("method", "seed", "dataset", "split", "clip", "metric", "part", "value", "status")
WHOLE_SET = "*"
KEYS = ["method", "seed", "metric", "part"]


def result_files(paths: Iterable[Path]) -> list[Path]:
    """The result files among `paths`: each a .csv, or a folder with `<method>/seed<k>.csv`."""
    found = []
    for path in map(Path, paths):
        found += sorted(path.glob("*/seed*.csv")) if path.is_dir() else [path]
    return found


def read_rows(files: Iterable[Path]) -> pd.DataFrame:
    """Tidy rows of all existing files; `value` is float (NaN where undefined), `seed` int.

    DataError: wrong columns, a value that is no number, or files of different data sets or splits.
    """
    frames = []
    for path in files:
        if not path.exists():
            continue
        try:
            frame = pd.read_csv(path, dtype=str, keep_default_na=False)
        except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError) as error:
            raise DataError(f"{path} is not a result file ({error}); measure this row again.") from error
        if tuple(frame.columns) != COLUMNS:
            raise DataError(f"{path} has the columns {list(frame.columns)}, not {list(COLUMNS)}; measure it again.")
        try:
            frame["seed"] = frame["seed"].astype(int)
            frame["value"] = pd.to_numeric(frame["value"].where(frame["status"] == OK)).astype(float)
        except ValueError as error:
            raise DataError(f"{path} holds a seed or value that is no number ({error}); measure it again.") from error
        empty = frame[(frame["status"] == OK) & frame["value"].isna()]
        if len(empty):
            raise DataError(f"{path} calls {empty.iloc[0].metric} ok but gives no value; measure it again.")
        frames.append(frame)
    if not frames:
        return pd.DataFrame(columns=list(COLUMNS)).astype({"seed": int, "value": float})
    rows = pd.concat(frames, ignore_index=True)
    for key in ("dataset", "split"):
        if rows[key].nunique() > 1:
            raise DataError(f"one table cannot mix the {key}s {sorted(rows[key].unique())}; make one for each.")
    twice = rows.duplicated([*KEYS, "clip"])
    if twice.any():
        row = rows[twice].iloc[0]
        raise DataError(f"{row.method} seed {row.seed} has {row.metric} of clip {row.clip} twice; give each file once.")
    return rows


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
    """Over seeds, by (method, metric, part): `mean`, `sd` (N - 1), `n` seeds, `count`, `undefined`, `status`."""
    keys = ["method", "metric", "part"]
    found = values.groupby(keys, sort=False).agg(
        mean=("value", "mean"), sd=("value", "std"), n=("value", "count"),
        count=("count", "sum"), undefined=("undefined", "sum"),
    )  # fmt: skip
    reasons = _most_frequent(values[values["reason"] != ""], keys, "reason")
    found["status"] = reasons.reindex(found.index, fill_value=OK)
    return found
