"""FID on the small image probe's features; not comparable with Inception FID, hence the suffix."""

from collections.abc import Iterator

import numpy as np

from evaluation.cards import MetricCard, Value
from evaluation.metrics._series import frechet, require_frames

CARDS = (
    MetricCard(
        name="fid_small",
        label="FID (small probe)",
        unit="feature²",
        direction="lower",
        range=(0.0, float("inf")),
        per="set",
        parts=("frame",),
        protocol="64-d features of the image probe, every frame of every test clip pooled, covariance with N - 1; "
        "the frame count is in the provenance",
        source="Heusel et al. 2017; mseitzer/pytorch-fid; our own features",
        separates=(("ground_truth", "vae_round_trip"), ("vae_round_trip", "frozen_reference")),
        separates_parts=("frame",),
    ),
)


def fid(generated: np.ndarray, true: np.ndarray) -> float:
    """Frechet distance of features (N, D) and (M, D). Undefined: fewer than D + 1 frames."""
    require_frames(min(len(generated), len(true)), true.shape[1] + 1)
    return frechet(generated, true)


def set_values(clips, tools) -> Iterator[Value]:
    features = [np.concatenate([getattr(clip, key) for clip in clips]) for key in ("image_generated", "image_true")]
    yield Value("fid_small", "frame", fid(*features))
