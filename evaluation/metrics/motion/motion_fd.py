"""Frechet distance between generated and true motion coefficients, pooled over clips and per clip."""

from collections.abc import Iterator

import numpy as np

from evaluation.cards import MetricCard, Value
from evaluation.clips import MOTION_PARTS
from evaluation.frechet import Moments, moments_distance
from evaluation.metrics._estimate import PROTOCOL
from evaluation.metrics._parts import part_distance, part_estimate
from evaluation.metrics._series import Undefined, frechet, require_frames

MINIMUM_PER_DIMENSION = 2  # frames per dimension below which a covariance says nothing
_EQUATION = r"\left\|\mu-\hat\mu\right\|^2+\operatorname{tr}\left(\Sigma+\hat\Sigma-2(\Sigma\hat\Sigma)^{1/2}\right)"
_COMMON = {
    "unit": "coefficient²",
    "direction": "lower",
    "range": (0.0, float("inf")),
    "parts": MOTION_PARTS,
    "source": "Frechet 1957; DIM and Learning2Listen on EMOCA coefficients (values are not comparable)",
    "separates_parts": ("expression", "pose"),
    "disagreements": (
        "DIM and lm-listener fit Gaussians to every clip and average; Avatar Forcing and ECHO speak of "
        "distributions and do not say whether clips are pooled. On the same random data of 50 dimensions it is 21.8 "
        "per clip and 1.13 pooled, because a covariance of few frames is biased; where T <= D it is singular.",
        "Values of different frame counts, probes or pooling must not be compared.",
    ),
}
CARDS = (
    MetricCard(
        name="motion_fd_pooled",
        label="Motion FD",
        per="set",
        definition="Frechet distance of two Gaussians, one fitted to the true and one to the generated frames of all "
        "clips: does the avatar show the right poses and expressions overall, no matter when. "
        "A random training clip can come out before the right motion through the autoencoder.",
        equation=_EQUATION + r",\quad\text{over }y^{1..N},\hat y^{1..N}",
        protocol="motion probe; Gaussians over the frames of all clips together; covariance with N - 1; " + PROTOCOL,
        estimate=True,
        separates=(("ground_truth", "vae_round_trip"), ("vae_round_trip", "frozen_reference")),
        blind=(("ground_truth", "time_shifted_audio"), ("vae_round_trip", "shuffled_partner")),
        **_COMMON,
    ),
    MetricCard(
        name="motion_fd_clip",
        label="Motion FD (per clip)",
        per="clip",
        definition="The same distance clip by clip, then averaged: does the avatar show in this dialogue what the "
        "true one shows in it. It tells another dialogue's motion from the right one, which the pooled one cannot, "
        "but not when in the clip anything happens.",
        equation=r"\frac1N\sum_n\left[" + _EQUATION + r"\right]_n",
        protocol="motion probe; Gaussians per clip, then mean over clips: strongly biased upwards for short clips",
        separates=(
            ("ground_truth", "vae_round_trip"),
            ("vae_round_trip", "frozen_reference"),
            ("vae_round_trip", "shuffled_partner"),
        ),
        blind=(("ground_truth", "time_shifted_audio"),),
        from_readings=True,
        **_COMMON,
    ),
)


def least_frames(dimensions: int) -> int:
    """Frames below which there is no distance."""
    return MINIMUM_PER_DIMENSION * dimensions


def motion_fd(generated: np.ndarray, true: np.ndarray) -> float:
    """Frechet distance of two (N, D). Undefined: fewer than 2 D frames, or unequal counts."""
    require_frames(min(len(generated), len(true)), least_frames(true.shape[1]))
    return frechet(generated, true)


def distance(generated: Moments, true: Moments) -> float:
    """`motion_fd` of series of which the moments are known."""
    require_frames(min(generated.count, true.count), least_frames(len(true.mean)))
    if generated.count != true.count:
        raise Undefined("length_mismatch")
    return moments_distance(generated, true)


def clip_values(clip, tools) -> Iterator[Value]:
    for part in MOTION_PARTS:
        yield part_distance("motion_fd_clip", part, distance, clip)


def set_values(clips, tools) -> Iterator[Value]:
    for part in MOTION_PARTS:
        yield from part_estimate("motion_fd_pooled", part, least_frames, clips)
