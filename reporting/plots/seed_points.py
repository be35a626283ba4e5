"""One panel per metric: a point per seed, a bar at the mean; and ranks of all methods with the critical difference."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reporting.plots.study_files import BLACK, GREY, GROUP_COLOURS, GROUP_MARKERS, Study, name_missing, nothing


def metric_points(study: Study, columns: Sequence[str], rows: pd.DataFrame | None = None) -> Figure:
    """One panel per `metric/part`: a point per seed, a bar at the mean, the truth dashed where it is the goal.

    Args:
        columns: `metric/part` of the panels.
        rows: method, label, group, from top to bottom; default: all of the study.
    """
    rows = study.rows if rows is None else rows
    columns, gone = study.measured(columns)
    across = min(4, max(len(columns), 1))
    down = max(math.ceil(len(columns) / across), 1)
    size = (2.7 * across + 1.2, down * (0.23 * len(rows) + 0.75) + 0.3)
    figure = Figure(figsize=size, layout="constrained")
    all_axes = figure.subplots(down, across, sharey=True, squeeze=False).ravel()
    for axes, column in zip(all_axes, columns, strict=False):
        own, truth = study.of(column), study.truth(column)
        if math.isfinite(truth):
            axes.axvline(truth, color=BLACK, linewidth=0.8, linestyle="--")
        for line, row in enumerate(rows.itertuples(index=False)):
            _points(axes, line, own[own["method"] == row.method], row.group)
        axes.set_title(study.title(column), fontsize=8)
        axes.locator_params(axis="x", nbins=5)
        axes.grid(axis="x")
    for axes in all_axes[max(len(columns), 1) :]:
        axes.set_visible(False)
    if not columns:
        nothing(all_axes[0], "no metric was measured")
    else:
        all_axes[0].set_yticks(np.arange(len(rows)), rows["label"], fontsize=7)
        all_axes[0].set_ylim(len(rows) - 0.5, -0.5)
    name_missing(figure, study.absent(rows["method"], columns) + gone)
    return figure


def _points(axes: Axes, line: int, own: pd.DataFrame, group: str) -> None:
    """One method in one panel: its seeds and their mean, or why there is none."""
    defined = own["value"].dropna()
    if defined.empty:
        text = own["reason"].iloc[0] if len(own) else "not_run"
        axes.text(0.02, line, text, fontsize=6, va="center", color=GREY, transform=axes.get_yaxis_transform())
        return
    look = {"color": GROUP_COLOURS.get(group, BLACK), "linewidth": 0}
    marker = GROUP_MARKERS.get(group, "o")
    axes.plot(defined, np.full(len(defined), line), marker, markersize=3.5, alpha=0.6, **look)
    axes.plot([defined.mean()], [line], "|", markersize=10, markeredgewidth=2, **look)


def rank_points(study: Study, table: str, columns: Sequence[str]) -> Figure:
    """Mean rank of every method (1 is best) per metric; a bar as long as Nemenyi's critical difference.

    Two methods further apart than the bar differ over the dialogues at 5 %. `table`: whose rows are ranked together.
    """
    ranks = study.table("ranks")
    ranks = ranks[ranks["table"] == table]
    ranks = ranks.assign(column=ranks["metric"] + "/" + ranks["part"])
    shown = [column for column in columns if ranks.loc[ranks["column"] == column, "mean_rank"].notna().any()]
    across = min(3, max(len(shown), 1))
    down = max(math.ceil(len(shown) / across), 1)
    methods = list(dict.fromkeys(ranks["method"]))
    size = (3.1 * across + 1.2, down * (0.2 * max(len(methods), 4) + 0.9) + 0.2)
    figure = Figure(figsize=size, layout="constrained")
    all_axes = figure.subplots(down, across, squeeze=False).ravel()
    if not shown:
        nothing(all_axes[0], "no metric has values per dialogue of three methods or more")
    for axes, column in zip(all_axes, shown, strict=False):
        _ranks(axes, study, ranks[ranks["column"] == column], study.title(column))
    for axes in all_axes[max(len(shown), 1) :]:
        axes.set_visible(False)
    left_out = ranks[ranks["column"].isin(shown) & (ranks["status"] == "too_few_values")]
    gone = [
        f"{study.label(method)}: {' / '.join(map(study.title, own))} (too_few_values)"
        for method, own in left_out.groupby("method", sort=False)["column"]
    ]
    name_missing(figure, study.absent(methods) + gone)
    return figure


def _ranks(axes: Axes, study: Study, ranks: pd.DataFrame, title: str) -> None:
    known = ranks.dropna(subset="mean_rank").sort_values("mean_rank").reset_index(drop=True)
    best, critical = known["mean_rank"].iloc[0], known["critical"].iloc[0]
    axes.axvspan(best, best + critical, color="#E6E6E6", linewidth=0, zorder=0)
    for line, row in known.iterrows():
        group = study.group(row["method"])
        look = {"color": GROUP_COLOURS.get(group, BLACK), "marker": GROUP_MARKERS.get(group, "o")}
        axes.plot([row["mean_rank"]], [line], markersize=4.5, **look)
    axes.set_yticks(range(len(known)), [study.label(method) for method in known["method"]], fontsize=6.5)
    axes.set_ylim(len(known) - 0.5, -0.5)
    axes.set_xlim(left=0.8)
    blocks, p = int(known["blocks"].iloc[0]), known["p"].iloc[0]
    axes.set_title(f"{title}\n{blocks} dialogues, Friedman p = {p:.2g}", fontsize=7.5)
    axes.set_xlabel("mean rank; grey: not apart from the best", fontsize=7)
    axes.grid(axis="x")
