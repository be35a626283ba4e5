"""Numbers that papers printed, as data with their sources; they can be compared only inside one set-up.

`published.csv` holds one printed number a line, `sources.csv` the tables they stand in, `protocols.csv` what the
papers and their code say of how they measured, `namesakes.csv` which metric of ours bears a published name, and why the
two do not share a column.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pandas as pd

from dyads.errors import DataError

FOLDER = Path(__file__).parent
NUMBERS = FOLDER / "published.csv"
COLUMNS = (
    *("dataset", "split_or_protocol", "method", "is_reproduction", "metric", "part"),
    *("value", "dir", "source", "comparable_group"),
)
SOURCE_COLUMNS = ("source", "paper", "arxiv", "title", "times_read")
PROTOCOL_COLUMNS = ("paper", "table", "item", "subject", "part", "value", "evidence")
NAMESAKE_COLUMNS = (
    *("ours", "part", "published", "published_part", "dataset", "split_or_protocol"),
    *("comparable_group", "protocol", "why_not"),
)
PARTS = ("all", "exp", "pose")
# A group of rows that come from different set-ups; nothing in it can be compared with anything.
MIXED = "mixed"


@dataclass(frozen=True, order=True)
class Setup:
    """What must be equal before two numbers may stand in one column."""

    group: str
    dataset: str
    split: str

    def __str__(self) -> str:
        return f"{self.group} ({self.dataset}, {self.split})"


def read_table(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """A CSV of this package as text; DataError for other columns."""
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}); restore it from the repository.") from error
    if tuple(frame.columns) != columns:
        raise DataError(f"{path} has the columns {list(frame.columns)}, not {list(columns)}; restore it.")
    return frame


def load(path: Path = NUMBERS, sources: Path = FOLDER / "sources.csv") -> pd.DataFrame:
    """Every published number: the columns of the file, with

    - `value` as float, `printed` as the text in the paper and `decimals` as its digits after the point;
    - `is_reproduction` as bool: the number is another group's re-implementation, whatever the table calls it;
    - `dir` as the table's own arrow: 'up', 'down', or '' where it has none;
    - `part` 'all' where the table gives one number, `paper` and `arxiv` of the source.

    DataError: a line that is no number, has an unknown part, arrow or source, or stands twice.
    """
    frame = read_table(path, COLUMNS)
    papers = read_table(sources, SOURCE_COLUMNS).set_index("source")
    for column, allowed in (("part", PARTS), ("dir", ("up", "down", "")), ("is_reproduction", ("True", "False"))):
        _only(path, frame, column, allowed)
    _only(path, frame, "source", papers.index)
    twice = frame.duplicated(["source", "dataset", "method", "metric", "part"])
    if twice.any():
        row = frame[twice].iloc[0]
        raise DataError(f"{path} gives {row.metric} ({row.part}) of {row.method} in {row.source} twice; keep one line.")
    frame["printed"] = frame["value"]
    frame["value"] = pd.to_numeric(frame["printed"], errors="coerce")
    if frame["value"].isna().any():
        row = frame[frame["value"].isna()].iloc[0]
        raise DataError(f"{path} calls {row.printed!r} the {row.metric} of {row.method}, which is no number; mend it.")
    frame["decimals"] = frame["printed"].map(lambda text: len(text.partition(".")[2]))
    frame["is_reproduction"] = frame["is_reproduction"] == "True"
    for key in ("paper", "arxiv"):
        frame[key] = frame["source"].map(papers[key])
    return frame


def _only(path: Path, frame: pd.DataFrame, column: str, allowed: Iterable[str]) -> None:
    wrong = sorted(set(frame[column]) - set(allowed))
    if wrong:
        raise DataError(f"{path} has the {column} {wrong[0]!r}; known are {', '.join(map(str, allowed))}.")


@cache
def protocols() -> pd.DataFrame:
    """What a paper ('paper') or its released code ('code') says of `item`; `subject`: the method it says it of."""
    return read_table(FOLDER / "protocols.csv", PROTOCOL_COLUMNS)


def sources() -> pd.DataFrame:
    """The tables the numbers stand in; `times_read`: how often they were read off independently."""
    return read_table(FOLDER / "sources.csv", SOURCE_COLUMNS).astype({"times_read": int})


def setups(rows: pd.DataFrame) -> list[Setup]:
    """The set-ups among `rows`, in order of appearance."""
    keys = rows[["comparable_group", "dataset", "split_or_protocol"]].drop_duplicates()
    return [Setup(*key) for key in keys.itertuples(index=False)]


def select(
    rows: pd.DataFrame, group: str | None = None, dataset: str | None = None, split: str | None = None
) -> pd.DataFrame:
    """The rows of a comparable group, a data set and a split; DataError, with the known names, if there are none."""
    for column, wanted in (("comparable_group", group), ("dataset", dataset), ("split_or_protocol", split)):
        if wanted is None:
            continue
        known = ", ".join(dict.fromkeys(rows[column]))
        rows = rows[rows[column] == wanted]
        if rows.empty:
            raise DataError(f"no published number has the {column} {wanted!r}; known here are {known}.")
    return rows


def comparable(rows: pd.DataFrame) -> Setup:
    """The one set-up of `rows`; DataError if they come from several, or from a group that is mixed itself."""
    found = setups(rows)
    if not found:
        raise DataError("there are no published numbers to compare; choose a comparable_group that has some.")
    if len(found) > 1:
        raise DataError(
            f"numbers of {found[0]} and of {found[1]} come from different set-ups and cannot be compared; "
            "choose one comparable_group, one data set and one split."
        )
    if found[0].group == MIXED:
        raise DataError(
            f"{found[0]} holds rows that come from different set-ups, so nothing in it can be compared; "
            "choose the group of the table that a row was taken from."
        )
    return found[0]


def compare(rows: pd.DataFrame) -> pd.DataFrame:
    """Printed numbers side by side: methods as lines, `metric (part) arrow` as columns, '' where nothing is printed.

    DataError unless `rows` are of one set-up.
    """
    comparable(rows)
    arrows = rows["dir"].map({"up": " ↑", "down": " ↓", "": ""})
    parts = rows["part"].map({"all": "", "exp": " exp", "pose": " pose"})
    names = rows["metric"] + parts + arrows
    wide = rows.assign(column=names).pivot(index="method", columns="column", values="printed")
    return wide.reindex(index=list(dict.fromkeys(rows["method"])), columns=list(dict.fromkeys(names))).fillna("")
