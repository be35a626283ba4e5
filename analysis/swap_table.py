"""How far lips and face move when the user is exchanged: `python -m analysis.swap_table --help`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from dyads.errors import ConfigError, DataError, run_cli
from dyads.files import write_text
from evaluation.cards import MetricCard
from evaluation.clips import GROUPS, columns
from evaluation.readings.set_level import SetMetric
from evaluation.readings.stored import read_features
from evaluation.rows import result_files
from training.options import parse_json

PARTS = {
    "lips": GROUPS["lips"],
    "opening": ("jaw_open",),  # of the mouth: unlike the lips' width, nothing but the voice moves it
    "expression": GROUPS["expression"],
    "pose": GROUPS["pose"],
}
VOICED = ("lips", "opening")
# Of claims alone: no row has it by itself, it takes two runs of the same weights.
CARD = MetricCard(
    name="swap_change",
    label="Change under exchange",
    unit="SD of the true motion",
    direction="lower",
    range=(0.0, float("inf")),
    per="set",
    parts=tuple(PARTS),
    protocol="RMS difference of the motion probe's readings of two runs of the same weights that differ in their user, "
    "in standard deviations of the true motion; lips and opening while the avatar speaks",
    source="ours; an exchange of one input, as in tests of causal effect",
)


def change_metric(swapped: Path, own: Path, part: str) -> SetMetric:
    """RMS difference of two runs' motion of a part, in standard deviations of the true motion, as sums by clip.

    Both are `.features.safetensors` of `evaluation.run` over the same clips; lips, and of them the mouth's opening,
    count while the avatar speaks.
    """
    (a, meta), (b, _) = read_features(swapped), read_features(own)
    if set(a) != set(b):
        raise DataError(f"{swapped} and {own} hold different clips; measure both on the same test set.")
    if not meta["names"]:
        raise DataError(f"{swapped}: the probe's dimensions have no names, so lips cannot be told from face.")
    here = columns(meta["names"], PARTS[part])
    frames = [a[clip]["speaking"].astype(bool) if part in VOICED else slice(None) for clip in a]
    delta = [(a[c]["generated"] - b[c]["generated"])[k][:, here] for c, k in zip(a, frames, strict=True)]
    spread = np.concatenate([b[c]["true"][k][:, here] for c, k in zip(a, frames, strict=True)]).std(0)
    cells = np.array([[np.square(one / spread).sum(), one.size] for one in delta], np.float64)

    def value(totals: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.sqrt(totals[:, 0] / totals[:, 1])

    return SetMetric(tuple(a), cells, value)


def change(swapped: Path, own: Path) -> dict[str, float]:
    """`change_metric` of the whole test set, by part."""
    metrics = {part: change_metric(swapped, own, part) for part in PARTS}
    return {part: float(metric.at(np.ones(len(metric.clips)))[0]) for part, metric in metrics.items()}


def swap_rows(metrics: Sequence[Path], pairs: dict[str, str]) -> pd.DataFrame:
    """One line per swapped row and seed: row, of, seed, and the change of each part.

    `metrics`: the study's result files (.csv), or a folder of them, whose every seed counts.
    """
    found = {(path.parent.name, path.stem): path.with_suffix(".features.safetensors") for path in result_files(metrics)}
    lines = []
    for row, base in pairs.items():
        for seed in sorted(seed for name, seed in found if name == row):
            swapped, own = found[row, seed], found.get((base, seed))
            if own is not None and swapped.exists() and own.exists():
                change_of = change(swapped, own)
                lines.append({"row": row, "of": base, "seed": int(seed.removeprefix("seed")), **change_of})
    if not lines:
        named = ", ".join(map(str, metrics))
        raise ConfigError(f"{named} holds no pair of measured rows among {', '.join(pairs)}; run them first.")
    return pd.DataFrame(lines)


def shown(lines: pd.DataFrame, labels: dict[str, str]) -> str:
    """Markdown: mean ± sd over seeds."""
    text = []
    for row, own in lines.groupby("row", sort=False):
        cells = {"row": labels.get(row, row), "seeds": len(own)}
        for part in PARTS:
            sd = f" ± {own[part].std():.3f}" if len(own) > 1 else ""
            cells[part] = f"{own[part].mean():.3f}{sd}"
        text.append(cells)
    note = (
        "RMS change of the motion probe's readings against the same row with its own user, in standard deviations of "
        "the true motion; lips, and of them the mouth's opening, while the avatar speaks. Noise, voice and reference "
        "are the same in both."
    )
    return f"## Swap tests\n\n{pd.DataFrame(text).to_markdown(index=False)}\n\n- {note}\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m analysis.swap_table", description=__doc__)
    parser.add_argument(
        "--metrics",
        nargs="+",
        type=Path,
        required=True,
        help="<row>/seed<k>.csv with their .features.safetensors beside them, or a folder of them",
    )
    parser.add_argument("--pairs", required=True, help="JSON: swapped row -> row with the same weights")
    parser.add_argument("--labels", default="{}", help="JSON: row -> its name in the table")
    parser.add_argument("--out", type=Path, required=True, help="the .csv; a .md is written beside it")
    arguments = parser.parse_args()
    lines = swap_rows(arguments.metrics, parse_json(arguments.pairs, "--pairs"))
    write_text(arguments.out.with_suffix(".md"), shown(lines, parse_json(arguments.labels, "--labels")))
    write_text(arguments.out, lines.to_csv(index=False, float_format="%.6g", lineterminator="\n"))


if __name__ == "__main__":
    run_cli(main)
