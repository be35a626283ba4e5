"""P-FD: Frechet distance of both people's motion together, pooled over clips and per clip."""

from collections.abc import Iterator

import numpy as np

from evaluation.cards import MetricCard, Value
from evaluation.clips import MOTION_PARTS
from evaluation.metrics._estimate import PROTOCOL
from evaluation.metrics._parts import part_distance, part_estimate
from evaluation.metrics.motion.motion_fd import distance, least_frames, motion_fd

_EQUATION = r"\operatorname{FD}\left([x;y],[x;\hat y]\right)"
_COMMON = {
    "unit": "coefficient²",
    "direction": "lower",
    "range": (0.0, float("inf")),
    "parts": MOTION_PARTS,
    "separates_parts": ("expression", "pose"),
    "disagreements": (
        "DIM and lm-listener compute it per clip with 2 D dimensions (112 for EMOCA) on clips of a few "
        "seconds, where the covariance is singular and its bias outweighs the partner's share.",
        "DIM concatenates user and avatar, lm-listener avatar and user: the distance is the same.",
    ),
}
CARDS = (
    MetricCard(
        name="paired_fd_pooled",
        label="P-FD",
        per="set",
        definition="Motion FD of the user's and the avatar's coefficients side by side: the covariances then hold how "
        "the two move together. The user's own motion is the same on both sides, so only the cross-covariance adds "
        "to the plain distance: little, where the two are weakly coupled at equal time, and too little then to tell "
        "another dialogue's motion.",
        equation=_EQUATION + r",\quad\text{over all clips}",
        protocol="motion probe; [user; true] against [user; generated], 2 D dimensions; Gaussians over the frames of "
        "all clips together; covariance with N - 1; " + PROTOCOL,
        estimate=True,
        source="Learning2Listen; DIM's released evaluation, there per clip",
        separates=(("ground_truth", "vae_round_trip"), ("vae_round_trip", "frozen_reference")),
        blind=(("ground_truth", "time_shifted_audio"), ("vae_round_trip", "shuffled_partner")),
        **_COMMON,
    ),
    MetricCard(
        name="paired_fd_clip",
        label="P-FD (per clip)",
        per="clip",
        definition="The same distance clip by clip, then averaged.",
        equation=r"\frac1N\sum_n" + _EQUATION + "_n",
        protocol="motion probe; [user; true] against [user; generated], 2 D dimensions; Gaussians per clip, then mean "
        "over clips: strongly biased upwards for short clips",
        source="Learning2Listen; as in DIM's released evaluation",
        separates=(
            ("ground_truth", "vae_round_trip"),
            ("vae_round_trip", "frozen_reference"),
            ("vae_round_trip", "shuffled_partner"),
        ),
        from_readings=True,
        **_COMMON,
    ),
)


def paired_fd(generated: np.ndarray, true: np.ndarray, user: np.ndarray) -> float:
    """Frechet distance of [user; generated] and [user; true], each (N, D). Undefined: fewer than 4 D frames."""
    return motion_fd(np.concatenate([user, generated], 1), np.concatenate([user, true], 1))


def clip_values(clip, tools) -> Iterator[Value]:
    for part in MOTION_PARTS:
        yield part_distance("paired_fd_clip", part, distance, clip, "user")


def set_values(clips, tools) -> Iterator[Value]:
    for part in MOTION_PARTS:
        yield from part_estimate("paired_fd_pooled", part, least_frames, clips, "user")
