"""Variance of motion: how much the avatar moves, to be compared with the truth's own value."""

from collections.abc import Iterator

import numpy as np

from evaluation.cards import MetricCard, Value, truth_part
from evaluation.clips import MOTION_PARTS
from evaluation.metrics._parts import part_value, sums_value
from evaluation.metrics._series import require_finite, require_frames
from evaluation.metrics._sums import Products, flat

_COMMON = {
    "unit": "coefficient²",
    "direction": "truth",
    "range": (0.0, float("inf")),
    "parts": MOTION_PARTS,
    "disagreements": (
        "Three quantities go by this name: the variance over time averaged over dimensions (Avatar Forcing, ECHO, "
        "lm-listener; var), the variance of everything flattened, which adds the spread between dimensions and "
        "between clips (DIM's print_metrics; var_flat), and the sum instead of the mean over dimensions (DIM's "
        "calculate_variance), which is D times the first.",
        "Many tables mark it 'higher is better'; jitter is rewarded by that.",
    ),
    "separates_parts": ("expression", "pose"),
    "blind": (("ground_truth", "time_shifted_audio"), ("vae_round_trip", "shuffled_partner")),
}
CARDS = (
    MetricCard(
        name="var",
        label="Var",
        per="clip",
        definition="Variance of each coefficient over the clip's frames, mean over coefficients. Nearer to the "
        "truth's own value is better: a still face has none, a trembling one too much.",
        equation=r"\frac1D\sum_d\frac1T\sum_t\left(\hat y_{t,d}-\bar{\hat y}_d\right)^2",
        protocol="motion probe; population variance over time, mean over dimensions, per clip",
        source="Avatar Forcing, ECHO; DIM's code flattens frames and dimensions instead",
        separates=(
            ("ground_truth", "vae_round_trip"),
            ("vae_round_trip", "frozen_reference"),
            ("ground_truth", "frozen_reference"),
        ),
        from_readings=True,
        **_COMMON,
    ),
    MetricCard(
        name="var_flat",
        label="Var (flattened)",
        per="set",
        definition="Variance of all coefficients of all frames of all clips, as if they were one series. The spread "
        "between coefficients' means counts, and it is there in a still face too.",
        equation=r"\operatorname{var}\left(\operatorname{vec}\hat y^{1..N}\right)",
        protocol="motion probe; population variance of the flattened frames and dimensions of all clips",
        source="as in DIM's released evaluation",
        separates=(("ground_truth", "vae_round_trip"), ("vae_round_trip", "frozen_reference")),
        **_COMMON,
    ),
)


def temporal_variance(series: np.ndarray) -> float:
    """Variance over time of (T, D), mean over dimensions. Undefined: fewer than 2 frames, or NaN."""
    require_frames(len(series), 2)
    require_finite(series)
    return float(np.asarray(series, np.float64).var(axis=0).mean())


def flat_variance(series: np.ndarray) -> float:
    """Variance of all values of (N, D). Undefined: fewer than 2 frames, or NaN."""
    require_frames(len(series), 2)
    require_finite(series)
    return float(np.asarray(series, np.float64).var())


def clip_values(clip, tools) -> Iterator[Value]:
    for part in MOTION_PARTS:
        for source, label in (("generated", part), ("true", truth_part(part))):
            yield part_value("var", part, temporal_variance, [clip], source, label=label)


def set_values(clips, tools) -> Iterator[Value]:
    for part in MOTION_PARTS:
        for source, label in (("generated", part), ("true", truth_part(part))):
            yield sums_value("var_flat", part, _flat, clips, source, each=flat, least=2, label=label)


def _flat(sums: Products) -> float:
    return float(sums.products[0, 0, 0] / sums.count)
