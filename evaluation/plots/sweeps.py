"""What a study's ablations show beyond end points: the context sweep, and learning curves of lips and face."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from dyads.contract import FPS
from dyads.errors import DataError
from evaluation.plots.study import BLACK, BLUE, GREEN, GREY, ORANGE
from evaluation.summary import read_rows, result_files, seed_values

SWEEP = ("expression_correlation/all", "expression_amplitude/all", "mouth_opening_correlation/speech")
COLOURS = (BLUE, ORANGE, GREEN, "#CC79A7", "#56B4E9", "#E69F00", GREY, BLACK)


def context_seconds(results: Path) -> dict[str, float]:
    """Row -> seconds of history before the clip, of rows whose model knows nothing else (`model.limit`)."""
    found = {}
    for card in sorted((results / "models").glob("*/seed*.json")):
        model = json.loads(card.read_text(encoding="utf-8"))["options"].get("model", {})
        if model.get("limit"):
            found[card.parent.name] = (model.get("context", 192) - model.get("clip", 24)) / FPS
    return found


def context_sweep(results: Path, columns: tuple[str, ...] = SWEEP) -> Figure:
    """Each metric over the seconds of user history: points are seeds, the line their mean."""
    rows = context_seconds(results)
    figure = Figure(figsize=(3.4 * len(columns), 2.8), layout="constrained")
    all_axes = figure.subplots(1, len(columns), squeeze=False)[0]
    values = seed_values(read_rows(result_files([results / "metrics"])))
    values["seconds"] = values["method"].map(rows)
    for axes, column in zip(all_axes, columns, strict=True):
        metric, _, part = column.partition("/")
        own = values[(values["metric"] == metric) & (values["part"] == part)].dropna(subset=["seconds", "value"])
        axes.set_title(metric.replace("_", " "), fontsize=9)
        axes.set_xlabel("seconds of history before the clip", fontsize=8)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        if own.empty:
            axes.text(0.5, 0.5, "no row of the sweep\nwas measured", ha="center", transform=axes.transAxes, color=GREY)
            continue
        axes.plot(own["seconds"], own["value"], "o", color=BLUE, alpha=0.5, markersize=4)
        mean = own.groupby("seconds")["value"].mean()
        axes.plot(mean.index, mean, color=BLUE)
    return figure


def read_curve(folder: Path) -> pd.DataFrame:
    """The metrics that a training logged, one line per entry; DataError if a line is damaged."""
    files = sorted(folder.glob("*.jsonl"))
    try:
        lines = [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines() if line]
    except ValueError as error:
        raise DataError(f"{folder}: a line of the training's metrics is no JSON ({error}); train again.") from error
    return pd.DataFrame(lines)


def learning_curves(results: Path, labels: dict[str, str], parts: tuple[str, ...] = ("lips", "face")) -> Figure:
    """Training error of the clean latent over optimiser steps, of lip tokens and of the rest of the face.

    `labels`: row -> its name. A band spans the seeds; errors are of training batches, smoothed over 5 entries.
    """
    figure = Figure(figsize=(4.6 * len(parts), 3.2), layout="constrained")
    for axes, part in zip(figure.subplots(1, len(parts), squeeze=False)[0], parts, strict=True):
        for colour, (row, label) in zip(COLOURS, labels.items(), strict=False):
            curves = [read_curve(folder) for folder in sorted((results / "checkpoints" / row).glob("seed*"))]
            curves = [c.set_index("step")[part].rolling(5, 1).mean() for c in curves if part in c]
            if curves:
                table = pd.concat(curves, axis=1)
                axes.plot(table.index, table.mean(axis=1), color=colour, label=label)
                axes.fill_between(
                    np.asarray(table.index), table.min(axis=1), table.max(axis=1), color=colour, alpha=0.15
                )
        if not axes.lines:
            axes.text(0.5, 0.5, "no training kept its log", ha="center", transform=axes.transAxes, color=GREY)
        axes.set_title(part, fontsize=9)
        axes.set_xlabel("steps of stage 2", fontsize=8)
        axes.set_yscale("log")
        axes.grid(alpha=0.3, which="both")
    if axes.lines:
        axes.legend(fontsize=7, frameon=False)
    return figure
