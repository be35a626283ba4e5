"""Which verdicts two runs disagree about, and why: from their claims.csv, or from their values per seed alone."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from analysis import stats
from analysis.claims import Claim, decide, read_claims
from analysis.controls_check import control_name, out_of_order
from analysis.people import LEAST_SHARE
from analysis.summary import summarise
from dyads.errors import DataError
from evaluation.cards import OK, truth_part
from evaluation.registry import cards

KEY = ["text", "metric", "part", "better", "worse"]
ERRORS = 2.0  # standard errors beyond which a difference itself has moved


@dataclass(frozen=True)
class Change:
    """A claim whose verdict is another one in B, in words why."""

    text: str
    a: str
    b: str
    why: str


def changed(a: pd.DataFrame, b: pd.DataFrame) -> list[Change]:
    """Claims of both tables (as `claims.csv`) with unequal verdicts."""
    both = a.merge(b, on=KEY, suffixes=("_a", "_b"))
    other = both[both["verdict_a"] != both["verdict_b"]]
    return [Change(row.text, row.verdict_a, row.verdict_b, _why(row)) for row in other.itertuples(index=False)]


def counted(lines: pd.DataFrame) -> str:
    """'17 supported, 4 contradicted, ...'."""
    numbers = lines["verdict"].value_counts()
    return ", ".join(f"{number} {verdict}" for verdict, number in numbers.items()).replace("_", " ")


def _why(row) -> str:
    for side, verdict in (("A", row.verdict_a), ("B", row.verdict_b)):
        if verdict == "not_measured":
            return f"not measured in {side}"
    errors = [(high - low) / 4 for low, high in ((row.low_a, row.high_a), (row.low_b, row.high_b))]
    shift, error = row.estimate_b - row.estimate_a, math.hypot(*errors)
    said = f"{row.estimate_a:.3g} [{row.low_a:.3g}, {row.high_a:.3g}] and {row.estimate_b:.3g} "
    said += f"[{row.low_b:.3g}, {row.high_b:.3g}]"
    if not all(map(math.isfinite, (shift, error))):
        lacks = "A" if not math.isfinite(row.low_a) else "B"
        return f"{lacks} has no interval (one seed, or too many values missing)"
    if abs(shift) > ERRORS * error:
        return f"the difference itself moved: {said}"
    wider = max(errors) > 1.5 * min(errors)
    reason = "within error, but one interval is much wider" if wider else "within error; p after Holm crossed 0.05"
    return f"{reason} (Holm's p {row.p_holm_a:.2g} and {row.p_holm_b:.2g}): {said}"


def read_verdicts(folder: Path) -> pd.DataFrame | None:
    """The side's claims.csv; None where it has none."""
    path = next((path for path in (folder / "tables/claims.csv", folder / "claims.csv") if path.is_file()), None)
    if path is None:
        return None
    try:
        return pd.read_csv(path)[[*KEY, "verdict", "estimate", "low", "high", "p_holm"]]
    except (KeyError, ValueError) as error:
        why = " ".join(str(error).split())
        raise DataError(f"{path} is no table of judged claims ({why}); judge them again, or take it away.") from error


def of_seeds(values: pd.DataFrame, claims: list[Claim]) -> pd.DataFrame:
    """Verdicts over seeds alone, from a value per row and seed: the test set is taken as it is.

    Claims of one state of the avatar and of exchanged users have no values of their own there, and are left out, but
    count in their family; those with too many values missing are inconclusive. Those on a metric that does not order
    the controls are not measured, other than in `claims.judge` also where an autoencoder is ahead of the truth by a
    hair: here are no people to tell.
    """
    of_all = [not claim.state and claim.metric in cards() for claim in claims]
    tables = [
        _differences(values, claim) if here else np.empty((0, 1)) for claim, here in zip(claims, of_all, strict=True)
    ]
    summary = summarise(values.assign(count=1, undefined=0, status=OK, reason=""))
    names = {method: control_name(method) for method in values["method"].unique()}
    asked = {claim.metric for claim, here in zip(claims, of_all, strict=True) if here}
    broken = out_of_order(asked, summary, names)
    tables = [table[:0] if claim.metric in broken else table for claim, table in zip(claims, tables, strict=True)]
    means = [_mean(table, _lacks(values, claim)) for claim, table in zip(claims, tables, strict=True)]
    lines = []
    decided = decide(claims, means)  # families are those of the file
    for claim, here, table, mean, (verdict, p, holm) in zip(claims, of_all, tables, means, decided, strict=True):
        if not here:
            continue
        low, high = stats.limits(mean)
        better, worse = claim.methods
        lines.append(
            {
                **{"text": claim.text, "metric": claim.metric, "part": claim.part, "better": better, "worse": worse},
                **{"verdict": verdict if len(table) else "not_measured", "estimate": mean.estimate},
                **{"low": low, "high": high, "p": p, "p_holm": holm},
            }
        )
    return pd.DataFrame(lines)


def _mean(table: np.ndarray, lacks: bool) -> stats.Mean:
    if lacks and len(table):
        return stats.Mean(len(table), 1, "too_few_values")
    return stats.mean_crossed(table) if len(table) else stats.Mean(0, 0, "too_few_pairs")


def _lacks(values: pd.DataFrame, claim: Claim) -> bool:
    """Whether a method has no value in more than a tenth of the dialogues that any row has, as `people.enough` asks."""
    own = values[(values["metric"] == claim.metric) & (values["part"] == claim.part)]
    if "known" not in own:
        return False
    fewest = own.loc[own["method"].isin(claim.methods), "known"].min()
    return bool(fewest < LEAST_SHARE * own["known"].max() - 1e-9)  # NaN where the side does not say: nothing to ask


def _differences(values: pd.DataFrame, claim: Claim) -> np.ndarray:
    """(seeds, 1): first minus second, of |value - truth| where nearer is better."""
    own = values[values["metric"] == claim.metric]
    sides = []
    for method in claim.methods:
        here = own[own["method"] == method].set_index("seed")
        side = here.loc[here["part"] == claim.part, "value"]
        if cards()[claim.metric].direction == "truth":
            side = (side - here.loc[here["part"] == truth_part(claim.part), "value"]).abs()
        sides.append(side)
    return (sides[0] - sides[1]).dropna().to_numpy(float)[:, None]


def compared(a: Path, b: Path, values: tuple[pd.DataFrame, pd.DataFrame], claims: Path) -> tuple[list[Change], str]:
    """Changed verdicts, and a sentence about what was compared."""
    sides = [read_verdicts(folder) for folder in (a, b)]
    how = "from claims.csv of both sides"
    if any(side is None for side in sides):
        if not claims.is_file():
            return [], f"verdicts not compared: {claims} is no file; name one by --claims"
        known = read_claims(claims)
        sides = [of_seeds(side, known) for side in values]
        how = "over seeds alone, since one side has no claims.csv"
    return changed(*sides), f"verdicts ({how}): A {counted(sides[0])}; B {counted(sides[1])}"
