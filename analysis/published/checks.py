"""All findings on the published numbers; each is computed, and names the numbers it rests on."""

from collections.abc import Callable, Iterator

import pandas as pd

from analysis.published import bounds, copies, protocols
from analysis.published.finding import Finding

ITEMS = {
    "sid_clusters": "Number k of clusters in SID",
    "coefficients": "Face coefficients behind FD, SID, Var, rPCC and MSE (expression + pose)",
    "var": "Variance in Var",
    "fd": "Frames behind one FD",
    "rpcc": "Correlation behind rPCC",
    "csim_reference": "What CSIM compares with",
    "videos_hdtf": "Test videos on HDTF",
    "videos_realtalk": "Test videos on RealTalk",
}

ALONE = {  # said by one paper, and no matter of taste
    "frames_without_face": (
        "Frames in which no face was found",
        "Two people who lose different frames then no longer run on one clock, and rPCC, P-FD and TLCC pair other "
        "moments; how far that moves the published values was not measured",
    ),
}


def stated_differently(rows: pd.DataFrame, facts: pd.DataFrame) -> Iterator[Finding]:
    """Items on which papers, or their code, say different things; and what two papers say of a third."""
    for item, title in ITEMS.items():
        own = facts[facts["item"] == item]
        if own["value"].nunique() < 2:
            continue
        by_value: dict[str, list[str]] = {}
        for (paper, evidence), lines in own.groupby(["paper", "evidence"], sort=False):
            said = ", ".join(f"{line.value} {line.part}".strip() for line in lines.itertuples())
            by_value.setdefault(said, []).append(paper + (" (code)" if evidence == "code" else ""))
        shown = "; ".join(f"{said}: {', '.join(papers)}" for said, papers in by_value.items())
        yield Finding("stated", f"{title}. {shown}.", facts=tuple(map(int, own.index)))
    counts = facts[facts["item"] == "coefficient_count"]
    for subject, own in counts.groupby("subject", sort=False):
        if own["value"].nunique() > 1:
            said = ", ".join(f"{line.value} by {line.paper}" for line in own.itertuples())
            yield Finding(
                "stated", f"Number of coefficients that {subject} used. {said}.", facts=tuple(map(int, own.index))
            )


def stated_alone(rows: pd.DataFrame, facts: pd.DataFrame) -> Iterator[Finding]:
    """What one paper, or its code, says, and what follows from it."""
    for item, (title, follows) in ALONE.items():
        for line in facts[facts["item"] == item].itertuples():
            paper = line.paper + (" (code)" if line.evidence == "code" else "")
            yield Finding("stated", f"{title}. {line.value}: {paper}. {follows}.", facts=(int(line.Index),))


CHECKS: tuple[Callable[[pd.DataFrame, pd.DataFrame], Iterator[Finding]], ...] = (
    *(bounds.entropies_above_bound, bounds.implied_truth, bounds.truth_not_best),
    *(copies.identical_rows, copies.mixed_tables, copies.assembled_rows, copies.several_values),
    *(stated_differently, stated_alone, bounds.above_one_bound_only),
)


def findings(rows: pd.DataFrame, facts: pd.DataFrame | None = None) -> list[Finding]:
    """Every finding that `rows` (see `load`) and `facts` (see `protocols`) prove, in the order of the page."""
    facts = protocols() if facts is None else facts
    return [finding for check in CHECKS for finding in check(rows, facts)]
