"""Temporal variance of motion: how much the avatar moves, to be compared with the truth's own value."""

from collections.abc import Iterator

import numpy as np

from evaluation.cards import MetricCard, Value, truth_part, undefined
from evaluation.clips import MOTION_PARTS
from evaluation.metrics._series import require_frames

CARDS = (
    MetricCard(
        name="var",
        label="Var",
        unit="coefficient²",
        direction="truth",
        range=(0.0, float("inf")),
        per="clip",
        parts=MOTION_PARTS,
        protocol="motion probe; population variance over time, mean over dimensions, per clip",
        source="Avatar Forcing, ECHO; DIM's code flattens frames and dimensions instead",
        separates=(("ground_truth", "frozen_reference"), ("vae_round_trip", "frozen_reference")),
        separates_parts=("expression", "pose"),
    ),
)


def temporal_variance(motion: np.ndarray) -> float:
    """Variance over time of (T, D), mean over dimensions. Undefined: fewer than 2 frames."""
    require_frames(len(motion), 2)
    return float(np.asarray(motion, np.float64).var(axis=0).mean())


def clip_values(clip, tools) -> Iterator[Value]:
    for part in MOTION_PARTS:
        for motion, label in ((clip.motion_generated, part), (clip.motion_true, truth_part(part))):
            chosen = clip.part(motion, part)
            if chosen is None:
                yield undefined("var", label, "no_truth")
            else:
                yield Value("var", label, temporal_variance(chosen))
