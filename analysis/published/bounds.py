"""Values that the definition of their own metric, or the truth beside them, does not allow."""

import math
from collections.abc import Iterator
from itertools import product

import pandas as pd

from analysis.published import MIXED
from analysis.published.finding import PART_NAMES, TRUTH, Finding, interval, place, stated


def entropies_above_bound(rows: pd.DataFrame, facts: pd.DataFrame) -> Iterator[Finding]:
    """SID is the entropy in bits of a histogram over k clusters, so it is at most log2 k."""
    for row in rows[(rows["metric"] == "SID") & rows["part"].isin(["exp", "pose"])].itertuples():
        k = stated(facts, "sid_clusters", row.paper, row.part)
        if k is None or interval(row)[0] <= math.log2(int(k[1])):
            continue
        yield Finding(
            "bound",
            f"{place(row.source)}: SID ({PART_NAMES[row.part]}) of {row.method} is printed as {row.printed}. "
            f"{row.paper} states k = {k[1]}, and log2 {k[1]} = {math.log2(int(k[1])):.3f}: no SID with that k is this "
            "large.",
            (row.Index,),
            (k[0],),
        )


def above_one_bound_only(rows: pd.DataFrame, facts: pd.DataFrame) -> Iterator[Finding]:
    """A SID without a part that exceeds every single bound, but not their sum: nothing is proven."""
    for row in rows[(rows["metric"] == "SID") & (rows["part"] == "all")].itertuples():
        k = [stated(facts, "sid_clusters", row.paper, part) for part in ("exp", "pose")]
        if None in k:
            continue
        bounds = [math.log2(int(value)) for _, value in k]
        if max(bounds) < interval(row)[0] <= sum(bounds):
            yield Finding(
                "open",
                f"{place(row.source)}: SID of {row.method} is {row.printed} without a part, above "
                f"{max(bounds):.3f} = log2 {max(int(value) for _, value in k)}, the larger bound of the stated k. A "
                f"sum of both parts could reach {sum(bounds):.3f}, so this proves nothing.",
                (row.Index,),
                tuple(line for line, _ in k),
            )


def implied_truth(rows: pd.DataFrame, facts: pd.DataFrame) -> Iterator[Finding]:
    """A table of |value - truth's value| beside the values themselves tells the truth's value."""
    for metric in ("SID", "Var"):
        gaps = rows[rows["metric"] == f"d{metric}"]
        for (source, dataset, part), table in gaps.groupby(["source", "dataset", "part"], sort=False):
            pairs = []
            for gap in table.itertuples():
                values = rows[(rows["metric"] == metric) & (rows["part"] == part) & (rows["dataset"] == dataset)]
                values = values[(values["method"] == gap.method) & ~values["is_reproduction"]]
                if len(values) and values["value"].nunique() == 1:
                    pairs.append((next(values.itertuples()), gap, tuple(values.index)))
            truth = _common_truth(pairs) if len(pairs) >= 3 else None
            if truth is None:
                continue
            used = tuple(line for _, gap, lines in pairs for line in (*lines, gap.Index))
            shown = ", ".join(f"{value.method} {value.printed} ({gap.printed})" for value, gap, _ in pairs)
            start = (
                f"{place(source)} prints how far {metric} ({PART_NAMES[part]}) on {dataset} is from the truth's. With "
                f"the {metric} of other tables, this distance in brackets: {shown}. Only {sum(truth) / 2:.2f} fits all "
                f"{len(pairs)} as the truth's value"
            )
            if metric == "SID":
                yield from _implied_clusters(start, truth, part, used, rows, facts)
            else:
                yield from _above_truth(start, truth, [value for value, _, _ in pairs], used)


def _common_truth(pairs) -> tuple[float, float] | None:
    """The one interval of truths that all |value - truth| allow; None if there is none, or more than one."""
    fits: set[tuple[float, float]] = set()
    for signs in product((1, -1), repeat=len(pairs)):
        low, high = -math.inf, math.inf
        for sign, (value, gap, _) in zip(signs, pairs, strict=True):
            slack = 0.5 * 10.0**-value.decimals + 0.5 * 10.0**-gap.decimals
            middle = value.value + sign * gap.value
            low, high = max(low, middle - slack), min(high, middle + slack)
        if high - low > -1e-9 and high > 0:  # values printed to the last digit may only just meet
            fits.add((round(min(low, high), 6), round(max(low, high), 6)))
    joined = sorted(fits)
    apart = any(b[0] - a[1] > 1e-9 for a, b in zip(joined, joined[1:], strict=False))
    return None if apart or not joined else (joined[0][0], joined[-1][1])


def _implied_clusters(start: str, truth, part: str, used, rows: pd.DataFrame, facts: pd.DataFrame):
    """Papers that state fewer clusters than the implied truth needs."""
    least = math.ceil(2 ** truth[0] - 1e-9)
    small = facts[(facts["item"] == "sid_clusters") & (facts["part"] == part) & (facts["evidence"] == "paper")]
    small = small[(small["value"].astype(int) < least) & small["paper"].isin(rows["paper"])]
    if len(small):
        listed = ", ".join(f"{line.paper} k = {line.value}" for line in small.itertuples())
        yield Finding(
            "bound",
            f"{start}. If value and difference belong to one clustering, it has at least {least} clusters; if they do "
            f"not, the differences mean nothing. Stated are: {listed}.",
            used,
            tuple(map(int, small.index)),
        )


def _above_truth(start: str, truth, values, used) -> Iterator[Finding]:
    """Values that an upward arrow calls better though they lie beyond the truth."""
    beyond = [value for value in values if value.dir == "up" and interval(value)[0] > truth[1]]
    if beyond:
        names = ", ".join(f"{value.method} {value.printed}" for value in beyond)
        yield Finding(
            "arrow",
            f"{start}. Their own tables mark Var ↑ as better; above that truth are {names}.",
            used,
        )


def truth_not_best(rows: pd.DataFrame, facts: pd.DataFrame) -> Iterator[Finding]:
    """Metrics whose arrow puts methods above the ground truth of the same set-up."""
    keys = ["source", "dataset", "split_or_protocol", "comparable_group", "metric", "part"]
    for (source, dataset, _, group, metric, part), table in rows.groupby(keys, sort=False):
        truth = table[table["method"] == TRUTH]
        others = table[table["method"] != TRUTH]
        if truth.empty or len(others) < 2 or group == MIXED or not truth["dir"].iloc[0]:
            continue
        own, up = next(truth.itertuples()), truth["dir"].iloc[0] == "up"
        better = others[(others["value"] > own.value) if up else (others["value"] < own.value)]
        if len(better):
            best = better.loc[better["value"].idxmax() if up else better["value"].idxmin()]
            name = metric if part == "all" else f"{metric} ({PART_NAMES[part]})"
            yield Finding(
                "arrow",
                f"{place(source)}, {dataset}: by the arrow of {name} {'↑' if up else '↓'}, {len(better)} of the "
                f"{len(others)} other rows are better than the truth's {own.printed}; the best is {best.method}, "
                f"{best.printed}.",
                tuple(map(int, table.index)),
            )
