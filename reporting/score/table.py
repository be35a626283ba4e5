"""Means of each system, paired tests between systems, and ranks over clips."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.stats import compare, holm
from evaluation.cards import ARROWS, OK, truth_part
from evaluation.registry import cards
from evaluation.rows import WHOLE_SET

LEVEL = 0.05
LEAST_SHARE = 0.9  # of a system's clips must have a value, else it gets neither bold nor a rank
TRUST = "docs/trust.md"


def summary(rows: pd.DataFrame, systems: Sequence[str]) -> pd.DataFrame:
    """A line for each metric and part that has a value somewhere: each system's mean, count of values and status."""
    lines = []
    known = cards()
    for (metric, part), own in rows.groupby(["metric", "part"], sort=False):
        card = known[metric]
        if not (own["status"] == OK).any() or part not in card.parts:
            continue
        set_level = card.per == "set"
        line = {"metric": metric, "part": part, "label": card.label, "better": card.direction, "unit": card.unit}
        for system in systems:
            mine = own[(own["method"] == system) & ((own["clip"] == WHOLE_SET) == set_level)]
            good = mine[mine["status"] == OK]
            line[system] = good["value"].mean() if len(good) else np.nan
            line[f"{system} values"] = len(good)
            line[f"{system} of"] = len(mine)
        line["truth"] = np.nan
        if card.direction == "truth":
            truth = rows[(rows["metric"] == metric) & (rows["part"] == truth_part(part)) & (rows["status"] == OK)]
            line["truth"] = truth["value"].mean() if len(truth) else np.nan
        lines.append(line)
    return pd.DataFrame(lines)


def _scores(rows: pd.DataFrame, metric: str, part: str) -> pd.DataFrame:
    """Clip x system, lower is better; of 'truth' metrics the distance from the truth's own value."""
    card = cards()[metric]
    own = rows[(rows["metric"] == metric) & (rows["clip"] != WHOLE_SET)].copy()
    own.loc[own["status"] != OK, "value"] = np.nan
    values = own[own["part"] == part].pivot_table(index="clip", columns="method", values="value", dropna=False)
    if card.direction == "truth":
        truth = own[own["part"] == truth_part(part)].pivot_table(
            index="clip", columns="method", values="value", dropna=False
        )
        return (values - truth.reindex_like(values)).abs()
    return -values if card.direction == "higher" else values


def compared(rows: pd.DataFrame, systems: Sequence[str]) -> pd.DataFrame:
    """Every pair of systems in every metric of clips: mean difference, p of the sign-flip test, Holm over the metrics;
    and mean ranks. Empty for one system."""
    lines = []
    known = cards()
    for metric, part in rows[["metric", "part"]].drop_duplicates().itertuples(index=False):
        card = known[metric]
        if card.per == "set" or part not in card.parts or len(systems) < 2:
            continue
        scores = _scores(rows, metric, part)
        if not set(systems) <= set(scores.columns):
            continue
        enough = scores[list(systems)].notna().mean().min() >= LEAST_SHARE
        complete = scores[list(systems)].dropna()
        ranks = complete.rank(axis=1).mean() if enough and len(complete) else pd.Series(np.nan, index=list(systems))
        for k, one in enumerate(systems):
            for other in systems[k + 1 :]:
                differences = (scores[other] - scores[one]).dropna().to_numpy()  # above 0: `one` is better
                test = compare(differences) if enough else None
                lines.append(
                    {
                        "metric": metric,
                        "part": part,
                        "one": one,
                        "other": other,
                        "clips": len(differences),
                        "better": "" if test is None or test.status != OK else one if test.estimate > 0 else other,
                        "difference": np.nan if test is None else test.estimate,
                        "p": np.nan if test is None else test.flip_p,
                        "status": "too_few_values" if test is None else test.status,
                        "rank_one": ranks[one],
                        "rank_other": ranks[other],
                    }
                )
    table = pd.DataFrame(lines)
    if len(table):
        table["p_holm"] = np.nan
        for _, own in table.groupby(["one", "other"]):
            tested = own.index[own["p"].notna()]
            if len(tested):
                table.loc[tested, "p_holm"] = holm(table.loc[tested, "p"].to_numpy())
    return table


