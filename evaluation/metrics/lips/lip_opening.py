"""Lip-opening error: how far the generated mouth's opening is from the true one's, in speech and in listening."""

from collections.abc import Iterator

import numpy as np

from evaluation.cards import MetricCard, Value, undefined
from evaluation.metrics._series import Undefined, require_alike, require_finite
from evaluation.metrics.lips.mouth import MINIMUM_FRAMES

CARDS = (
    MetricCard(
        name="lip_opening_error",
        label="Lip opening error",
        unit="coefficient",
        direction="lower",
        range=(0.0, float("inf")),
        per="clip",
        parts=("speech", "listening"),
        definition="Mean absolute difference of the generated and the true mouth's opening, frame by frame: in speech "
        "a mouth that opens at the wrong time or too little, in listening one that does not rest. Unlike the "
        "correlation it sees the size of the opening, and is defined for a still mouth.",
        equation=r"\frac1{|S|}\sum_{t\in S}\left|j(\hat y_t)-j(y_t)\right|,\;S\text{: frames with, or without, speech}",
        protocol="motion probe's jaw_open on both videos; over the frames in which the avatar speaks, or does not "
        "(at least 25 of them)",
        source="ours; the opening's share of LipLMD (ViCo), which adds mouth shape and place in landmarks",
        disagreements=(
            "LipLMD is the L1 distance of 20 mouth landmarks in pixels of the crop, in speech and listening alike, "
            "so it holds head motion too.",
        ),
        separates=(
            ("ground_truth", "vae_round_trip"),
            ("ground_truth", "time_shifted_audio"),
            ("vae_round_trip", "frozen_reference"),
            ("vae_round_trip", "shuffled_partner"),
        ),
        separates_parts=("speech",),
        from_readings=True,
    ),
)


def lip_opening_error(generated: np.ndarray, true: np.ndarray, counted: np.ndarray, status: str) -> float:
    """Mean absolute difference of two (T,) openings over the frames where bool (T,) `counted` holds.

    Undefined `status`: fewer than 25 such frames; `not_finite`.
    """
    require_alike(generated, true, counted)
    if counted.sum() < MINIMUM_FRAMES:
        raise Undefined(status)
    require_finite(generated[counted], true[counted])
    return float(np.abs(np.asarray(generated, np.float64) - true)[counted].mean())


def clip_values(clip, tools) -> Iterator[Value]:
    if "jaw_open" not in clip.names:
        raise Undefined("no_truth")
    jaw = clip.names.index("jaw_open")
    openings = clip.motion_generated[:, jaw], clip.motion_true[:, jaw]
    states = {"speech": (clip.counted(True), "no_speech"), "listening": (clip.counted(False), "too_few_frames")}
    for part, (counted, status) in states.items():
        try:
            yield Value("lip_opening_error", part, lip_opening_error(*openings, counted, status))
        except Undefined as failure:
            yield undefined("lip_opening_error", part, failure.status)
