"""R-DGG of released systems: each row's gain with its intervals, and the lead of each row over each other one."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.published import load
from dyads.errors import DataError
from reporting.plots.study_files import BLACK, GREY, GROUP_COLOURS, ORANGE, Study, name_missing, nothing

PART = "audio_given_motion"
ENCODERS = {"emoca": "EMOCA", "liveportrait": "LivePortrait"}  # as the published tables call them
BESIDE = {  # metrics of ours that are the published ones where frames are dropped as there
    "rPCC": "rpcc_clip", "P-FD": "paired_fd_clip", "TLCC offset": "tlcc_offset", "TLCC peak": "tlcc_peak",
    "SID": "sid_40_20", "Var": "var_flat",
}  # fmt: skip
UNIT = 1e4  # gains are some ten thousandths of the energy
PUBLISHED = "SI-184"


def read_reactions(results: Path) -> pd.DataFrame:
    """metrics/reactions.csv of a study on coefficients; DataError if it is not there."""
    path = results / "metrics" / "reactions.csv"
    try:
        return pd.read_csv(path, dtype={"row": str, "against": str}).fillna({"against": ""})
    except (OSError, pd.errors.EmptyDataError, pd.errors.ParserError) as error:
        raise DataError(
            f"{path} cannot be read ({error}); measure first (python -m evaluation.coefficients)."
        ) from error


def is_published(study: Study) -> bool:
    """Whether the study's corpus is the one that the published numbers are of."""
    return set(pd.read_csv(study.data / "manifest.csv", dtype=str)["dataset"]) == {PUBLISHED}


def published_beside(study: Study) -> pd.DataFrame:
    """Published values beside ours of the rows measured as they were (frames dropped): one line per system, metric and
    part, with the same system on the common clock; empty where the corpus is another one."""
    columns = ["system", "metric", "part", "published", "frames dropped", "common clock"]
    if not is_published(study):
        return pd.DataFrame(columns=columns)
    values = study.values.groupby(["method", "metric", "part"])["value"].mean()
    probe = json.loads((study.results / "metrics" / "truth" / "seed0.json").read_text(encoding="utf-8"))["probes"]
    encoder = ENCODERS[probe["motion"]["kind"].rpartition(" ")[2]]
    said, ours = load(), _ours(study)
    said = said[(said["dataset"] == PUBLISHED) & (said["split_or_protocol"] == f"{encoder}, all frames")]
    lines = []
    for line in said.itertuples(index=False):
        part = {"exp": "expression", "pose": "pose"}.get(line.part)
        if part and line.metric in BESIDE and _plain(line.method) in ours:
            name = ours[_plain(line.method)]
            own = [values.get((f"{name}{end}", BESIDE[line.metric], part), math.nan) for end in ("_dropped", "")]
            lines.append((study.label(name), line.metric, part, float(line.value), *own))
    return pd.DataFrame(lines, columns=columns)


def published_gains(study: Study) -> dict[str, float]:
    """Row -> the published gain, where the corpus is the published one; empty elsewhere."""
    if not is_published(study):
        return {}
    said, ours = load(), _ours(study)
    said = said[(said["dataset"] == PUBLISHED) & (said["metric"] == "R-DGG")]
    values = zip(said["method"], said["value"].astype(float), strict=True)
    return {ours[_plain(name)]: value for name, value in values if _plain(name) in ours}


def _ours(study: Study) -> dict[str, str]:
    """Published name -> row."""
    ours = {_plain(label): name for label, name in zip(study.rows["label"], study.rows["method"], strict=True)}
    return ours | {_plain("GT"): "truth", _plain("GT x other"): "shuffled"}


def _plain(label: str) -> str:
    """A system's name as its makers and its graders both write it."""
    return label.replace("-FlashHead", "").replace(" ", "").lower()


def reaction_gains(study: Study, part: str = PART) -> Figure:
    """Each row's gain: point and bar by the jackknife over people (95 %), thin line by the published bootstrap; a
    diamond is the published value, where the corpus is the published one."""
    found = read_reactions(study.results)
    own = found[(found["against"] == "") & (found["part"] == part)].set_index("row")
    methods = [name for name in study.rows["method"] if name in own.index]
    figure = Figure(figsize=(7.2, 0.3 * max(len(methods), 3) + 1.0), layout="constrained")
    axes = figure.subplots()
    if not methods:
        nothing(axes, "no row has a gain (too short, or nobody listens long enough)")
        return figure
    said = published_gains(study)
    for place, name in enumerate(methods):
        line, colour = own.loc[name], GROUP_COLOURS.get(study.group(name), GREY)
        axes.plot(UNIT * line[["boot_low", "boot_high"]], [place + 0.18] * 2, color=colour, linewidth=0.8)
        axes.plot(UNIT * line[["low", "high"]], [place] * 2, color=colour, linewidth=2, solid_capstyle="butt")
        axes.plot([UNIT * line["net"]], [place], "o", color=colour, markersize=5)
        if name in said:
            axes.plot([UNIT * said[name]], [place - 0.2], "D", color=BLACK, markerfacecolor="white", markersize=4)
        text = f"{UNIT * line['net']:+.2f}, p {line['p']:.2g}, {int(line['people'])} people"
        axes.text(1.01, place, text, fontsize=6.5, va="center", transform=axes.get_yaxis_transform())
    axes.axvline(0, color=BLACK, linewidth=0.8)
    axes.set_yticks(range(len(methods)), [study.label(name) for name in methods])
    axes.set_ylim(len(methods) - 0.5, -0.5)
    axes.set_xlabel("R-DGG, " + part.replace("_", " ") + " (10⁻⁴ nat); bar: jackknife over people, thin: bootstrap")
    axes.grid(axis="x")
    missing = [study.label(name) for name in study.rows["method"] if name not in own.index]
    name_missing(figure, [f"{name} (no gain)" for name in missing])
    return figure


def reaction_leads(study: Study, part: str = PART) -> Figure:
    """Lead of the row on the left over the one below, on the same people and frames; in colour where its 95 % interval
    by the jackknife leaves out zero, not corrected for the number of pairs."""
    found = read_reactions(study.results)
    pairs = found[(found["against"] != "") & (found["part"] == part)]
    names = [name for name in study.rows["method"] if name in set(pairs["row"]) | set(pairs["against"])]
    figure = Figure(figsize=(0.72 * max(len(names), 4) + 1.6, 0.42 * max(len(names), 3) + 1.1), layout="constrained")
    axes = figure.subplots()
    if not names:
        nothing(axes, "no two rows share frames")
        return figure
    for line in pairs.itertuples(index=False):
        sure = line.low > 0 or line.high < 0
        for sign, (left, below) in ((1, (line.row, line.against)), (-1, (line.against, line.row))):
            if left not in names or below not in names or not math.isfinite(line.net):
                continue
            place = names.index(below), names.index(left)
            colour = GREY if not sure else GROUP_COLOURS["main"] if sign * line.net > 0 else ORANGE
            axes.text(*place, f"{UNIT * sign * line.net:+.2f}", ha="center", va="center", fontsize=7, color=colour,
                      fontweight="bold" if sure else "normal")  # fmt: skip
    labels = [study.label(name) for name in names]
    axes.set_xticks(np.arange(len(names)), labels, rotation=35, ha="right")
    axes.set_yticks(np.arange(len(names)), labels)
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_title(
        "lead of the row over the column (10⁻⁴ nat); blank: not on the same frames\n"
        "bold: interval without zero, not corrected for the number of pairs", fontsize=8,
    )  # fmt: skip
    return figure
