"""Figures of a study: filmstrips, traces of mouth and expression against truth and oracle, and points per seed.

Every function returns a matplotlib figure and draws a note where something is missing; colours are Okabe and Ito's.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from safetensors import safe_open

from dyads.contract import FPS, Dyad, read_manifest
from dyads.errors import DataError
from dyads.files import atomic_path
from dyads.media import read_video
from dyads.synthetic.coefficients import COEFFICIENTS
from evaluation.clips import Truth, read_truth
from evaluation.registry import cards
from evaluation.summary import read_rows, result_files, seed_values
from evaluation.tables import DEFAULT_COLUMNS, truth_value

BLUE, ORANGE, GREEN, GREY, BLACK = "#0072B2", "#D55E00", "#009E73", "#8C8C8C", "#000000"
GROUP_COLOURS = {"main": BLUE, "baseline": GREEN, "ablation": ORANGE, "control": GREY}
EMOTION_COLOURS = {
    "neutral": "#E8E8E8", "joy": "#F0E442", "sadness": "#56B4E9", "anger": "#D55E00", "surprise": "#CC79A7"
}  # fmt: skip
CUES = {1: "face", 2: "voice", 4: "words"}
TABLE_FILES = ("main_table.csv", "ablations_table.csv")


@dataclass(frozen=True)
class Study:
    """What the figures draw from: folders of one profile's results, and its rows (method, label, group)."""

    results: Path
    data: Path
    rows: pd.DataFrame

    def videos(self, method: str, seed: int) -> Path:
        return self.results / "videos" / method / f"seed{seed}"

    def features(self, method: str, seed: int) -> Path:
        return self.results / "metrics" / method / f"seed{seed}.features.safetensors"

    def label(self, method: str) -> str:
        return dict(zip(self.rows["method"], self.rows["label"], strict=True)).get(method, method)

    def seed(self, method: str, wanted: int) -> int:
        """`wanted` if the method has it, else its lowest seed (controls may have one only)."""
        folders = [*(self.results / "metrics" / method).glob("seed*.csv"), *self.videos(method, 0).parent.glob("seed*")]
        seeds = {int(path.stem[4:]) for path in folders if path.stem[4:].isdigit()}
        return wanted if wanted in seeds or not seeds else min(seeds)


def read_study(results: Path) -> Study:
    """The study in `results/<profile>`; DataError without tables or data."""
    tables = [results / "tables" / name for name in TABLE_FILES if (results / "tables" / name).exists()]
    if not tables:
        raise DataError(f"{results}/tables holds no table; make the tables first.")
    rows = pd.concat([pd.read_csv(table)[["method", "label", "group"]] for table in tables])
    data = sorted((results / "data").glob("*/manifest.csv"))
    if not data:
        raise DataError(f"{results}/data holds no manifest.csv; make the data first.")
    rows = rows.drop_duplicates("method")
    order = rows["group"].map(list(GROUP_COLOURS).index)
    rows = rows.iloc[order.argsort(kind="stable")].reset_index(drop=True)
    return Study(results, data[0].parent, rows)


def save(figure: Figure, path: Path) -> None:
    """Write `path`.png and `path`.pdf, without dates, so that the same data give the same files."""
    for suffix, metadata in ((".png", {}), (".pdf", {"CreationDate": None})):
        with atomic_path(path.with_name(path.name + suffix)) as temporary:
            figure.savefig(temporary, dpi=160, metadata=metadata, bbox_inches="tight")


def pick_dialogues(data: Path, number: int = 3, split: str = "test") -> list[str]:
    """Dialogues by a rule that looks at the truth only: for face, voice and words in turn, the most driven one.

    Without a known truth: the first ones.
    """
    dyads = read_manifest(data, split)
    frames: dict[str, np.ndarray] = {}
    for dyad in dyads:
        truth = read_truth(dyad)
        if truth is not None:
            frames[dyad.dyad_id] = np.array([(truth.cue == bit).sum() for bit in CUES])
    picked: list[str] = []
    for turn in range(number if frames else 0):
        left = [name for name in frames if name not in picked]
        if left:
            picked.append(max(left, key=lambda name: frames[name][turn % len(CUES)]))
    return picked or [dyad.dyad_id for dyad in dyads[:number]]


