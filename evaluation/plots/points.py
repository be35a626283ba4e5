"""One panel per metric: a point per seed, a bar at the mean."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evaluation.plots.study import BLACK, GREY, GROUP_COLOURS
from evaluation.registry import cards
from evaluation.rendering import truth_value
from evaluation.summary import read_rows, result_files, seed_values
from evaluation.tables import DEFAULT_COLUMNS


def metric_points(metrics: Path | list[Path], rows: pd.DataFrame, columns: tuple[str, ...] = DEFAULT_COLUMNS) -> Figure:
    """One panel per `metric/part`: a point per seed, a bar at the mean, the truth dashed where it is the goal.

    Args:
        metrics: folder of results, or result files.
        rows: method, label, group, from top to bottom.
    """
    files = result_files(metrics if isinstance(metrics, list) else [metrics])
    values = seed_values(read_rows(files))
    known, across = cards(), min(4, len(columns))
    down = math.ceil(len(columns) / across)
    size = (2.7 * across + 1.2, down * (0.23 * len(rows) + 0.75) + 0.3)
    figure = Figure(figsize=size, layout="constrained")
    all_axes = figure.subplots(down, across, sharey=True, squeeze=False).ravel()
    summary = values.assign(mean=values["value"]).set_index(["method", "metric", "part"])
    for axes, column in zip(all_axes, columns, strict=False):
        metric, _, part = column.partition("/")
        card = known[metric]
        part = part or card.parts[-1]
        own = values[(values["metric"] == metric) & (values["part"] == part)]
        truth = truth_value(card, part, summary) if card.direction == "truth" else math.nan
        if math.isfinite(truth):
            axes.axvline(truth, color=BLACK, linewidth=0.8, linestyle="--")
        for line, row in enumerate(rows.itertuples(index=False)):
            _points(axes, line, own[own["method"] == row.method], GROUP_COLOURS.get(row.group, BLACK))
        part = f", {part}" if len(card.parts) > 1 else ""
        axes.set_title(f"{card.label}{part} {card.arrow}", fontsize=8)
        axes.tick_params(labelsize=7, length=2)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="x", alpha=0.3)
    for axes in all_axes[len(columns) :]:
        axes.set_visible(False)
    all_axes[0].set_yticks(np.arange(len(rows)), rows["label"], fontsize=7)
    all_axes[0].set_ylim(len(rows) - 0.5, -0.5)
    return figure


def _points(axes: Axes, line: int, own: pd.DataFrame, colour: str) -> None:
    """One method in one panel: its seeds and their mean, or why there is none."""
    defined = own["value"].dropna()
    if defined.empty:
        text = own["reason"].iloc[0] if len(own) else "not_run"
        axes.text(0.02, line, text, fontsize=6, va="center", color=GREY, transform=axes.get_yaxis_transform())
        return
    axes.plot(defined, np.full(len(defined), line), "o", color=colour, markersize=3.5, alpha=0.6, linewidth=0)
    axes.plot([defined.mean()], [line], "|", color=colour, markersize=10, markeredgewidth=2)
