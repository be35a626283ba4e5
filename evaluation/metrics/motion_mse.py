"""Mean squared error of the probe's motion coefficients, generated against true."""

from collections.abc import Iterator

import numpy as np

from evaluation.cards import MetricCard, Value, undefined
from evaluation.clips import MOTION_PARTS

CARDS = (
    MetricCard(
        name="motion_mse",
        label="Motion MSE",
        unit="coefficient²",
        direction="lower",
        range=(0.0, float("inf")),
        per="clip",
        parts=MOTION_PARTS,
        protocol="motion probe on both videos; mean over frames and dimensions, per clip",
        source="DIM, Avatar Forcing (there on EMOCA coefficients: values are not comparable)",
        separates=(("ground_truth", "vae_round_trip"), ("vae_round_trip", "shuffled_partner")),
        separates_parts=("expression", "lips"),
    ),
)


def motion_mse(generated: np.ndarray, true: np.ndarray) -> float:
    """Mean over frames and dimensions of the squared difference of two (T, D) series."""
    return float(np.square(np.asarray(generated, np.float64) - true).mean())


def clip_values(clip, tools) -> Iterator[Value]:
    for part in MOTION_PARTS:
        generated = clip.part(clip.motion_generated, part)
        if generated is None:
            yield undefined("motion_mse", part, "no_truth")
        else:
            yield Value("motion_mse", part, motion_mse(generated, clip.part(clip.motion_true, part)))
