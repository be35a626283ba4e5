"""Numbers that stand in several tables, what was put together from several, and one thing with several values."""

from collections.abc import Iterator
from itertools import combinations

import pandas as pd

from analysis.published.finding import TRUTH, Finding, differ, digits, label, place, row_name

# Equal numbers count as one row from this many significant digits: by chance, one pair of rows in ten million.
DIGITS = 7
# One thing measured on one data set: values this many times apart are reported.
APART = 1.25


def _shared(rows: pd.DataFrame) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """Pairs of one row in two tables of different papers, restricted to what both print; the older table first."""
    rows = rows.assign(row=rows["method"].map(row_name), key=list(zip(rows["metric"], rows["part"], strict=True)))
    for _, same in rows.groupby(["dataset", "row"], sort=False):
        tables = sorted(same.groupby("source", sort=False), key=lambda item: (item[1]["arxiv"].iloc[0], item[0]))
        for (_, older), (_, newer) in combinations(tables, 2):
            both = set(older["key"]) & set(newer["key"])
            if older["paper"].iloc[0] != newer["paper"].iloc[0] and both:
                yield tuple(t[t["key"].isin(both)].sort_values("key") for t in (older, newer))


def taken_rows(rows: pd.DataFrame) -> list[tuple[pd.DataFrame, pd.DataFrame]]:
    """Rows that a newer table has in common, number for number, with an older one."""
    return [
        (older, newer)
        for older, newer in _shared(rows)
        if (older["value"].to_numpy() == newer["value"].to_numpy()).all() and _agreement(older, newer) >= DIGITS
    ]


def _agreement(older: pd.DataFrame, newer: pd.DataFrame) -> int:
    """Significant digits in which two equal rows agree."""
    return sum(min(digits(a), digits(b)) for a, b in zip(older.itertuples(), newer.itertuples(), strict=True))


def identical_rows(rows: pd.DataFrame, facts: pd.DataFrame) -> Iterator[Finding]:
    """Per pair of tables, the rows that agree in every number both print; a row's nearest, then oldest, table only."""
    nearest: dict[tuple[str, ...], tuple] = {}
    for older, newer in taken_rows(rows):
        key = tuple(newer[["source", "dataset", "method"]].iloc[0])
        if key not in nearest or len(older) > len(nearest[key][0]):  # the oldest table comes first
            nearest[key] = older, newer
    found: dict[tuple[str, str], list] = {}
    for older, newer in nearest.values():
        found.setdefault((newer["source"].iloc[0], older["source"].iloc[0]), []).append((older, newer))
    for (new, old), pairs in found.items():
        marked = facts[(facts["item"] == "row_taken_over") & (facts["paper"] == new.split()[0])]
        marked = marked[marked["table"] == new.split(" ", 2)[2]]
        listed, used, lines = [], [], []
        for older, newer in pairs:
            name = row_name(newer["method"].iloc[0])
            note = marked[marked["subject"] == name]
            lines += list(map(int, note.index))
            listed.append(f"{name} ({len(older)} values{', which it marks as taken over' if len(note) else ''})")
            used += [*older.index, *newer.index]
        yield Finding(
            "same",
            f"{place(new)} agrees with {place(old)} in every number that both print for {', '.join(listed)}.",
            tuple(map(int, used)),
            tuple(lines),
        )


def mixed_tables(rows: pd.DataFrame, facts: pd.DataFrame) -> Iterator[Finding]:
    """A table with rows of two older tables which measure the same thing differently."""
    origins: dict[tuple[str, str], dict[str, list]] = {}
    for older, newer in taken_rows(rows):
        by_table = origins.setdefault((newer["source"].iloc[0], newer["dataset"].iloc[0]), {})
        by_table.setdefault(older["source"].iloc[0], []).append((older, newer))
    for (table, dataset), by_table in origins.items():
        for first, second in combinations(by_table, 2):
            conflicts = _conflicts(rows, dataset, first, second)
            if not conflicts:
                continue
            names, used = [], [line for a, b in conflicts for line in (a.Index, b.Index)]
            for old in (first, second):
                pairs = by_table[old]
                own = ", ".join(newer["method"].iloc[0] for _, newer in pairs)
                names.append(f"{own} with {place(old)}")
                used += [line for older, newer in pairs for line in (*older.index, *newer.index)]
            shown = ", ".join(
                f"{a.method} {a.metric}{'' if a.part == 'all' else ' ' + a.part} {a.printed} and {b.printed}"
                for a, b in conflicts
            )
            yield Finding(
                "setups",
                f"{place(table)}, {dataset}, agrees in the rows {names[0]} and in the rows {names[1]}. These two "
                f"measured differently, for they give the same row different values: {shown}.",
                tuple(map(int, used)),
            )