def filmstrip(
    data: Path, videos: dict[str, Path], dialogues: list[str], columns: int = 10, split: str = "test"
) -> Figure:
    """Truth above, each method below, one block per dialogue; above each block what drives the avatar.

    Args:
        data: folder with manifest.csv.
        videos: row label -> folder with `<dyad_id>.mp4`; a missing or shorter video leaves a labelled gap.
        dialogues: dyad ids, from top to bottom.
        columns: frames shown, evenly spaced in time; each stands at its own time on the axis.
    """
    known = {dyad.dyad_id: dyad for dyad in read_manifest(data, split)}
    unknown = [name for name in dialogues if name not in known]
    if unknown:
        raise DataError(f"{data} has no dialogue {unknown[0]!r} in split {split}; choose others.")
    rows = ["user", "truth", *videos]
    cell, block = 0.82, (0.3, 0.82 * len(rows))  # inches
    height = len(dialogues) * (sum(block) + 0.75) + 0.3
    figure = Figure(figsize=(columns * cell + 1.6, height))
    grid = figure.add_gridspec(len(dialogues), 1, hspace=0.65 / sum(block), top=1 - 0.55 / height, bottom=0.45 / height)
    for index, name in enumerate(dialogues):
        inner = grid[index].subgridspec(2, 1, height_ratios=block, hspace=0.02)
        strip = figure.add_subplot(inner[1])
        seconds = _strip(strip, known[name], videos, columns)
        _band(figure.add_subplot(inner[0], sharex=strip), name, read_truth(known[name]), seconds)
    patches = [Patch(color=colour, label=name) for name, colour in EMOTION_COLOURS.items()]
    figure.legend(handles=patches, ncols=5, loc="upper center", frameon=False, fontsize=8)
    return figure


def _strip(axes: Axes, dyad: Dyad, videos: dict[str, Path], columns: int) -> float:
    """Draw one dialogue's pictures, one row per source; returns its seconds."""
    true = read_video(dyad.avatar.video)
    total, size = len(true), true.shape[1:3]
    times = ((np.arange(columns) + 0.5) * total / columns).astype(int)
    sources: dict[str, np.ndarray | str] = {"user": read_video(dyad.user.video, size=size), "truth": true}
    for label, folder in videos.items():
        path = Path(folder) / f"{dyad.dyad_id}.mp4"
        try:
            sources[label] = read_video(path, size=size) if path.exists() else "no video"
        except DataError:
            sources[label] = "unreadable video"
    lines = []
    for frames in sources.values():
        usable = not isinstance(frames, str) and len(frames) >= total
        shown = frames[times] if usable else np.full((columns, *size, 3), 225, np.uint8)
        lines.append(np.concatenate(list(shown), 1))
    seconds = total / FPS
    axes.imshow(np.concatenate(lines), extent=(0, seconds, len(lines), 0), aspect="auto", interpolation="lanczos")
    for row, frames in enumerate(sources.values()):
        if isinstance(frames, str) or len(frames) < total:
            note = frames if isinstance(frames, str) else f"{len(frames)} of {total} frames"
            axes.text(seconds / 2, row + 0.5, note, ha="center", va="center", fontsize=9, color=BLACK)
    axes.set_yticks(np.arange(len(sources)) + 0.5, list(sources), fontsize=8)
    axes.set_xlabel("time (s)", fontsize=8, labelpad=1)
    axes.tick_params(length=2, labelsize=8)
    axes.hlines(range(1, len(sources)), 0, seconds, color="white", linewidth=2)
    return seconds


def _band(axes: Axes, name: str, truth: Truth | None, seconds: float) -> None:
    """Emotion of the avatar as colours, the user's cue behind it in words, the avatar's speech as a line."""
    axes.set_ylim(0, 1)
    axes.set_yticks([])
    axes.tick_params(bottom=False, labelbottom=False)
    axes.spines[:].set_visible(False)
    axes.set_title(name, loc="left", fontsize=9, pad=3)
    if truth is None:
        axes.text(0, 0.4, "emotion and cue unknown: recorded data", fontsize=7, va="center")
        return
    for start, stop in runs(truth.emotion):
        emotion = truth.emotions[int(truth.emotion[start])]
        axes.axvspan(start / FPS, stop / FPS, 0.22, 1, color=EMOTION_COLOURS.get(emotion, GREY), linewidth=0)
    for start, _ in runs(truth.cue):
        mask = int(truth.cue[start])
        if mask:
            text = "+".join(word for bit, word in CUES.items() if mask & bit)
            axes.plot([start / FPS] * 2, [0.22, 1], color=BLACK, linewidth=1)
            axes.text(start / FPS + 0.01 * seconds, 0.61, text, fontsize=7, va="center", clip_on=True)
    for start, stop in runs(truth.speaking):
        if truth.speaking[start]:
            axes.plot([start / FPS, stop / FPS], [0.06, 0.06], color=BLACK, linewidth=2, solid_capstyle="butt")
    axes.text(-0.01, 0.6, "emotion, cue", fontsize=6, ha="right", va="center", transform=axes.transAxes)
    axes.text(-0.01, 0.06, "speaks", fontsize=6, ha="right", va="center", transform=axes.transAxes)


