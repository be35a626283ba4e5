"""Tidy result rows as files hold them: one line per method, seed, clip, metric and part; read and refused here."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from dyads.errors import DataError
from evaluation.cards import OK

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
            why = " ".join(str(error).split())
            raise DataError(f"{path} is not a result file ({why}); measure this row again.") from error
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
