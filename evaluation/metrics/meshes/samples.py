"""Of several samples for one clip: the error of their mean, of the best one, and how much they differ."""

from collections.abc import Sequence

import numpy as np

from dyads.seeding import rng
from evaluation.metrics._points import both, distances
from evaluation.metrics._series import Undefined
from evaluation.metrics.meshes.lve import lve


def mee(samples: Sequence[np.ndarray], true: np.ndarray) -> float:
    """Mean estimate error (ProbTalk3D): `lve` of the mean of the samples, each (T, V, 3)."""
    if not samples:
        raise Undefined("missing_video")
    if any(np.shape(sample) != np.shape(true) for sample in samples):
        raise Undefined("length_mismatch")
    return lve(np.mean(samples, axis=0), true)


def coverage_error(samples: Sequence[np.ndarray], true: np.ndarray) -> float:
    """CE (ProbTalk3D): the least `lve` among the samples."""
    if not samples:
        raise Undefined("missing_video")
    return min(lve(sample, true) for sample in samples)


def diversity(samples: Sequence[np.ndarray], pairs: int = 5, seed: int = 0) -> float:
    """Mean distance within `pairs` disjoint random pairs of samples (T, V, 3), seeded (ProbTalk3D's are not).

    Undefined `too_few_clips`: fewer samples than two for each pair.
    """
    if len(samples) < 2 * pairs:
        raise Undefined("too_few_clips")
    order = rng(seed, "evaluation.diversity").permutation(len(samples))
    chosen = [(samples[order[2 * k]], samples[order[2 * k + 1]]) for k in range(pairs)]
    return float(np.mean([distances(*both(a, b)).mean() for a, b in chosen]))


def diversity_of_all(samples: Sequence[np.ndarray]) -> float:
    """FaceDiffuser's form: mean distance of all pairs of samples (T, V, 3). Undefined `too_few_clips` below two."""
    if len(samples) < 2:
        raise Undefined("too_few_clips")
    pairs = [(a, b) for k, a in enumerate(samples) for b in samples[k + 1 :]]
    return float(np.mean([distances(*both(a, b)).mean() for a, b in pairs]))
