"""Lip error of a rig: FaceDiffuser's "LVE" where a face is controls, not vertices."""

from collections.abc import Iterator

import numpy as np

from evaluation.cards import MetricCard, Value, undefined
from evaluation.metrics._parts import motion
from evaluation.metrics._points import both, distances
from evaluation.metrics._series import Undefined, require_finite, require_frames


def lve_controls(generated: np.ndarray, true: np.ndarray) -> float:
    """Mean over frames of the norm of the difference of mouth controls (T, C), no maximum.

    Undefined: `length_mismatch`, `too_few_frames`, `not_finite`.
    """
    generated, true = np.asarray(generated, np.float64), np.asarray(true, np.float64)
    if generated.shape != true.shape or generated.ndim != 2:
        raise Undefined("length_mismatch")
    require_frames(len(true), 1)
    require_finite(generated, true)
    return float(distances(generated, true).mean())


CARDS = (
    MetricCard(
        name="lve_controls",
        label="LVE (rig)",
        unit="coefficient",
        direction="lower",
        range=(0.0, float("inf")),
        per="clip",
        parts=("lips",),
        definition="Mean over frames of the length of the difference between the generated and the true mouth "
        "controls.",
        equation=r"\frac1T\sum_t\left\|\hat y_{t,\text{lips}}-y_{t,\text{lips}}\right\|",
        protocol="the motion reader's coefficients of the lips on both videos, those of the group `lips` of a data "
        "set of coefficients, or given controls whose names speak of mouth, lip or jaw (`values` and `names` of each "
        "video's .npz; frames with a face in both, at least 90 %); paired by time at 25 fps; mean over frames, then "
        "over clips",
        source="FaceDiffuser (e15f350), for its rigged characters",
        disagreements=(
            "The same code calls the largest squared distance of a lip vertex LVE where the face is a mesh (see lve): "
            "neither unit, power nor maximum agree.",
            "It grows with the number of controls and with their ranges: values of two rigs cannot be compared.",
        ),
        separates=(
            ("ground_truth", "vae_round_trip"),
            ("vae_round_trip", "frozen_reference"),
            ("vae_round_trip", "shuffled_partner"),
        ),
        separates_parts=("lips",),
        from_readings=True,
    ),
)


def clip_values(clip, tools) -> Iterator[Value]:
    given = [clip.features.get(f"given_mouth_{side}") for side in ("generated", "true")]
    try:
        if all(controls is not None for controls in given):
            sides = (side[:, 0] for side in both(*(np.asarray(controls)[:, None] for controls in given)))
        else:
            sides = motion([clip], "lips", "generated", "true")
        yield Value("lve_controls", "lips", lve_controls(*sides))
    except Undefined as failure:
        yield undefined("lve_controls", "lips", failure.status)
