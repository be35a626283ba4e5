"""Small made-up result files for the tests of tables and figures."""

import csv
from collections.abc import Callable
from pathlib import Path

from evaluation.registry import cards
from evaluation.rows import COLUMNS, WHOLE_SET

ROWS = {
    "echo": {"label": "ECHO", "group": "main"},
    "other": {"label": "Other & Co", "group": "baseline"},
    "no_lcu": {"label": "w/o LCU", "group": "ablation"},
    "truth": {"label": "Ground truth", "group": "control", "class": "baselines.controls:GroundTruth"},
    "vae": {"label": "VAE", "group": "control", "class": "baselines.controls:VaeRoundTrip"},
    "frozen": {"label": "Frozen", "group": "control", "class": "baselines.controls:FrozenReference"},
}
CLIPS = ("a", "b", "c")


def write_result(
    metrics: Path, method: str, seed: int, value: Callable[[str, str, str], float | str], clips=CLIPS, count=300
) -> Path:
    """One complete result file; `value(metric, part, clip)` gives a number, or the status of a failure.

    Estimates from a sample say that it held `count`, whatever their value: only distances of equal counts are compared.
    """
    path = metrics / method / f"seed{seed}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for card in cards().values():
            places = ([WHOLE_SET] if card.per == "set" else []) + (
                list(clips) if card.per == "clip" or card.clip_rows else []
            )
            for part in card.all_parts:
                for clip in places:
                    got = value(card.name, part, clip)
                    got = count if card.estimate and part.endswith("_count") and not isinstance(got, str) else got
                    cells = ("", got) if isinstance(got, str) else (repr(float(got)), "ok")
                    writer.writerow([method, seed, "synthetic", "test", clip, card.name, part, *cells])
    return path


def constant(number: float) -> Callable[[str, str, str], float]:
    """Every value the same; the truth's own always 0.5."""
    return lambda metric, part, clip: 0.5 if part.endswith("_truth") else number
