"""What quality costs: parameters, training and speed of every row, and two metrics over speed."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from reporting.plots.study_files import BLACK, GREY, GROUP_COLOURS, GROUP_MARKERS, Study, name_missing, nothing

MEASURES = {
    "parameters": "parameters",
    "train_seconds_mean": "training, s",
    "frames_per_cpu_second_mean": "frames per CPU second",
    "generate_gib_mean": "memory while generating, GiB",
}


def cost_points(study: Study) -> Figure:
    """One panel per cost, a point per row, its standard deviation over seeds as a line."""
    table = study.table("efficiency_table").reset_index(drop=True)
    figure = Figure(figsize=(2.5 * len(MEASURES) + 1.4, 0.22 * len(table) + 0.9), layout="constrained")
    all_axes = figure.subplots(1, len(MEASURES), sharey=True, squeeze=False)[0]
    for axes, (name, title) in zip(all_axes, MEASURES.items(), strict=True):
        spread = table.get(name.replace("_mean", "_sd"), pd.Series(dtype=float)) if "_mean" in name else None
        for place, row in table.iterrows():
            value = row[name]
            if not math.isfinite(value):
                axes.text(0.02, place, "–", fontsize=7, color=GREY, va="center", transform=axes.get_yaxis_transform())
                continue
            look = {"color": GROUP_COLOURS.get(row["group"], BLACK), "marker": GROUP_MARKERS.get(row["group"], "o")}
            reach = 0.0 if spread is None or not math.isfinite(spread[place]) else spread[place]
            axes.errorbar([value], [place], xerr=[reach], markersize=4.5, linewidth=1, **look)
        axes.set_title(title, fontsize=8)
        axes.grid(axis="x")
        top = (table[name] + (0.0 if spread is None else spread.fillna(0.0))).max()
        if "per_cpu_second" in name and top > 0:  # controls that only copy pictures are a hundred times as fast
            axes.set_xscale("log")
            axes.xaxis.set_minor_formatter(NullFormatter())
        else:
            axes.set_xlim(0, 1.06 * top if top > 0 else 1)
    all_axes[0].set_yticks(range(len(table)), table["label"], fontsize=7)
    all_axes[0].set_ylim(len(table) - 0.5, -0.5)
    all_axes[0].xaxis.set_major_formatter(lambda value, place: f"{value / 1000:g}k" if value else "0")
    gone = table[table["missing"].fillna("") != ""].groupby("missing", sort=False)["label"]
    name_missing(figure, [f"{', '.join(labels)} ({text})" for text, labels in gone])
    return figure


def quality_over_speed(study: Study, columns: Sequence[str]) -> Figure:
    """Metrics over frames per CPU second: better and faster is up and right, or down and right where less is better.

    Controls are left out: they copy what is there.
    """
    table = study.table("efficiency_table")
    table = table[table["group"] != "control"]
    figure = Figure(figsize=(4.3 * len(columns), 3.4), layout="constrained")
    slow = table[table["frames_per_cpu_second_mean"].isna()]
    missing = [f"speed of {row.label} ({row.missing})" for row in slow.itertuples()]
    for axes, column in zip(figure.subplots(1, len(columns), squeeze=False)[0], columns, strict=True):
        means = study.of(column).groupby("method")["value"].mean()
        points = [(row, means.get(row.method, math.nan)) for row in table.itertuples()]
        drawn = [(row, v) for row, v in points if math.isfinite(v) and math.isfinite(row.frames_per_cpu_second_mean)]
        missing += study.absent([row.method for row, v in points if not math.isfinite(v)], [column])
        for number, (row, value) in enumerate(drawn):
            look = {"color": GROUP_COLOURS.get(row.group, BLACK), "marker": GROUP_MARKERS.get(row.group, "o")}
            axes.plot([row.frames_per_cpu_second_mean], [value], linewidth=0, markersize=5, **look)
            axes.annotate(str(number + 1), (row.frames_per_cpu_second_mean, value), xytext=(3, 3),
                          textcoords="offset points", fontsize=7)  # fmt: skip
        if not drawn:
            nothing(axes, "no row has both")
            continue
        speeds = [row.frames_per_cpu_second_mean for row, _ in drawn]
        if max(speeds) > 3 * min(speeds):
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_major_formatter("{x:g}")
            axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("frames per CPU second")
        axes.set_ylabel(study.title(column))
        axes.grid(True, which="both")
        names = [f"{number + 1}  {row.label}" for number, (row, _) in enumerate(drawn)]
        axes.text(1.02, 1.0, "\n".join(names), transform=axes.transAxes, fontsize=6.5, va="top")
        truth = study.truth(column)
        if np.isfinite(truth):
            axes.axhline(truth, color=BLACK, linestyle="--", linewidth=0.8)
    name_missing(figure, missing)
    return figure