def runs(series: np.ndarray) -> list[tuple[int, int]]:
    """(start, stop) of each stretch of equal values."""
    edges = np.flatnonzero(np.diff(series.astype(np.int64))) + 1
    return list(zip([0, *edges], [*edges, len(series)], strict=True)) if len(series) else []


def mouth_trace(files: dict[str, Path], dialogues: list[str]) -> Figure:
    """Jaw opening over time, one row per method: the probe on its video (colour) and on the true video (black).

    `files`: row label -> `.features.safetensors` of `evaluation.run`; a missing file leaves a labelled gap.
    """
    return _traces(files, dialogues, "jaw_open", "jaw opening", oracle=False)


def expression_trace(files: dict[str, Path], dialogues: list[str], coefficient: str = "smile") -> Figure:
    """Change of an expression coefficient from the reference image, against the truth and the oracle's expectation."""
    return _traces(files, dialogues, coefficient, f"{coefficient.replace('_', ' ')} (change)", oracle=True)


def _traces(files: dict[str, Path], dialogues: list[str], name: str, axis: str, oracle: bool) -> Figure:
    size = (3.4 * len(dialogues) + 0.8, 1.15 * max(len(files), 1) + 0.9)
    figure = Figure(figsize=size, layout="constrained")
    all_axes = figure.subplots(max(len(files), 1), len(dialogues), sharex="col", sharey=True, squeeze=False)
    if not files:
        all_axes[0][0].set_title("no method")
    for row, (label, path) in zip(all_axes, files.items(), strict=False):
        for axes, dialogue in zip(row, dialogues, strict=True):
            lines = read_trace(Path(path), dialogue, name, oracle)
            if isinstance(lines, str):
                axes.text(0.5, 0.5, lines, ha="center", va="center", fontsize=8, transform=axes.transAxes)
            else:
                _draw(axes, lines)
            axes.tick_params(labelsize=7)
            axes.spines[["top", "right"]].set_visible(False)
            axes.grid(axis="y", alpha=0.25)
        row[0].set_ylabel(label, fontsize=8)
    for axes, dialogue in zip(all_axes[0], dialogues, strict=True):
        axes.set_title(dialogue, fontsize=9)
    for axes in all_axes[-1]:
        axes.set_xlabel("time (s)", fontsize=8)
    handles = {
        text: line for axes in all_axes.flat for line, text in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    if handles:
        figure.legend(handles.values(), handles, loc="outside upper center", ncols=4, fontsize=8, frameon=False)
    figure.supylabel(axis, fontsize=9)
    return figure


def _draw(axes: Axes, lines: dict[str, np.ndarray]) -> None:
    styles = {
        "true video": {"color": BLACK, "linewidth": 0.9, "alpha": 0.55},
        "oracle": {"color": ORANGE, "linewidth": 1.6, "linestyle": (0, (4, 1.5))},
        "generated video": {"color": BLUE, "linewidth": 1.3},
    }
    for text, style in styles.items():
        if text in lines:
            axes.plot(np.arange(len(lines[text])) / FPS, lines[text], label=text, **style)
    for number, (start, stop) in enumerate(run for run in runs(lines["speaking"]) if lines["speaking"][run[0]]):
        text = {"label": "avatar speaks"} if number == 0 else {}
        axes.axvspan(start / FPS, stop / FPS, color="#DDDDDD", alpha=0.6, linewidth=0, **text)


def read_trace(path: Path, dialogue: str, name: str, oracle: bool) -> dict[str, np.ndarray] | str:
    """Series (T,) of one coefficient by what they show, or a short text on why there are none."""
    if not path.exists():
        return "no features stored"
    try:
        with safe_open(str(path), "np") as file:
            names = json.loads((file.metadata() or {}).get("meta", "{}")).get("names", [])
            keys = {key.partition("/")[2] for key in file.keys() if key.partition("/")[0] == dialogue}
            if not keys:
                return "no usable video"
            if name not in names:
                return f"the probe has no {name}"
            here = names.index(name)
            found = {key: file.get_tensor(f"{dialogue}/{key}") for key in keys if not key.startswith("image")}
    except Exception as error:  # safetensors raises its own family and OSError
        raise DataError(f"{path}: cannot be read ({error}); measure this row again.") from error
    start = found["reference"][here] if oracle else 0.0
    lines = {
        "generated video": found["generated"][:, here] - start,
        "true video": found["true"][:, here] - start,
        "speaking": found["speaking"].astype(bool),
    }
    if oracle and "expected" in found:
        there = COEFFICIENTS.index(name)  # the probe may know fewer coefficients than the world
        lines["oracle"] = found["expected"][:, there].astype(float) - float(found["truth"][0, there])
    return lines


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
