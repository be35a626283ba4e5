"""What differs between two result folders: measured values, tables, and the provenance of every row."""

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pandas as pd

from dyads.contract import file_sha256
from dyads.errors import ConfigError, DataError
from evaluation.cards import OK
from evaluation.rows import KEYS, read_rows

CATEGORIES = {
    "missing": "files and rows of one side only",
    "values": "measured values beyond tolerance, and statuses",
    "tables": "cells of tables",
    "weights": "hashes of weights and data",
    "videos": "hashes of generated videos (with --videos)",
    "options": "options",
    "code": "git commit",
    "versions": "package versions",
    "hardware": "hardware",
    "record": "anything else in the provenance",
    "machine": "what another kind of machine computes otherwise in the last bits, and in what it differs",
    "ignored": "times, speeds, memory and dates",
}
# Names of keys, columns and metrics; what they hold differs between any two runs.
MAY_DIFFER = (
    *("*seconds*", "*_time", "time_*", "*date", "*dated", "*per_second*", "*per_cpu_second*", "*fps*", "latency"),
    *("*memory*", "*_rss*", "*_gib*"),
)
PATTERNS = {
    "metrics": "metrics/*/seed*",
    "models": "models/*/seed*",
    "videos": "videos/*/seed*/provenance",
    "tables": "tables/*",
}


@dataclass(frozen=True)
class Tolerance:
    """Two numbers are equal if |a - b| <= max(absolute, relative * max(|a|, |b|))."""

    absolute: float = 0.0
    relative: float = 0.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not (math.isfinite(value) and value >= 0):
                raise ConfigError(f"--{name} is {value}, but a tolerance is a finite number of at least 0.")

    def equal(self, a: float, b: float) -> bool:
        """Undefined equals undefined; an infinity equals only itself."""
        if math.isnan(a) or math.isnan(b):
            return math.isnan(a) and math.isnan(b)
        if math.isinf(a) or math.isinf(b):
            return a == b
        return abs(a - b) <= max(self.absolute, self.relative * max(abs(a), abs(b)))


# Where the same weights are measured on another kind of machine, values agree to about four digits.
ACROSS_MACHINES = Tolerance(absolute=1e-6, relative=1e-3)


@dataclass(frozen=True)
class Difference:
    """`place`: file, or method/seed/clip; `what`: key, column or metric; `a`, `b`: as shown, '' where absent."""

    category: str
    place: str
    what: str
    a: str
    b: str


def may_differ(name: str) -> bool:
    """Whether what bears this name is a time, a speed, memory or a date."""
    return any(fnmatch(name, pattern) for pattern in MAY_DIFFER)


def same_cell(a: Any, b: Any, tolerance: Tolerance) -> bool:
    """Numbers by tolerance, anything else as it is; a bool is no number."""
    numbers = [isinstance(v, (int, float)) and not isinstance(v, bool) for v in (a, b)]
    return tolerance.equal(float(a), float(b)) if all(numbers) else type(a) is type(b) and a == b


def category_of(key: str) -> str:
    """Where a dotted key of a provenance file belongs."""
    first, _, rest = key.partition(".")
    if first not in ("options", "protocol") and any(map(may_differ, key.split("."))):
        return "ignored"
    if first in ("options", "options_hash"):
        return "options"
    if first.startswith("git_"):
        return "code"
    if first in ("weights", "manifest") or key.endswith("sha256"):
        return "weights"
    return {"versions": "versions", "hardware": "hardware", "machine": "hardware"}.get(first, "record")


def other_kind(a: dict, b: dict) -> bool:
    """Whether two records come from machines of different kinds (`training.machine`); False where one does not say."""
    kinds = [record.get("machine", {}).get("kind") for record in (a, b)]
    return None not in kinds and kinds[0] != kinds[1]


def of_machine(found: list[Difference]) -> list[Difference]:
    """The same differences; the machines' own, and hashes that follow from them, in the category `machine`."""
    return [replace(one, category="machine") if _follows(one) else one for one in found]


