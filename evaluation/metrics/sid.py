"""SID: Shannon entropy of generated motion over clusters of the true motion, a measure of diversity."""

from collections.abc import Iterator

import numpy as np

from evaluation.cards import MetricCard, Value, truth_part, undefined
from evaluation.metrics._series import Undefined, require_frames

CLUSTERS = {"expression": 15, "pose": 9, "all": 15}  # as the paper states; some code uses 40 and 20
_PROTOCOL = (
    "motion probe; k-means (scikit-learn, k-means++, random_state 0, n_init 'auto') fitted on the true frames of "
    f"all clips, k = {CLUSTERS['expression']} for expression and {CLUSTERS['pose']} for pose; entropy in bits of "
    "the histogram of assignments"
)
_SOURCE = "Learning2Listen; DIM's released evaluation; k as Avatar Forcing and ECHO state it"
_COMMON = {
    "direction": "truth",
    "per": "set",
    "parts": tuple(CLUSTERS),
    "source": _SOURCE,
    "separates": (("ground_truth", "frozen_reference"), ("vae_round_trip", "frozen_reference")),
    "separates_parts": ("expression", "pose"),
}
CARDS = (
    MetricCard(
        name="sid",
        label="SID",
        unit="bit",
        range=(0.0, float(np.log2(max(CLUSTERS.values())))),
        protocol=_PROTOCOL,
        **_COMMON,
    ),
    MetricCard(
        name="sid_normalised",
        label="SID / log2 k",
        unit="1",
        range=(0.0, 1.0),
        protocol=_PROTOCOL + ", divided by log2 k",
        **_COMMON,
    ),
)


def fit_clusters(true: np.ndarray, k: int):
    """k-means on true motion (N, D). Undefined: fewer than k different frames."""
    from sklearn.cluster import KMeans  # half a second of import, only where needed

    require_frames(len(np.unique(true, axis=0)), k)
    return KMeans(n_clusters=k, random_state=0, n_init="auto").fit(np.asarray(true, np.float64))


def entropy(labels: np.ndarray, k: int) -> float:
    """Shannon entropy in bits of labels 0..k-1: between 0 and log2 k."""
    shares = np.bincount(labels, minlength=k) / len(labels)
    shares = shares[shares > 0]
    return float(max(-(shares * np.log2(shares)).sum(), 0.0))


def sid(generated: np.ndarray, true: np.ndarray, k: int) -> tuple[float, float]:
    """SID of generated and of true motion, (N, D) and (M, D), in bits."""
    clusters = fit_clusters(true, k)
    return entropy(clusters.predict(np.asarray(generated, np.float64)), k), entropy(clusters.labels_, k)


def set_values(clips, tools) -> Iterator[Value]:
    for part, k in CLUSTERS.items():
        if part != "all" and not clips[0].names:
            for name in ("sid", "sid_normalised"):
                yield undefined(name, part, "no_truth")
                yield undefined(name, truth_part(part), "no_truth")
            continue
        generated = np.concatenate([clip.part(clip.motion_generated, part) for clip in clips])
        true = np.concatenate([clip.part(clip.motion_true, part) for clip in clips])
        try:
            values = sid(generated, true, k)
        except Undefined as failure:
            for name in ("sid", "sid_normalised"):
                yield undefined(name, part, failure.status)
                yield undefined(name, truth_part(part), failure.status)
            continue
        for value, label in zip(values, (part, truth_part(part)), strict=True):
            yield Value("sid", label, value)
            yield Value("sid_normalised", label, value / float(np.log2(k)))
