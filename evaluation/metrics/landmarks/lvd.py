"""Landmark velocity difference: whether mouth and face move from frame to frame as the true ones do."""

from collections.abc import Iterator

import numpy as np

from evaluation.cards import MetricCard, Value, undefined
from evaluation.metrics._points import LEAST_SHARE, MOUTH, crop_scale, ibug
from evaluation.metrics._series import Undefined, require_frames


def lvd(generated: np.ndarray, true: np.ndarray) -> float:
    """Points (T, V, 2): distances of frame-to-frame differences, summed over points, mean over the T - 1 steps.

    Only steps whose two frames show both faces count. Undefined: `length_mismatch`, `too_few_frames`, `no_face`.
    """
    if generated.shape != true.shape:
        raise Undefined("length_mismatch")
    require_frames(len(true), 2)
    steps = np.diff(np.asarray(generated, np.float64), axis=0) - np.diff(np.asarray(true, np.float64), axis=0)
    found = np.isfinite(steps).all((1, 2))
    if not found.any() or found.mean() < LEAST_SHARE:
        raise Undefined("no_face")
    return float(np.linalg.norm(steps[found], axis=-1).sum(1).mean())


CARDS = (
    MetricCard(
        name="lvd",
        label="LVD",
        unit="pixel of 256 per frame",
        direction="lower",
        range=(0.0, float("inf")),
        per="clip",
        parts=("mouth", "face"),
        definition="Distance of the generated and the true landmarks' velocities, summed over the mouth's 20 points or "
        "all 68.",
        equation=r"\frac1{T-1}\sum_{t>1}\sum_i\left\|(\hat p_{ti}-\hat p_{t-1,i})-(p_{ti}-p_{t-1,i})\right\|",
        protocol="68 iBUG points among the mesh reader's 468; pixels of a square of 256; steps whose two frames show "
        "both faces, at least 90 % of them; at 25 fps",
        source="EAT code/test_lmd.py (evaluation_eat e39b004)",
        disagreements=(
            "EAT divides by the number of frames, not of steps, and adds the mouth's sum where the face's belongs: its "
            "face value is about the mouth twice.",
            "Noise of the landmarks counts like motion: a still face can come out ahead of a moving one.",
        ),
        unordered="velocities of a face through an autoencoder carry its jitter, so a still face can come out before "
        "it",
        separates=(("ground_truth", "vae_round_trip"),),
        separates_parts=("mouth", "face"),
    ),
)


def clip_values(clip, tools) -> Iterator[Value]:
    generated, true = (ibug(clip, side, crop_scale(clip)) for side in ("generated", "true"))
    for part, points in (("mouth", MOUTH), ("face", slice(None))):
        try:
            yield Value("lvd", part, lvd(generated[:, points], true[:, points]))
        except Undefined as failure:
            yield undefined("lvd", part, failure.status)
