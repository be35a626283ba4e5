"""Learning curves from the journals that trainings keep in `checkpoints/`."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dyads.errors import DataError
from reporting.plots.study_files import BLUE, LINES, Study, name_missing, nothing
from reporting.plots.sweeps import read_card

SMOOTH = 5  # entries of a journal that a curve's point is the mean of


def read_curve(folder: Path) -> pd.DataFrame:
    """The metrics that a training logged, one line per entry; DataError if a line is damaged."""
    files = sorted(folder.glob("*.jsonl"))
    try:
        lines = [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines() if line]
    except ValueError as error:
        raise DataError(f"{folder}: a line of the training's metrics is no JSON ({error}); train again.") from error
    return pd.DataFrame(lines)


def journals(results: Path, row: str) -> dict[str, dict[str, pd.DataFrame]]:
    """Stage -> seed -> the journal of that training; a training of one stage calls it ''."""
    found: dict[str, dict[str, pd.DataFrame]] = {}
    for seed in sorted((results / "checkpoints" / row).glob("seed*")):
        stages = [seed] if list(seed.glob("*.jsonl")) else sorted(path for path in seed.glob("*") if path.is_dir())
        for stage in stages:
            curve = read_curve(stage)
            if len(curve) and "step" in curve:
                found.setdefault("" if stage == seed else stage.name, {})[seed.name] = curve
    return found


def without(study: Study, row: str, curves: Mapping[str, pd.DataFrame], of: str = "") -> list[str]:
    """What a figure of a row's trainings lacks: seeds that left weights and no journal, or one without `of`."""
    trained = {path.stem for path in (study.results / "models" / row).glob("seed*.json")}
    there = {seed for seed, curve in curves.items() if not of or of in curve}
    gone = sorted(trained - there, key=lambda seed: (len(seed), seed))
    numbers = ", ".join(seed.removeprefix("seed") for seed in gone)
    said = f" with {of}" if of else ""
    if gone:
        return [f"{study.label(row)}, seed {numbers} (no journal{said})"]
    return [] if there else [f"{study.label(row)}, every seed (no journal{said})"]


def start_of(results: Path, row: str) -> str | None:
    """The row whose weights another started from, found by their hash; None if it started from scratch."""
    for path in sorted((results / "models" / row).glob("seed*.json")):
        wanted = read_card(path).get("weights", {}).get("stage1")
        if wanted is None:
            return None
        for other in sorted((results / "models").glob(f"*/{path.name}")):
            if read_card(other).get("weights", {}).get("result") == wanted:
                return other.parent.name
    return None


def curve_table(results: Path, row: str, part: str) -> pd.DataFrame:
    """Seeds as columns, steps as index: a row's smoothed curve, that of its stage 1 before it."""
    table, offset = pd.DataFrame(), 0
    for name in filter(None, (start_of(results, row), row)):
        curves = [c for stage in journals(results, name).values() for c in stage.values() if part in c]
        parts = [c.set_index("step")[part].rolling(SMOOTH, 1).mean() for c in curves]
        if parts:
            own = pd.concat(parts, axis=1)
            own.columns = range(own.shape[1])
            own.index = own.index + offset
            table, offset = pd.concat([table, own]), int(own.index.max())
    return table


def learning_curves(study: Study, rows: Sequence[str], parts: Sequence[str] = ("lips", "face")) -> Figure:
    """Training error of the clean latent over all optimiser steps, of lip tokens and of the rest of the face.

    A row's own stage 1 comes first. A band spans the seeds.
    """
    figure = Figure(figsize=(4.6 * len(parts), 3.3), layout="constrained")
    all_axes, missing = figure.subplots(1, len(parts), squeeze=False)[0], []
    for axes, part in zip(all_axes, parts, strict=True):
        for look, row in zip(LINES, rows, strict=False):
            table = curve_table(study.results, row, part)
            own = {seed: c for stage in journals(study.results, row).values() for seed, c in stage.items()}
            missing += without(study, row, own, part)
            if not table.empty:
                _curve(axes, table, look, study.label(row))
        if not axes.lines:
            nothing(axes, "no training kept its log")
        axes.set_title(part)
        axes.set_xlabel("optimiser steps, stage 1 included")
        axes.grid(True, which="both")
    all_axes[0].set_ylabel("squared error of the clean latent")
    if all_axes[0].lines:
        figure.legend(*all_axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=5)
    name_missing(figure, missing)
    return figure


def _curve(axes: Axes, table: pd.DataFrame, look: dict, label: str) -> None:
    axes.plot(table.index, table.mean(axis=1), label=label, linewidth=1.2, **look)
    axes.fill_between(
        np.asarray(table.index), table.min(axis=1), table.max(axis=1), color=look["color"], alpha=0.12, linewidth=0
    )
    if (table.min() > 0).all():
        axes.set_yscale("log")


def loss_curves(study: Study, rows: Sequence[str]) -> Figure:
    """The loss of every training over its steps, one panel per row and stage; a band spans the seeds."""
    panels, missing = [], []
    for row in rows:
        stages = journals(study.results, row)
        missing += without(study, row, {seed: c for stage in stages.values() for seed, c in stage.items()}, "loss")
        panels += [(row, stage, list(curves.values())) for stage, curves in stages.items()]
    across = min(4, max(len(panels), 1))
    down = -(-max(len(panels), 1) // across)
    figure = Figure(figsize=(2.5 * across, 1.75 * down + 0.3), layout="constrained")
    all_axes = figure.subplots(down, across, squeeze=False).ravel()
    if not panels:
        nothing(all_axes[0], "no training kept its log")
    for axes, (row, stage, curves) in zip(all_axes, panels, strict=False):
        losses = [curve.set_index("step")["loss"].rolling(SMOOTH, 1).mean() for curve in curves if "loss" in curve]
        if losses:
            _curve(axes, pd.concat(losses, axis=1), {"color": BLUE, "linestyle": "-"}, "")
        else:
            nothing(axes, "the journal holds no loss")
        axes.set_title(study.label(row) + (f"\n{stage}" if stage else ""), fontsize=7.5)
        axes.grid(True, which="both")
        axes.tick_params(which="both", labelsize=6.5)
    for axes in all_axes[max(len(panels), 1) :]:
        axes.set_visible(False)
    figure.supylabel("loss", fontsize=8)
    name_missing(figure, missing)
    return figure