def best(line: pd.Series, systems: Sequence[str]) -> str:
    """The system that comes out first in a line; '' for one system, ties, or too few values."""
    if len(systems) < 2 or any(line[f"{s} values"] < LEAST_SHARE * line[f"{s} of"] for s in systems):
        return ""
    values = pd.Series({system: line[system] for system in systems})
    if line["better"] == "truth":
        values = -(values - line["truth"]).abs()
    values = -values if line["better"] == "lower" else values
    return str(values.idxmax()) if values.notna().all() and (values == values.max()).sum() == 1 else ""


def significant(tests: pd.DataFrame, metric: str, part: str, system: str) -> bool:
    """Whether a system is ahead of every other one after Holm's correction."""
    if not len(tests):
        return False
    own = tests[(tests["metric"] == metric) & (tests["part"] == part)]
    own = own[(own["one"] == system) | (own["other"] == system)]
    return len(own) > 0 and bool(((own["better"] == system) & (own["p_holm"] < LEVEL)).all())


def cell(line: pd.Series, system: str, systems: Sequence[str], tests: pd.DataFrame) -> str:
    """A mean with what belongs to it: bold for the best, * where it is ahead of all others, n where values lack."""
    value = line[system]
    if not np.isfinite(value):
        return "–"
    text = f"{value:.4g}"
    if best(line, systems) == system:
        text = f"**{text}**" + ("\\*" if significant(tests, line["metric"], line["part"], system) else "")
    lacking = line[f"{system} of"] - line[f"{system} values"]
    return text + (f" ({int(line[f'{system} values'])} of {int(line[f'{system} of'])})" if lacking else "")


# What a terminal shows; table.md has all.
HEADLINE = {
    *(
        "psnr",
        "ssim",
        "lpips",
        "fid",
        "fvd",
        "csim",
        "csim_dlib",
        "cpbd",
        "m_lmd_normalised",
        "f_lmd_normalised",
        "lip_lmd",
    ),
    *("akd", "lve_root", "mod", "mouth_opening_correlation", "lse_d", "lse_c", "lse_offset", "exp_distance", "e_fid"),
    *("angle_distance", "rpcc", "motion_fd_clip", "sid", "var", "blink_rate", "beat_align", "lip_stability", "fdd"),
    *("mee", "coverage_error", "diversity_of_all"),  # where there are several samples
}


def headline(lines: pd.DataFrame) -> pd.DataFrame:
    """The lines that a terminal shows: one part of each metric but expression and pose, where they are apart."""
    chosen = lines[lines["metric"].isin(HEADLINE)]
    apart = chosen["part"].isin(("lips", "eyes", "all", "lips_truth")) & (
        chosen.groupby("metric")["part"].transform("size") > 2
    )
    return chosen[~apart]


def markdown(lines: pd.DataFrame, tests: pd.DataFrame, systems: Sequence[str], pairs: Sequence) -> str:
    """The table for a terminal or a paper's supplement."""
    head = ["metric", "", *systems, "truth"]
    text = "| " + " | ".join(head) + " |\n|" + "---|" * len(head) + "\n"
    lacking = False
    for _, line in lines.iterrows():
        several = (lines["metric"] == line["metric"]).sum() > 1
        name = line["label"] + (f", {line['part']}" if several else "")
        truth = f"{line['truth']:.4g}" if np.isfinite(line["truth"]) else ""
        cells = [cell(line, system, systems, tests) for system in systems]
        lacking = lacking or any(each.endswith(")") for each in cells)
        name = name.replace("|", "\\|")
        text += f"| {name} ({line['unit']}) | {ARROWS[line['better']]} | {' | '.join(cells)} | {truth} |\n"
    own = {system: [p for p in pairs if p.system == system and p.clip.status == OK] for system in systems}
    against = {system: sum(not p.alone for p in found) for system, found in own.items()}
    scored = {system: against[system] or len(found) for system, found in own.items()}
    total = {system: sum(p.system == system for p in pairs) for system in systems}
    text += "\n" + ", ".join(f"{name}: {scored[name]} of {total[name]} videos scored" for name in systems)
    text += " against a truth. " if any(against.values()) else ", without a truth. "
    if lacking:
        text += "(n of m): so many videos have this value. "
    text += (
        "↑ higher is better, ↓ lower, → nearer to the true video's own value; – no value, with the reason in rows.csv. "
    )
    if len(systems) > 1:
        text += (
            "Bold: the best mean; \\*: ahead of every other system (paired sign flips over clips, Holm over metrics). "
        )
    return text + f"Which of these can be trusted, and for what: {TRUST}.\n"
