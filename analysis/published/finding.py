"""One finding on the published numbers, and how a printed number is read."""

import re
from dataclasses import dataclass

import pandas as pd

PART_NAMES = {"exp": "expression", "pose": "pose", "all": "part not stated"}
TRUTH = "GT"


@dataclass(frozen=True)
class Finding:
    """`text` says no more than `rows` (lines of published.csv) and `facts` (lines of protocols.csv) prove."""

    kind: str
    text: str
    rows: tuple[int, ...] = ()
    facts: tuple[int, ...] = ()


def row_name(method: str) -> str:
    """The method without the marks that tables add: 'INFP*' and 'INFP' are the same row, re-implemented or not."""
    return re.sub(r"\*|\([^)]*\)", "", method).strip()


def place(source: str) -> str:
    """'ECHO 2603.17427 Table 1' as 'ECHO, Table 1'."""
    paper, _, table = source.split(" ", 2)
    return f"{paper}, {table}"


def interval(row) -> tuple[float, float]:
    """The values that round to what is printed."""
    half = 0.5 * 10.0**-row.decimals
    return row.value - half, row.value + half


def differ(a, b) -> bool:
    """Whether two printed values cannot be roundings of one."""
    (low, high), (other_low, other_high) = interval(a), interval(b)
    return low > other_high or other_low > high


def digits(row) -> int:
    """Significant digits as printed."""
    return len(row.printed.replace(".", "").lstrip("0"))


def label(key: tuple[str, str]) -> str:
    """(metric, part) as a reader writes it."""
    return key[0] if key[1] == "all" else " ".join(key)


def stated(facts: pd.DataFrame, item: str, paper: str, part: str = "") -> tuple[int, str] | None:
    """(line, value) of what a paper states, if it does; code is no statement of the paper."""
    found = facts[(facts["item"] == item) & (facts["paper"] == paper) & (facts["part"] == part)]
    found = found[found["evidence"] == "paper"]
    return None if found.empty else (int(found.index[0]), str(found["value"].iloc[0]))
