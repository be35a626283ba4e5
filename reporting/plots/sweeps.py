"""The context sweep: what each metric becomes as the model is told more of the past, over how far the world reaches."""

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from safetensors import safe_open

from dyads.contract import FPS, Dyad, read_manifest
from dyads.errors import DataError
from reporting.plots.study_files import BLACK, BLUE, GREY, ORANGE, SKY, Study, name_missing, nothing

SWEEP = ("expression_correlation/all", "expression_amplitude/all", "mouth_opening_correlation/speech")
CLIP = 24  # frames of a clip, where no model card says


def read_card(path: Path) -> dict:
    """The provenance of weights; DataError if it is damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise DataError(f"{path} is not JSON ({error}); train this row again.") from error


def context_seconds(results: Path) -> dict[str, float]:
    """Row -> seconds of history before the clip, of rows whose model knows nothing else (`model.limit`)."""
    found = {}
    for card in sorted((results / "models").glob("*/seed*.json")):
        model = read_card(card).get("options", {}).get("model", {})
        if model.get("limit"):
            found[card.parent.name] = (model.get("context", 192) - model.get("clip", CLIP)) / FPS
    return found


def events(dyad: Dyad) -> list[dict]:
    """The user's emotional events (start, end, onset of the avatar's answer, in seconds); none in recorded data."""
    path = Path(dyad.truth_path)
    if not path.exists():
        return []
    with safe_open(str(path), "np") as file:
        meta = file.metadata() or {}
    return json.loads(meta.get("meta", "{}")).get("events", [])


def history_needed(data: Path, split: str = "test", clip: int = CLIP) -> tuple[np.ndarray, np.ndarray]:
    """Seconds before the clip's start at which the driving event ended, and began: one pair per frame that answers one.

    An event that overlaps the clip itself needs no history: 0. Frames as `event_cue` labels them.
    """
    ended, began = [], []
    for dyad in read_manifest(data, split):
        known = events(dyad)
        if not known:
            continue
        with safe_open(str(dyad.truth_path), "np") as file:
            cue = file.get_tensor("event_cue")
        for frame in np.flatnonzero(cue):
            start = frame // clip * clip / FPS
            driving = [event for event in known if event["onset"] <= (frame + 0.5) / FPS]
            if driving:
                ended.append(max(start - driving[-1]["end"], 0.0))
                began.append(max(start - driving[-1]["start"], 0.0))
    return np.array(ended), np.array(began)


def context_sweep(
    study: Study, columns: Sequence[str] = SWEEP, expected: Sequence[str] = (), beside: Sequence[str] = ()
) -> Figure:
    """Each metric over the seconds of user history: points are seeds, line and band their mean and standard deviation.

    Args:
        columns: `metric/part` of the panels.
        expected: rows of the sweep; those that are not measured are named below the figure.
        beside: other rows, drawn as level lines, for they know more than a window, or nothing.
    """
    seconds = context_seconds(study.results)
    figure = Figure(figsize=(3.1 * len(columns) + 0.4, 4.3), layout="constrained")
    grid = figure.subplots(2, len(columns), squeeze=False, sharex=True, height_ratios=(3, 1.15))
    ended, began = history_needed(study.data)
    for top, bottom, column in zip(grid[0], grid[1], columns, strict=True):
        own = study.of(column).dropna(subset="value")
        own = own.assign(seconds=own["method"].map(seconds))
        _sweep(top, own.dropna(subset="seconds"))
        for look, method in zip(((BLACK, (0, (4, 1.5))), (GREY, (0, (1, 1))), (SKY, "-")), beside, strict=False):
            level = own.loc[own["method"] == method, "value"].mean()
            if math.isfinite(level):
                top.axhline(level, color=look[0], linestyle=look[1], linewidth=1, label=study.label(method))
        top.set_title(study.title(column))
        if top.get_legend_handles_labels()[0]:
            top.legend(loc="best")
        _reach(bottom, ended, began)
    grid[1][0].set_ylabel("answering frames\nwithin reach")
    rows = [method for method in expected if method not in set(study.values["method"]) or method not in seconds]
    gone = [f"{method} (no row of this profile)" for method in rows if method not in set(study.rows["method"])]
    gone += study.absent([method for method in expected if method in set(study.rows["method"])], columns)
    name_missing(figure, gone)
    return figure


def _sweep(axes: Axes, own: pd.DataFrame) -> None:
    axes.grid(True)
    if own.empty:
        axes.text(0.5, 0.5, "no row of the sweep\nwas measured", ha="center", color=GREY, transform=axes.transAxes)
        return
    by = own.groupby("seconds")["value"]
    mean, spread = by.mean(), by.std(ddof=1).fillna(0.0)
    axes.fill_between(mean.index, mean - spread, mean + spread, color=BLUE, alpha=0.15, linewidth=0)
    axes.plot(own["seconds"], own["value"], "o", color=BLUE, alpha=0.5, markersize=4, linewidth=0)
    axes.plot(mean.index, mean, color=BLUE, marker="|")


def _reach(axes: Axes, ended: np.ndarray, began: np.ndarray) -> None:
    """Share of frames that answer an event which a history of x seconds shows: its end, and the whole of it."""
    axes.set_xlabel("seconds of history before the clip")
    axes.set_ylim(0, 1.03)
    axes.grid(True)
    if not len(ended):
        nothing(axes, "the events of recorded data are unknown")
        return
    reach = np.linspace(0, max(began.max() * 1.05, 1.0), 200)
    for values, colour, dash, text in ((ended, ORANGE, "-", "its end"), (began, BLACK, (0, (4, 1.5)), "all of it")):
        axes.plot(reach, (values[:, None] <= reach).mean(0), color=colour, linestyle=dash, label=text)
    axes.legend(loc="lower right", title="of the event", title_fontsize=7)
