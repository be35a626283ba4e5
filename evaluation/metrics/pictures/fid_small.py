"""FID on the small image probe's features; not comparable with Inception FID, hence the suffix."""

from collections.abc import Iterator
from operator import attrgetter

import numpy as np

from evaluation.cards import MetricCard, Value
from evaluation.metrics._estimate import PROTOCOL, estimate, more_than_dimensions
from evaluation.metrics._series import frechet, require_frames
from evaluation.metrics._sums import ByClip

CARDS = (
    MetricCard(
        name="fid_small",
        label="FID (small probe)",
        unit="feature²",
        direction="lower",
        range=(0.0, float("inf")),
        per="set",
        parts=("frame",),
        definition="Frechet distance of Gaussians fitted to the image features of generated and true frames: does the "
        "set of pictures look like the true set, no matter which picture when.",
        equation=r"\left\|\mu-\hat\mu\right\|^2+\operatorname{tr}\left(\Sigma+\hat\Sigma-2(\Sigma\hat\Sigma)^{1/2}\right)",
        protocol="64-d features of the image probe, every frame of every test clip pooled, covariance with N - 1; "
        + PROTOCOL,
        estimate=True,
        source="Heusel et al. 2017; mseitzer/pytorch-fid; our own features",
        disagreements=(
            "Features of a probe of this study: no value is comparable with an Inception FID.",
            "It cannot tell whose expression is right, only how expressions and pictures are spread: another "
            "dialogue's true frames come out before every generated one, and before the oracle's expression.",
            "Frames of one clip are alike, so the effective count is far below the frame count; the bias of a small "
            "count is large, and values of unequal counts must not be compared.",
        ),
        blind=(("ground_truth", "time_shifted_audio"), ("vae_round_trip", "shuffled_partner")),
        separates=(("ground_truth", "vae_round_trip"), ("vae_round_trip", "frozen_reference")),
        separates_parts=("frame",),
    ),
)


def fid(generated: np.ndarray, true: np.ndarray) -> float:
    """Frechet distance of features, two (N, D). Undefined: fewer than D + 1 frames, or unequal counts."""
    require_frames(min(len(generated), len(true)), more_than_dimensions(true.shape[1]))
    return frechet(generated, true)


def set_values(clips, tools) -> Iterator[Value]:
    sides = (ByClip(clips, attrgetter(key)) for key in ("image_generated", "image_true"))
    yield from estimate("fid_small", "frame", *sides, more_than_dimensions)
