"""Filmstrips: what the user did, the true avatar and each method's, over what drives the avatar."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from dyads.contract import FPS, Dyad, read_manifest
from dyads.errors import DataError
from dyads.media.video import read_video
from evaluation.clips import Truth, read_truth
from reporting.plots.study_files import BLACK, GREY, runs, seed_of

EMOTION_COLOURS = {
    "neutral": "#E8E8E8", "joy": "#F0E442", "sadness": "#56B4E9", "anger": "#D55E00", "surprise": "#CC79A7"
}  # fmt: skip
CUES = {1: "face", 2: "voice", 4: "words"}


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
            sources[label] = read_video(path, size=size) if path.exists() else f"{seed_of(path.parent)}: no video"
        except DataError:
            sources[label] = f"{seed_of(path.parent)}: unreadable video"
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
