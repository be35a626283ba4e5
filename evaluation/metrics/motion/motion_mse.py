"""Mean squared error of the probe's motion coefficients, generated against true."""

from collections.abc import Iterator

import numpy as np

from evaluation.cards import MetricCard, Value
from evaluation.clips import MOTION_PARTS
from evaluation.metrics._parts import part_value
from evaluation.metrics._series import require_alike, require_finite, require_frames

CARDS = (
    MetricCard(
        name="motion_mse",
        label="Motion MSE",
        unit="coefficient²",
        direction="lower",
        range=(0.0, float("inf")),
        per="clip",
        parts=MOTION_PARTS,
        definition="Mean squared difference of the generated and the true coefficients, frame by frame. Only one of "
        "many right answers counts as right, so it favours the mean of all answers over any one of them.",
        equation=r"\frac1{TD}\sum_{t,d}\left(y_{t,d}-\hat y_{t,d}\right)^2",
        protocol="motion probe on both videos; mean over frames and dimensions, per clip",
        source="DIM, Avatar Forcing (there on EMOCA coefficients: values are not comparable)",
        disagreements=(
            "ECHO's Table 3 gives its own INFP row the 0.51/0.01 that INFP's paper printed for another network: read "
            "such rows with care.",
        ),
        separates=(
            ("ground_truth", "vae_round_trip"),
            ("vae_round_trip", "frozen_reference"),
            ("vae_round_trip", "shuffled_partner"),
        ),
        separates_parts=("expression", "lips"),
        from_readings=True,
    ),
)


def motion_mse(generated: np.ndarray, true: np.ndarray) -> float:
    """Mean over frames and dimensions of the squared difference of two (T, D) series. Undefined: no frame, or NaN.

    ValueError: two shapes.
    """
    require_alike(generated, true)
    require_frames(len(true), 1)
    require_finite(generated, true)
    return float(np.square(np.asarray(generated, np.float64) - true).mean())


def clip_values(clip, tools) -> Iterator[Value]:
    for part in MOTION_PARTS:
        yield part_value("motion_mse", part, motion_mse, [clip], "generated", "true")
