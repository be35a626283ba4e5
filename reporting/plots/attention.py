"""Where an ECHO looks: SDCM's gate over time and place, and how far back scans and context reach."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from safetensors import SafetensorError, safe_open

from dyads.contract import Dyad
from dyads.errors import DataError
from evaluation.clips import read_truth
from reporting.plots.filmstrip import CUES
from reporting.plots.study_files import AMBER, BLACK, BLUE, GREEN, ORANGE, nothing, runs
from reporting.plots.sweeps import events

FAINT = 1e-4  # of the largest weight: the darkest colour
VIEWS = {"influence_audio": "user's voice", "influence_video": "user's face", "influence_phi": "S_usr (Phi)"}


def read_inspected(path: Path) -> tuple[dict[str, dict[str, np.ndarray]], dict]:
    """Dialogue -> tensors of `echo_model.commands.inspect`, and its header; empty if nothing was inspected."""
    if not path.exists():
        return {}, {}
    try:
        with safe_open(str(path), "np") as file:
            meta = json.loads((file.metadata() or {})["meta"])
            found: dict[str, dict[str, np.ndarray]] = {name: {} for name in meta["dialogues"]}
            for key in file.keys():
                dialogue, _, name = key.partition("/")
                found[dialogue][name] = file.get_tensor(key)
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}); delete it and inspect again.") from error
    return found, meta


def gate_maps(inspected: dict[str, dict[str, np.ndarray]], meta: dict, dyads: dict[str, Dyad], row: str) -> Figure:
    """SDCM's gate of the last block over time: the face's tokens as lines, what happens in the dialogue below.

    `row`: whose it is, label and seed.

    1: the token follows the avatar's voice; 0: it follows the user. Tokens that are mostly lip take the voice alone,
    whatever the gate says, so they are marked.
    """
    shown = {name: found["gate"] for name, found in inspected.items() if "gate" in found}
    count = max(len(shown), 1)
    figure = Figure(figsize=(8.6, 2.9 * count + 0.3), layout="constrained")
    grid = figure.subplots(2 * count, 1, squeeze=False, height_ratios=(3.4, 0.8) * count)[:, 0]
    if not shown:
        nothing(grid[0], f"{row}: not inspected" if not inspected else f"{row}: this model has no SDCM")
        grid[1].set_visible(False)
        return figure
    lips = np.flatnonzero(np.array(meta["m_lip"]) > 0.5)
    picture = None
    for place, (name, gate) in enumerate(shown.items()):
        top, band = grid[2 * place], grid[2 * place + 1]
        seconds = gate.shape[1] * meta["patch"] / meta["fps"]
        size = (0, seconds, gate.shape[2] - 0.5, -0.5)
        picture = top.imshow(
            gate[-1].T, aspect="auto", extent=size, vmin=0, vmax=1, cmap="cividis", interpolation="nearest"
        )
        top.set_title(f"{row}, {name}, block {gate.shape[0]} of {gate.shape[0]}", loc="left", fontsize=8)
        ticks = list(range(0, gate.shape[2] - 1, 4)) + [gate.shape[2] - 1]
        top.set_yticks(ticks, [f"face {tick + 1}" for tick in ticks[:-1]] + ["pose"])
        for lip in lips:
            top.annotate("lip", (1.0, lip), xycoords=("axes fraction", "data"), xytext=(3, 0),
                         textcoords="offset points", fontsize=6, va="center", annotation_clip=False)  # fmt: skip
        top.tick_params(labelbottom=False)
        _band(band, dyads.get(name), seconds)
        band.sharex(top)
    grid[2 * len(shown) - 1].set_xlabel("time (s)")
    bar = figure.colorbar(picture, ax=list(grid), shrink=0.5, pad=0.04)
    bar.set_label("gate: 0 user, 1 avatar's voice", fontsize=7.5)
    return figure


def _band(axes: Axes, dyad: Dyad | None, seconds: float) -> None:
    """When the avatar speaks, the user's emotional events, and when the avatar shows its answer."""
    axes.set_ylim(0, 3)
    axes.set_yticks([0.5, 1.5, 2.5], ["answer", "event", "speech"], fontsize=6.5)
    axes.set_xlim(0, seconds)
    truth = read_truth(dyad) if dyad is not None else None
    if truth is None:
        return
    rate = len(truth.speaking) / seconds if seconds else 25
    for series, row, colour in ((truth.speaking.astype(int), 2, BLACK), (truth.cue.astype(int), 0, GREEN)):
        for start, stop in runs(series):
            if series[start]:
                axes.broken_barh([(start / rate, (stop - start) / rate)], (row + 0.2, 0.6), color=colour)
    for event in events(dyad):
        axes.broken_barh([(event["start"], event["end"] - event["start"])], (1.2, 0.6), color=ORANGE)
        text = "+".join(word for bit, word in CUES.items() if event["cue"] & bit)
        axes.text(event["end"] + 0.05, 1.5, text, fontsize=6, va="center", clip_on=True)


