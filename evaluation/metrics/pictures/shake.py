"""Shake: how much the picture trembles from frame to frame, to be compared with the truth's own value."""

from collections.abc import Iterator

import numpy as np

from evaluation.cards import MetricCard, Value, truth_part
from evaluation.metrics._series import require_frames

CARDS = (
    MetricCard(
        name="shake",
        label="Shake",
        unit="grey levels",
        direction="truth",
        range=(0.0, 510.0),
        per="clip",
        parts=("picture",),
        definition="How much each frame differs from the middle of its two neighbours, which an even motion meets: a "
        "head that trembles by half a pixel has several times the truth's value, a still face has none. Variances "
        "reward trembling, single pictures and correlations do not see it, a viewer does.",
        equation=r"\frac{1}{T-2}\sum_t\operatorname{mean}\left|\hat f_{t+1}-2\hat f_t+\hat f_{t-1}\right|",
        protocol="mean absolute second difference in time of RGB frames, 0-255, over pixels, channels and frames",
        source="ours",
        disagreements=(
            "VBench's motion smoothness asks how well a network that interpolates frames foretells every other one, "
            "and takes higher for better: a picture that stands still is its best.",
        ),
        separates=(("ground_truth", "vae_round_trip"), ("ground_truth", "frozen_reference")),
        separates_parts=("picture",),
        blind=(("ground_truth", "time_shifted_audio"),),
        unordered="an autoencoder that trembles by more than the truth moves is farther from it than a still face: "
        "that is what it is there to tell",
    ),
)


def shake(frames: np.ndarray) -> float:
    """Mean absolute second difference in time of uint8 (T, H, W, 3), in grey levels.

    Undefined: `too_few_frames` for fewer than three.
    """
    require_frames(len(frames), 3)
    before, found = np.subtract(frames[1], frames[0], dtype=np.int16), 0.0
    for t in range(1, len(frames) - 1):
        after = np.subtract(frames[t + 1], frames[t], dtype=np.int16)  # uint8 would wrap
        found += np.abs(after - before).mean()
        before = after
    return float(found / (len(frames) - 2))


def clip_values(clip, tools) -> Iterator[Value]:
    yield Value("shake", "picture", shake(clip.generated))
    yield Value("shake", truth_part("picture"), shake(clip.true))
