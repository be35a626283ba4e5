"""Features that networks and small probes read in both videos: where a metric finds them, and what it makes of them."""

from collections.abc import Iterator

import numpy as np

from dyads.errors import DataError
from dyads.seeding import rng
from evaluation.cards import Value, undefined
from evaluation.clips import Clip
from evaluation.frechet import extrapolate
from evaluation.metrics._series import Undefined, frechet, require_frames


def features(clip: Clip, reader: str, side: str) -> np.ndarray:
    """What a reader (a slot of `weights`, or a probe) found in the `generated` or `true` video (N, D), or in the
    `reference` (D,), as float64. Undefined `weights_missing`: nobody read this clip with it."""
    found = clip.features.get(f"{reader}_{side}")
    if found is None:
        raise Undefined("weights_missing")
    return np.asarray(found, np.float64)


def feature_frechet(metric: str, part: str, reader: str, clips: list[Clip], minimum: int) -> Iterator[Value]:
    """The count under `<metric>_count`, the distance, and under `<metric>_infinity` its extrapolation.

    Both sides have equally many samples, since their videos are equally long. Below `minimum` the distance is
    undefined; the extrapolation draws whole clips and needs ten of them.
    """
    sides = [[features(clip, reader, side) for clip in clips] for side in ("generated", "true")]
    generated, true = (np.concatenate(side) for side in sides)
    yield Value(f"{metric}_count", part, float(len(generated)))
    require_frames(min(len(generated), len(true)), minimum)
    yield Value(metric, part, frechet(generated, true))
    owner = np.repeat(np.arange(len(clips)), [len(found) for found in sides[1]])
    try:
        found = extrapolate(generated, true, generator=rng(0, f"{metric}-extrapolation"), groups=owner, draws=2)
    except DataError:  # fewer than ten clips
        yield undefined(f"{metric}_infinity", part, "too_few_frames")
    else:
        yield Value(f"{metric}_infinity", part, found.extrapolation)


def cosines(features: np.ndarray, others: np.ndarray) -> float:
    """Mean cosine of features (N, D) with others (N, D) or (D,). Undefined: no sample, or one of length zero."""
    features, others = np.asarray(features, np.float64), np.asarray(others, np.float64)
    require_frames(len(features), 1)
    lengths = np.linalg.norm(features, axis=-1) * np.linalg.norm(others, axis=-1)
    if not (np.isfinite(lengths).all() and lengths.all()):
        raise Undefined("not_finite")
    return float(((features * others).sum(-1) / lengths).mean())
