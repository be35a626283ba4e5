"""STS: distance of the generated and the true avatar's frame-to-frame changes."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from evaluation.cards import MetricCard, Value, undefined
from evaluation.clips import MOTION_PARTS
from evaluation.metrics._parts import adjacent, motion, part_value
from evaluation.metrics._series import Undefined, require_alike, require_finite, require_frames

TIMESTEP = 0.1  # seconds, as DIM's code has it for videos of 30 frames a second
_EQUATION = r"\sqrt{\sum_{t\ge2}\sum_d\frac{\left((y_{t,d}-y_{t-1,d})-(\hat y_{t,d}-\hat y_{t-1,d})\right)^2}{0.1}}"
_COMMON = {
    "unit": "coefficient/s^½",
    "direction": "lower",
    "range": (0.0, float("inf")),
    "parts": MOTION_PARTS,
    "separates_parts": ("expression", "pose"),
    "disagreements": (
        "The sum is not divided by the number of frames or dimensions, so values of different lengths are not "
        "comparable; the time step of 0.1 s is a constant, whatever the frame rate.",
        "DIM appends all clips and counts the jumps between them (sts_pooled).",
    ),
}
CARDS = (
    MetricCard(
        name="sts",
        label="STS",
        per="clip",
        definition="Root of the summed squared differences of the two motions' changes from frame to frame. It asks "
        "for the same movement at the same moment, and a still face, which never moves wrongly, does well.",
        equation=_EQUATION,
        protocol="motion probe; per clip, summed over frames and dimensions, divided by 0.1 s, then the root",
        source="DIM's released evaluation, there over all clips appended",
        separates=(("ground_truth", "vae_round_trip"), ("vae_round_trip", "shuffled_partner")),
        from_readings=True,
        **_COMMON,
    ),
    MetricCard(
        name="sts_pooled",
        label="STS (pooled)",
        per="set",
        definition="The same of all clips appended to one series, whose jumps between clips count like movement; it "
        "grows with the number of clips.",
        equation=_EQUATION + r",\quad\text{over }y^{1..N},\hat y^{1..N}",
        protocol="motion probe; all clips appended in the manifest's order, then as STS",
        source="as in DIM's released evaluation",
        separates=(("ground_truth", "vae_round_trip"), ("vae_round_trip", "shuffled_partner")),
        **_COMMON,
    ),
)


def sts(generated: np.ndarray, true: np.ndarray, steps: np.ndarray | None = None) -> float:
    """STS of two (T, D) series; `steps`: bool (T - 1,), which changes count. Undefined: fewer than 2 frames, or NaN.

    ValueError: two shapes.
    """
    require_alike(generated, true)
    require_finite(generated, true)
    require_frames(len(true), 2)
    change = np.diff(np.asarray(generated, np.float64), axis=0) - np.diff(np.asarray(true, np.float64), axis=0)
    change = change if steps is None else change[steps]
    return float(np.sqrt(np.square(change).sum() / TIMESTEP))


def clip_values(clip, tools) -> Iterator[Value]:
    for part in MOTION_PARTS:
        yield part_value("sts", part, _over([clip]), [clip], "generated", "true")


def set_values(clips, tools) -> Iterator[Value]:
    for part in MOTION_PARTS:
        try:
            yield Value("sts_pooled", part, _pooled(clips, part))
        except Undefined as failure:
            yield undefined("sts_pooled", part, failure.status)


def _pooled(clips, part: str) -> float:
    """`sts` of all clips appended, of which one is in memory and the last frame of the one before it."""
    frames, total, finite, before = 0, 0.0, True, None
    for clip in clips:
        here = [np.asarray(series, np.float64) for series in motion([clip], part, "generated", "true")]
        require_alike(*here)
        if not len(here[0]):
            continue
        frames, finite = frames + len(here[0]), finite and all(np.isfinite(series).all() for series in here)
        steps = np.ones(len(here[0]) - 1, bool) if clip.valid is None else adjacent([clip])
        if before is not None:
            here = [np.concatenate(pair) for pair in zip(before, here, strict=True)]
            steps = np.concatenate([[True], steps])
        change = np.diff(here[0], axis=0) - np.diff(here[1], axis=0)
        total += np.square(change[steps]).sum()
        before = [series[-1:] for series in here]
    if not finite:
        raise Undefined("not_finite")
    require_frames(frames, 2)
    return float(np.sqrt(total / TIMESTEP))


def _over(clips):
    """`sts` over changes between frames that follow each other; a gap of unseen frames is none."""
    if all(clip.valid is None for clip in clips):
        return sts
    return partial(sts, steps=adjacent(clips))
