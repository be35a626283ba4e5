"""rPCC: how far the correlation of the generated avatar with the user departs from that of the true avatar."""

from collections.abc import Iterator

import numpy as np

from evaluation.cards import MetricCard, Value, undefined
from evaluation.clips import MOTION_PARTS
from evaluation.metrics._series import CONSTANT_SD, Undefined, pearson, require_frames

_COMMON = {
    "unit": "1",
    "direction": "lower",
    "range": (0.0, 2.0),
    "parts": MOTION_PARTS,
    "separates": (("ground_truth", "vae_round_trip"), ("ground_truth", "shuffled_partner")),
    "separates_parts": ("expression", "pose"),
}
CARDS = (
    MetricCard(
        name="rpcc",
        label="rPCC",
        per="clip",
        protocol="motion probe; per clip |r(true, user) - r(generated, user)|, mean over the dimensions in which the "
        "true avatar and the user move; undefined if there is none or the generated avatar is still in one of them",
        source="form of the paper's Eq.; per dimension and centred, hence robust to static offsets",
        **_COMMON,
    ),
    MetricCard(
        name="rpcc_pooled",
        label="rPCC (pooled)",
        per="set",
        protocol="motion probe; all clips and dimensions flattened into one correlation each, then the "
        "difference; dominated by the dimensions' means",
        source="as in DIM's released evaluation",
        **_COMMON,
    ),
)


def rpcc(generated: np.ndarray, true: np.ndarray, user: np.ndarray) -> float:
    """Mean over dimensions of |r(true_d, user_d) - r(generated_d, user_d)|; inputs (T, D).

    Only dimensions in which the true avatar and the user move count; a method cannot choose them.
    Undefined: fewer than 3 frames, no such dimension, or a generated series that stands still in one.
    """
    require_frames(len(true), 3)
    moving = [d for d in range(true.shape[1]) if min(true[:, d].std(), user[:, d].std()) > CONSTANT_SD]
    if not moving:
        raise Undefined("constant_series")
    gaps = [
        abs(pearson(true[:, d], user[:, d]) - pearson(generated[:, d], user[:, d], constant_sd=CONSTANT_SD))
        for d in moving
    ]
    return float(np.mean(gaps))


def rpcc_pooled(generated: np.ndarray, true: np.ndarray, user: np.ndarray) -> float:
    """|r - r'| of the flattened arrays, (N, D) each."""
    user = user.ravel()
    return abs(pearson(true.ravel(), user) - pearson(generated.ravel(), user))


def clip_values(clip, tools) -> Iterator[Value]:
    for part in MOTION_PARTS:
        yield _value("rpcc", rpcc, [clip], part)


def set_values(clips, tools) -> Iterator[Value]:
    for part in MOTION_PARTS:
        yield _value("rpcc_pooled", rpcc_pooled, clips, part)


def _value(name: str, function, clips, part: str) -> Value:
    if part != "all" and not clips[0].names:
        return undefined(name, part, "no_truth")
    arrays = [
        np.concatenate([clip.part(getattr(clip, f"motion_{source}"), part) for clip in clips])
        for source in ("generated", "true", "user")
    ]
    try:
        return Value(name, part, function(*arrays))
    except Undefined as failure:
        return undefined(name, part, failure.status)
