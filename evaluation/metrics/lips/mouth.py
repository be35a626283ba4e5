"""Mouth-opening correlation: does the generated jaw open when the true jaw does, while the avatar speaks."""

from collections.abc import Iterator

import numpy as np

from evaluation.cards import MetricCard, Value
from evaluation.metrics._series import Undefined, follows

MINIMUM_FRAMES = 25  # one second of speech

CARDS = (
    MetricCard(
        name="mouth_opening_correlation",
        label="Mouth corr.",
        unit="1",
        direction="higher",
        range=(-1.0, 1.0),
        per="clip",
        parts=("speech",),
        definition="Correlation of the generated with the true mouth's opening while the avatar speaks. It sees the "
        "time of each opening, not its size. A mouth that stands still follows nothing: 0.",
        equation=r"r\left(j(\hat y_t),j(y_t)\right),\quad t\in\text{speech}",
        protocol="Pearson r over the frames in which the avatar speaks (at least 25) of the motion probe's jaw_open "
        "on generated frames with the true jaw opening (truth file, else the probe on true frames); 0 where the "
        "generated jaw does not move and the true one does",
        disagreements=(
            "Landmark distances of talking-head papers (LMD, LipLMD) count size, place and head motion too; see "
            "lip_opening_error for the size.",
        ),
        from_readings=True,
        source="ours; follows the lip landmarks' distance of talking-head papers",
        separates=(
            ("ground_truth", "vae_round_trip"),
            ("ground_truth", "time_shifted_audio"),
            ("vae_round_trip", "shuffled_partner"),
            ("vae_round_trip", "time_shifted_audio"),
            ("vae_round_trip", "frozen_reference"),
        ),
        separates_parts=("speech",),
    ),
)


def mouth_opening_correlation(generated: np.ndarray, true: np.ndarray, speaking: np.ndarray) -> float:
    """Pearson r of two (T,) jaw openings over the frames where bool (T,) `speaking` holds.

    0 where the generated jaw stands still. Undefined: `no_speech` below one second of speech, `constant_series` if the
    true jaw does not move, `not_finite`.
    """
    if speaking.sum() < MINIMUM_FRAMES:
        raise Undefined("no_speech")
    return follows(generated[speaking], true[speaking])


def clip_values(clip, tools) -> Iterator[Value]:
    if "jaw_open" not in clip.names:
        raise Undefined("no_truth")
    jaw = clip.names.index("jaw_open")
    true = clip.motion_true[:, jaw]
    if clip.truth is not None:
        true = clip.truth.avatar[:, clip.truth.names.index("jaw_open")]
    value = mouth_opening_correlation(clip.motion_generated[:, jaw], true, clip.counted(speaking=True))
    yield Value("mouth_opening_correlation", "speech", value)