def _follows(one: Difference) -> bool:
    if one.category == "videos":
        return bool(one.a and one.b)
    own = one.category == "hardware" or one.what.startswith("machine.")
    # Data is copied between machines, not made anew: its hash must agree.
    return own or (one.category == "weights" and "manifest" not in one.what)


def flat(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves of nested mappings under dotted keys; a list is one leaf, an empty mapping none."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from flat(inner, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, value


def show(value: Any) -> str:
    """A leaf as text; text without quotes, numbers with every digit that they have."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def compare_json(a: dict, b: dict, place: str, tolerance: Tolerance) -> Iterator[Difference]:
    """Differences of two provenance files."""
    left, right = dict(flat(a)), dict(flat(b))
    for key in dict.fromkeys((*left, *right)):
        absent = key not in left or key not in right
        if absent or not same_cell(left[key], right[key], tolerance):
            shown = [show(side[key]) if key in side else "" for side in (left, right)]
            yield Difference(category_of(key), place, key, *shown)


def compare_rows(a: pd.DataFrame, b: pd.DataFrame, tolerance: Tolerance) -> Iterator[Difference]:
    """Differences of two sets of tidy rows (see `evaluation.rows.read_rows`); undefined values by their status."""
    keys = [*KEYS, "clip"]
    both = a.merge(b, on=keys, how="outer", suffixes=("_a", "_b"), indicator="side", sort=False)
    for row in both.itertuples(index=False):
        place, what = f"{row.method}/seed{row.seed}/{row.clip}", f"{row.metric}/{row.part}"
        sides = [(row.value_a, row.status_a), (row.value_b, row.status_b)]
        if row.side != "both":
            there = (row.side == "left_only", row.side == "right_only")
            shown = [_outcome(*side) if own else "" for side, own in zip(sides, there, strict=True)]
            yield Difference("missing", place, what, *shown)
        elif row.status_a != row.status_b or not tolerance.equal(row.value_a, row.value_b):
            kind = "ignored" if may_differ(row.metric) else "values"
            yield Difference(kind, place, what, *(_outcome(*side) for side in sides))


def _outcome(value: float, status: str) -> str:
    return show(float(value)) if status == OK else status


def compare_tables(a: pd.DataFrame, b: pd.DataFrame, name: str, tolerance: Tolerance) -> Iterator[Difference]:
    """Differences of two CSV tables: cell by cell of lines that bear the same name, or else the same number."""
    for column in dict.fromkeys((*a.columns, *b.columns)):
        if column not in a.columns or column not in b.columns:
            shown = ["" if column not in side.columns else "a column" for side in (a, b)]
            yield Difference("missing", name, str(column), *shown)
    columns = [column for column in a.columns if column in b.columns]
    named = _naming_columns(a, b, columns)
    left, right = _lines(a, named), _lines(b, named)
    for key in dict.fromkeys((*left, *right)):
        place = f"{name}: {' '.join(key)}"
        if key not in left or key not in right:
            yield Difference("missing", place, "", *("" if key not in side else "a line" for side in (left, right)))
            continue
        for column in columns:
            pair = left[key][column], right[key][column]
            if not same_cell(*map(_number, pair), tolerance):
                timed = may_differ(column) or may_differ(left[key].get("metric", ""))
                kind = "ignored" if timed else "tables"
                yield Difference(kind, place, column, *pair)


def _number(text: str) -> Any:
    """A number, if it is one; an empty cell stays text."""
    try:
        return float(text)
    except ValueError:
        return text


def _naming_columns(a: pd.DataFrame, b: pd.DataFrame, columns: list[str]) -> list[str]:
    """The first text columns that tell the lines of both tables apart; none if they do not."""
    chosen: list[str] = []
    for column in columns:
        cells = [*a[column], *b[column]]
        if all(cell == "" or isinstance(_number(cell), float) for cell in cells):
            continue
        chosen.append(column)
        if not any(side.duplicated(chosen).any() for side in (a, b)):
            return chosen
    return []


def _lines(table: pd.DataFrame, named: list[str]) -> dict[tuple[str, ...], dict[str, str]]:
    lines = table.to_dict("records")
    return {
        tuple(line[column] for column in named) or (f"line {number}",): line for number, line in enumerate(lines, 1)
    }


def files_of(folder: Path, stage: str, suffix: str) -> dict[str, Path]:
    """A stage's files by their path within the folder."""
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.glob(PATTERNS[stage] + suffix))}


