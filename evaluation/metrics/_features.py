"""Features that networks and small probes read in both videos: where a metric finds them, and what it makes of them."""

from collections.abc import Collection, Iterator
from functools import partial

import numpy as np

from evaluation.cards import Value
from evaluation.clips import Clip
from evaluation.metrics._estimate import estimate, no_estimate
from evaluation.metrics._series import Undefined, require_frames
from evaluation.metrics._sums import ByClip


def features(clip: Clip, reader: str, side: str) -> np.ndarray:
    """What a reader (a slot of `weights`, or a probe) found in the `generated` or `true` video (N, D), or in the
    `reference` (D,), as float64. Undefined `weights_missing`: nobody read this clip with it."""
    found = clip.features.get(f"{reader}_{side}")
    if found is None:
        raise Undefined("weights_missing")
    return np.asarray(found, np.float64)


def feature_frechet(metric: str, part: str, reader: str, clips: Collection[Clip], minimum: int) -> Iterator[Value]:
    """The rows of `_estimate.estimate` for what a reader found; below `minimum` samples there is no distance."""
    sides = [ByClip(clips, partial(features, reader=reader, side=side)) for side in ("generated", "true")]
    try:
        yield from estimate(metric, part, *sides, lambda dimensions: minimum)
    except Undefined as failure:
        yield from no_estimate(metric, part, failure.status)


def cosines(features: np.ndarray, others: np.ndarray) -> float:
    """Mean cosine of features (N, D) with others (N, D) or (D,). Undefined: no sample, one of length zero, or other
    samples than there are features."""
    features, others = np.asarray(features, np.float64), np.asarray(others, np.float64)
    if others.ndim == 2 and len(others) != len(features):
        raise Undefined("length_mismatch")
    require_frames(len(features), 1)
    lengths = np.linalg.norm(features, axis=-1) * np.linalg.norm(others, axis=-1)
    if not (np.isfinite(lengths).all() and lengths.all()):
        raise Undefined("not_finite")
    return float(((features * others).sum(-1) / lengths).mean())