def _conflicts(rows: pd.DataFrame, dataset: str, first: str, second: str) -> list:
    """Values of one unchanged row (the truth, or one method not re-implemented) that two tables give differently."""
    own = rows[(rows["dataset"] == dataset) & ~rows["is_reproduction"]]
    a, b = ({(r.method, r.metric, r.part): r for r in own[own["source"] == s].itertuples()} for s in (first, second))
    return [(a[key], b[key]) for key in a if key in b and differ(a[key], b[key])]


def assembled_rows(rows: pd.DataFrame, facts: pd.DataFrame) -> Iterator[Finding]:
    """One row whose numbers agree partly with one older table and partly with another that contradicts it."""
    for _, newer_rows in rows.groupby(["source", "dataset", "method"], sort=False):
        top = newer_rows.iloc[0]
        older = rows[
            (rows["dataset"] == top["dataset"]) & (rows["paper"] != top["paper"]) & (rows["arxiv"] < top["arxiv"])
        ]
        older = older[older["method"].map(row_name) == row_name(top["method"])]
        equal, values = {}, {(r.metric, r.part): r for r in newer_rows.itertuples()}
        for source, table in older.groupby("source", sort=False):
            other = {(r.metric, r.part): r for r in table.itertuples()}
            # digits that can agree by chance do not count
            hits = [k for k in other if k in values and other[k].value == values[k].value and digits(values[k]) > 1]
            if hits:
                equal[source] = (other, hits)
        for (first, (a, hits_a)), (second, (b, hits_b)) in combinations(equal.items(), 2):
            against = [k for k in a if k in b and differ(a[k], b[k])]
            only_a, only_b = [k for k in hits_a if k not in hits_b], [k for k in hits_b if k not in hits_a]
            if not (against and only_a and only_b):
                continue
            used = [r[k].Index for k in (*only_a, *only_b) for r in (values, a if k in only_a else b)]
            used += [r[k].Index for k in against for r in (a, b)]
            said = [f"{_listed(values, hits)} with {place(s)}" for s, hits in ((first, only_a), (second, only_b))]
            clash = ", ".join(f"{label(k)} {a[k].printed} and {b[k].printed}" for k in against)
            yield Finding(
                "assembled",
                f"{place(top['source'])}, {top['dataset']}, row {top['method']}: agrees in {said[0]} and in {said[1]}. "
                f"These two contradict each other: {clash}.{_reproduction(first, a, second, b)}",
                tuple(map(int, dict.fromkeys(used))),
            )


def _reproduction(first: str, a: dict, second: str, b: dict) -> str:
    """What is known of the two tables' rows, where one is a re-implementation and the other is not."""
    flags = [next(iter(other.values())).is_reproduction for other in (a, b)]
    if flags[0] == flags[1]:
        return ""
    again, own = (first, second) if flags[0] else (second, first)
    return f" The row of {place(again)} is a re-implementation, that of {place(own)} is not."


def _listed(values, keys) -> str:
    return ", ".join(f"{label(k)} {values[k].printed}" for k in keys)


def several_values(rows: pd.DataFrame, facts: pd.DataFrame) -> Iterator[Finding]:
    """The truth, or one method not re-implemented, with values far apart on one data set."""
    own = rows[~rows["is_reproduction"]]
    for (dataset, method, metric, part), table in own.groupby(["dataset", "method", "metric", "part"], sort=False):
        values = table[table["value"] > 0]
        if values["paper"].nunique() < 2 or values["value"].max() < APART * values["value"].min():
            continue
        shown = ", ".join(f"{r.printed} ({place(r.source)})" for r in values.sort_values("value").itertuples())
        name = "the ground truth" if method == TRUTH else method
        yield Finding("apart", f"{dataset}, {label((metric, part))} of {name}: {shown}.", tuple(map(int, values.index)))