def pairs_of(a: Path, b: Path, stage: str, suffix: str) -> tuple[list[tuple[str, Path, Path]], list[Difference]]:
    """Files that both folders have, and what only one has."""
    left, right = files_of(a, stage, suffix), files_of(b, stage, suffix)
    names = sorted({*left, *right})
    missing = [
        Difference("missing", name, "", *("a file" if name in side else "" for side in (left, right)))
        for name in names
        if name not in left or name not in right
    ]
    return [(name, left[name], right[name]) for name in names if name in left and name in right], missing


def read_json(path: Path) -> dict:
    """A provenance file; DataError if it is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is no provenance file ({error}); make this row again.") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} holds no JSON object; make this row again.")
    return content


def read_cells(path: Path) -> pd.DataFrame:
    """A CSV table as text; DataError if it is none."""
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is no table ({error}); make the tables again.") from error


def compare_folders(
    a: Path, b: Path, tolerance: Tolerance, stages: tuple[str, ...] = tuple(PATTERNS), videos: bool = False
) -> list[Difference]:
    """All differences of two results/<profile> folders. DataError: a folder that is none, or a broken file."""
    for folder in (a, b):
        if not any(files_of(folder, stage, suffix) for stage in stages for suffix in (".csv", ".json")):
            raise DataError(f"{folder} holds none of {', '.join(stages)}; give results/<profile> of a finished run.")
    other = machines_differ(a, b, stages)
    if other and tolerance == Tolerance():
        tolerance = ACROSS_MACHINES
    found: list[Difference] = []
    for stage in stages:
        pairs, missing = pairs_of(a, b, stage, ".csv") if stage in ("metrics", "tables") else ([], [])
        found += missing
        if stage == "metrics" and pairs:
            sides = [read_rows(side) for side in zip(*((x, y) for _, x, y in pairs), strict=True)]
            for key in ("dataset", "split"):
                names = [side[key].iloc[0] if len(side) else "" for side in sides]
                found += [Difference("values", stage, key, *names)] if names[0] != names[1] else []
            found += compare_rows(*sides, tolerance)
        for name, left, right in pairs if stage == "tables" else []:
            found += compare_tables(read_cells(left), read_cells(right), name, tolerance)
        pairs, missing = pairs_of(a, b, stage, ".json") if stage != "tables" else ([], [])
        found += missing
        for name, left, right in pairs:
            found += compare_json(read_json(left), read_json(right), name, tolerance)
            if stage == "videos" and videos:
                found += compare_videos(left.parent, right.parent, str(Path(name).parent))
    return of_machine(found) if other else found


def machines_differ(a: Path, b: Path, stages: tuple[str, ...] = tuple(PATTERNS)) -> bool:
    """Whether any record of both folders was made on machines of different kinds."""
    for stage in stages:
        for _, left, right in pairs_of(a, b, stage, ".json")[0] if stage != "tables" else ():
            if other_kind(read_json(left), read_json(right)):
                return True
    return False


def compare_videos(a: Path, b: Path, place: str) -> Iterator[Difference]:
    """Generated videos byte by byte, by their SHA-256."""
    left, right = ({path.name: path for path in sorted(side.glob("*.mp4"))} for side in (a, b))
    for name in sorted({*left, *right}):
        if name not in left or name not in right:
            shown = ("a file" if name in side else "" for side in (left, right))
            yield Difference("missing", f"{place}/{name}", "", *shown)
            continue
        hashes = file_sha256(left[name]), file_sha256(right[name])
        if hashes[0] != hashes[1]:
            yield Difference("videos", f"{place}/{name}", "sha256", *hashes)
