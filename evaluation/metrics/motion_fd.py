"""Frechet distance between generated and true motion coefficients, pooled over clips and per clip."""

from collections.abc import Iterator

import numpy as np

from evaluation.cards import MetricCard, Value, undefined
from evaluation.clips import MOTION_PARTS
from evaluation.metrics._series import Undefined, frechet, require_frames

MINIMUM_PER_DIMENSION = 2  # frames per dimension below which a covariance says nothing
_COMMON = {
    "unit": "coefficient²",
    "direction": "lower",
    "range": (0.0, float("inf")),
    "parts": MOTION_PARTS,
    "source": "Frechet 1957; DIM and Learning2Listen on EMOCA coefficients (values are not comparable)",
    "separates": (("ground_truth", "vae_round_trip"), ("vae_round_trip", "frozen_reference")),
    "separates_parts": ("expression", "pose"),
}
CARDS = (
    MetricCard(
        name="motion_fd_pooled",
        label="Motion FD",
        per="set",
        protocol="motion probe; Gaussians over the frames of all clips together; covariance with N - 1",
        **_COMMON,
    ),
    MetricCard(
        name="motion_fd_clip",
        label="Motion FD (per clip)",
        per="clip",
        protocol="motion probe; Gaussians per clip, then mean over clips: strongly biased upwards for short clips",
        **_COMMON,
    ),
)


def motion_fd(generated: np.ndarray, true: np.ndarray) -> float:
    """Frechet distance of (N, D) and (M, D). Undefined: fewer than 2 D frames in either."""
    require_frames(min(len(generated), len(true)), MINIMUM_PER_DIMENSION * true.shape[1])
    return frechet(generated, true)


def clip_values(clip, tools) -> Iterator[Value]:
    for part in MOTION_PARTS:
        yield _value("motion_fd_clip", part, clip.part(clip.motion_generated, part), clip.part(clip.motion_true, part))


def set_values(clips, tools) -> Iterator[Value]:
    for part in MOTION_PARTS:
        generated = [clip.part(clip.motion_generated, part) for clip in clips]
        true = [clip.part(clip.motion_true, part) for clip in clips]
        missing = any(item is None for item in generated)
        pooled = (None, None) if missing else (np.concatenate(generated), np.concatenate(true))
        yield _value("motion_fd_pooled", part, *pooled)


def _value(name: str, part: str, generated: np.ndarray | None, true: np.ndarray | None) -> Value:
    if generated is None:
        return undefined(name, part, "no_truth")
    try:
        return Value(name, part, motion_fd(generated, true))
    except Undefined as failure:
        return undefined(name, part, failure.status)
