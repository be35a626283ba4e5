"""Traces of one coefficient over time: generated against truth and oracle."""

import json
import textwrap
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from safetensors import safe_open

from dyads.contract import FPS, SAMPLES_PER_FRAME, Dyad, read_manifest
from dyads.errors import DataError
from dyads.media.video import read_audio
from dyads.synthetic.coefficients import COEFFICIENTS
from reporting.plots.study_files import BLACK, BLUE, ORANGE, runs, seed_of


def mouth_trace(files: dict[str, Path], dialogues: list[str]) -> Figure:
    """Jaw opening over time, one row per method: the probe on its video (colour) and on the true video (black).

    `files`: row label -> `.features.safetensors` of `evaluation.run`; a missing file leaves a labelled gap.
    """
    return _traces(files, dialogues, "jaw_open", "jaw opening", oracle=False)


def expression_trace(files: dict[str, Path], dialogues: list[str], coefficient: str = "smile") -> Figure:
    """Change of an expression coefficient from the reference image, against the truth and the oracle's expectation."""
    return _traces(files, dialogues, coefficient, f"{coefficient.replace('_', ' ')} (change)", oracle=True)


def mouth_audio(data: Path, files: dict[str, Path], dialogues: list[str], split: str = "test") -> Figure:
    """The jaw's opening over the loudness of the avatar's voice, one panel per method and one for the true video.

    Frames of `dialogues` in which the avatar speaks; the panel's title gives Pearson's r. `files`: as in `mouth_trace`.
    """
    loud = {dyad.dyad_id: loudness(dyad) for dyad in read_manifest(data, split) if dyad.dyad_id in dialogues}
    panels: dict[str, list[tuple[np.ndarray, np.ndarray]] | str] = {"True video": []}
    for label, path in files.items():
        panels[label] = []
        for dialogue in dialogues:
            lines = read_trace(Path(path), dialogue, "jaw_open", oracle=False)
            if isinstance(lines, str):
                panels[label] = lines
                break
            panels[label].append((_spoken(loud[dialogue], lines), lines["generated video"][lines["speaking"]]))
            if len(panels["True video"]) < len(dialogues):
                panels["True video"].append((_spoken(loud[dialogue], lines), lines["true video"][lines["speaking"]]))
    across = min(6, len(panels))
    down = -(-len(panels) // across)
    figure = Figure(figsize=(1.75 * across + 0.4, 1.8 * down + 0.3), layout="constrained")
    all_axes = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False).ravel()
    for axes, (label, pairs) in zip(all_axes, panels.items(), strict=False):
        axes.set_title(label, fontsize=7.5)
        if isinstance(pairs, str) or not pairs:
            axes.text(0.5, 0.5, pairs or "nothing to show", ha="center", fontsize=7, transform=axes.transAxes)
            continue
        x, y = (np.concatenate(series) for series in zip(*pairs, strict=True))
        colour = BLACK if label == "True video" else BLUE
        axes.plot(x, y, ".", markersize=2, alpha=0.35, color=colour, linewidth=0)
        moves = min(x.std(), y.std()) > 1e-3
        r = f"r = {np.corrcoef(x, y)[0, 1]:.2f}" if moves else "still"
        axes.text(0.04, 0.93, r, fontsize=7, va="top", transform=axes.transAxes)
    for axes in all_axes[len(panels) :]:
        axes.set_visible(False)
    figure.supxlabel("loudness of the avatar's voice (dB)", fontsize=8)
    figure.supylabel("jaw opening", fontsize=8)
    return figure


def loudness(dyad: Dyad) -> np.ndarray:
    """Level of the avatar's voice in each video frame, dB relative to full scale, (T,)."""
    audio = read_audio(dyad.avatar.audio, dyad.avatar.audio_channel)
    frames = audio[: len(audio) // SAMPLES_PER_FRAME * SAMPLES_PER_FRAME].reshape(-1, SAMPLES_PER_FRAME)
    return 10 * np.log10(np.square(frames.astype(np.float64)).mean(1) + 1e-7)


def _spoken(loud: np.ndarray, lines: dict[str, np.ndarray]) -> np.ndarray:
    speaking = lines["speaking"]
    return np.pad(loud, (0, max(len(speaking) - len(loud), 0)), mode="edge")[: len(speaking)][speaking]


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
        row[0].set_ylabel(textwrap.fill(label, 16), fontsize=8)  # a panel is 16 letters high
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
        return f"{seed_of(path)}: no readings kept"
    try:
        with safe_open(str(path), "np") as file:
            names = json.loads((file.metadata() or {}).get("meta", "{}")).get("names", [])
            keys = {key.partition("/")[2] for key in file.keys() if key.partition("/")[0] == dialogue}
            if not keys:
                return f"{seed_of(path)}: no usable video"
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
