"""Differences with their intervals: the claims by family, and every row of a table against the main one."""

import math
import textwrap
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from reporting.plots.study_files import BLACK, BLUE, GREY, ORANGE, Study, name_missing, nothing

VERDICTS = {  # colour, marker, fill
    "supported": (BLUE, "o", BLUE),
    "contradicted": (ORANGE, "X", ORANGE),
    "inconclusive": (GREY, "s", "white"),
}


def claim_intervals(study: Study, families: Sequence[str] | None = None) -> Figure:
    """Each claim's difference in units of the smallest one this study could have seen, with its interval.

    Left of zero speaks against the claim: the sign is turned where less is claimed. A claim that was not measured keeps
    its line and says why. `families`: of claims, None for all.
    """
    lines = study.table("claims")
    lines = (lines[lines["family"].isin(families)] if families is not None else lines).reset_index(drop=True)
    families = list(dict.fromkeys(lines["family"]))
    if lines.empty:
        figure = Figure(figsize=(9.2, 1.2), layout="constrained")
        nothing(figure.subplots(), "no claim of these families was judged")
        return figure
    height = 0.36 * len(lines) + 0.42 * len(families) + 0.9
    figure = Figure(figsize=(9.2, height), layout="constrained")
    ratios = [max((lines["family"] == family).sum(), 1) for family in families]
    all_axes = figure.subplots(len(ratios), 1, sharex=True, squeeze=False, height_ratios=ratios)[:, 0]
    for axes, family in zip(all_axes, families, strict=True):
        own = lines[lines["family"] == family].reset_index(drop=True)
        for place, claim in own.iterrows():
            _claim(axes, place, claim)
        axes.axvline(0, color=BLACK, linewidth=0.8)
        names = [textwrap.fill(text, 58) for text in own["text"]]
        axes.set_yticks(range(len(own)), names, fontsize=7)
        axes.set_ylim(len(own) - 0.5, -0.5)
        axes.set_title(family, fontsize=8.5, loc="left", fontweight="bold")
        axes.grid(axis="x")
    all_axes[-1].set_xlabel("difference in the claimed direction / smallest difference seen with 80 % power")
    all_axes[-1].set_xlim(-4, 8)
    handles = [Line2D([], [], color=c, marker=m, markerfacecolor=f, label=name) for name, (c, m, f) in VERDICTS.items()]
    handles.append(Line2D([], [], color=BLACK, marker="|", linewidth=0, markersize=9, label="margin"))
    figure.legend(handles=handles, loc="outside upper right", ncols=4)
    return figure


def _claim(axes: Axes, place: int, claim: pd.Series) -> None:
    if not (math.isfinite(claim["detectable"]) and math.isfinite(claim["estimate"])):
        words = claim["missing"] if isinstance(claim["missing"], str) else claim["status"]
        axes.text(0.1, place, textwrap.shorten(words, 90), fontsize=6.5, va="center", color=GREY)
        return
    sign = -1.0 if claim["kind"] == "less" else 1.0
    low, high = sorted(sign * np.array([claim["low"], claim["high"]]) / claim["detectable"])
    middle = sign * claim["estimate"] / claim["detectable"]
    colour, marker, fill = VERDICTS.get(claim["verdict"], (GREY, "s", "white"))
    axes.plot([low, high], [place, place], color=colour, linewidth=1.6, solid_capstyle="butt", clip_on=True)
    inside = float(np.clip(middle, -3.9, 7.9))
    marker = marker if inside == middle else ">" if middle > 0 else "<"  # it lies outside the figure
    axes.plot([inside], [place], marker=marker, color=colour, markerfacecolor=fill, markersize=5)
    if claim["margin"]:
        for margin in (claim["margin"], -claim["margin"]) if claim["kind"] == "equivalent" else (claim["margin"],):
            axes.plot([margin / claim["detectable"]], [place], "|", color=BLACK, markersize=9)
    text = f"{claim['estimate']:+.3g}, Holm p {claim['p_holm']:.2g}"
    axes.text(1.01, place, text, fontsize=6.5, va="center", transform=axes.get_yaxis_transform())


def row_differences(study: Study, table: str, columns: Sequence[str]) -> Figure:
    """Every row of a table minus its reference row, with 95 % intervals; filled where Holm's p is below 5 %."""
    lines = study.table("comparisons")
    lines = lines[lines["table"] == table]
    lines = lines.assign(column=lines["metric"] + "/" + lines["part"])
    columns, gone = study.measured(columns)
    columns = [column for column in columns if (lines["column"] == column).any()]
    methods = list(dict.fromkeys(lines["method"]))
    size = (2.6 * max(len(columns), 1) + 1.4, 0.25 * max(len(methods), 3) + 1.0)
    figure = Figure(figsize=size, layout="constrained")
    all_axes = figure.subplots(1, max(len(columns), 1), sharey=True, squeeze=False)[0]
    if not columns:
        nothing(all_axes[0], "no row stands against a reference in this table")
        return figure
    for axes, column in zip(all_axes, columns, strict=True):
        for place, method in enumerate(methods):
            _difference(axes, place, lines[(lines["column"] == column) & (lines["method"] == method)])
        axes.axvline(0, color=BLACK, linewidth=0.8)
        axes.locator_params(axis="x", nbins=5)
        axes.set_title(study.title(column), fontsize=8)
        axes.grid(axis="x")
    reference = study.label(lines["reference"].iloc[0])
    all_axes[0].set_yticks(range(len(methods)), [study.label(method) for method in methods])
    all_axes[0].set_ylim(len(methods) - 0.5, -0.5)
    figure.suptitle(f"difference from {reference}; of |value - truth| where the arrow is →", fontsize=8)
    name_missing(figure, study.absent(methods, columns) + gone)
    return figure


def _difference(axes: Axes, place: int, line: pd.DataFrame) -> None:
    if line.empty or not math.isfinite(line["low"].iloc[0]):
        text = "not_run" if line.empty else str(line["status"].iloc[0])
        axes.text(0.02, place, text, fontsize=6, va="center", color=GREY, transform=axes.get_yaxis_transform())
        return
    found = line.iloc[0]
    colour = {"better": BLUE, "worse": ORANGE}.get(found["better"], GREY)
    axes.plot([found["low"], found["high"]], [place, place], color=colour, linewidth=1.6)
    fill = colour if colour != GREY else "white"
    marker = {BLUE: "^", ORANGE: "v"}.get(colour, "s")
    axes.plot([found["estimate"]], [place], marker=marker, color=colour, markerfacecolor=fill, markersize=5)
