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
        protocol="motion probe; per clip and dimension |r(true, user) - r(generated, user)|, mean over the "
        "dimensions in which all three move; constant series are undefined, never 0",
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

    Undefined: fewer than 3 frames, or no dimension in which all three vary.
    """
    require_frames(len(true), 3)
    gaps = []
    for d in range(true.shape[1]):
        try:
            with_true = pearson(true[:, d], user[:, d], constant_sd=CONSTANT_SD)
            gaps.append(abs(with_true - pearson(generated[:, d], user[:, d], constant_sd=CONSTANT_SD)))
        except Undefined:
            continue
    if not gaps:
        raise Undefined("constant_series")
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