def look_back(inspected: dict[str, dict[str, np.ndarray]], meta: dict, dyads: dict[str, Dyad], row: str) -> Figure:
    """Per dialogue, what the voice's scan holds of each earlier moment, and what moves f_pu of a clip how far back.

    Left: |weight| of step j in step i of the scan's last layer, on a logarithmic scale, events as lines. Right: share
    of the influence on f_pu by seconds before the clip's end, mean over clips; the dotted line is the clip's own start.
    `row`: whose it is, label and seed.
    """
    shown = {name: found for name, found in inspected.items() if "influence_audio" in found}
    count = max(len(shown), 1)
    figure = Figure(figsize=(8.2, 3.1 * count), layout="constrained")
    grid = figure.subplots(count, 2, squeeze=False, width_ratios=(1.15, 1))
    if not shown:
        nothing(grid[0][0], f"{row}: not inspected" if not inspected else f"{row}: this model reads no history")
        grid[0][1].set_visible(False)
        return figure
    figure.suptitle(row, fontsize=8)
    for (left, right), (name, found) in zip(grid, shown.items(), strict=True):
        _scan(left, found, meta, dyads.get(name), name)
        _influence(right, found, meta)
    return figure


def _scan(axes: Axes, found: dict[str, np.ndarray], meta: dict, dyad: Dyad | None, name: str) -> None:
    if "scan_audio" not in found:
        nothing(axes, "this row has no scan")
        return
    step = meta["stride"] / meta["fps"]
    lead = (meta["context"] - meta["clip"]) // meta["stride"]  # silence before the dialogue
    weights = found["scan_audio"][-1][lead:, lead:]
    end = len(weights) * step
    top = float(weights.max()) or 1.0
    scale = LogNorm(top * FAINT, top)  # what is held falls off exponentially
    look = {"cmap": "cividis", "interpolation": "nearest", "aspect": "auto"}
    picture = axes.imshow(weights.clip(top * FAINT), extent=(0, end, end, 0), norm=scale, **look)
    axes.figure.colorbar(picture, ax=axes, shrink=0.8, pad=0.02).set_label("|weight|, logarithmic", fontsize=7)
    for event in events(dyad) if dyad is not None else ():
        axes.axvspan(event["start"], event["end"], ymin=0.97, color=ORANGE, linewidth=0)
        axes.axvline(event["end"], color="white", linewidth=0.7, linestyle=":")
    axes.set_xlabel("step looked at (s)")
    axes.set_ylabel("step looking (s)")
    axes.set_title(f"{name}: scan of the user's voice", fontsize=8, loc="left")


def _influence(axes: Axes, found: dict[str, np.ndarray], meta: dict) -> None:
    looks = ((BLUE, "-"), (ORANGE, (0, (4, 1.5))), (AMBER, (0, (1, 1))))
    for (name, text), (colour, dash) in zip(VIEWS.items(), looks, strict=True):
        if name not in found or not found[name].any():
            continue
        lag, share = lags(found[name], name, meta)
        axes.plot(lag, share, color=colour, linestyle=dash, label=text)
    axes.axvline(meta["clip"] / meta["fps"], color=BLACK, linestyle=":", linewidth=0.8)
    axes.set_xlabel("seconds before the clip's end")
    axes.set_ylabel("share of the influence per second")
    axes.set_ylim(bottom=0)
    axes.grid(True)
    axes.legend()


def lags(influence: np.ndarray, name: str, meta: dict) -> tuple[np.ndarray, np.ndarray]:
    """(seconds before the clip's end, share per second), mean over the clips that reach so far back.

    Steps of S_usr end with the clip; those of voice and face run over the whole dialogue.
    """
    width = meta["tubelet"] if name == "influence_video" else meta["stride"]
    seconds = width / meta["fps"]
    clips, steps = influence.shape
    per_clip = meta["clip"] // width
    rows = []
    for clip, row in enumerate(influence):
        end = steps if name == "influence_phi" else (meta["context"] // width) + clip * per_clip
        back = row[:end][::-1]
        rows.append(np.pad(back, (0, steps - len(back)), constant_values=np.nan))
    table = np.array(rows) / seconds
    known = np.isfinite(table).any(0)
    share = np.nanmean(table[:, known], axis=0)
    return (np.arange(len(share)) + 0.5) * seconds, share


def dialogues_shown(inspected: dict, dyads: Sequence[Dyad]) -> dict[str, Dyad]:
    """The dyads among `dyads` that were inspected."""
    return {dyad.dyad_id: dyad for dyad in dyads if dyad.dyad_id in inspected}
