"""Motion of one part of the face, of one clip or of all, and the value that a function finds in it."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from evaluation.cards import Value, undefined
from evaluation.clips import Clip
from evaluation.metrics._estimate import estimate, no_estimate
from evaluation.metrics._series import Undefined


def motion(clips: Iterable[Clip], part: str, *sources: str, centred: bool = False) -> list[np.ndarray]:
    """For each source (`generated`, `true`, `user`) the part's coefficients in all clips, (N, D).

    `centred` subtracts each clip's mean over time. Undefined `no_truth`: the probe's coefficients have no names.
    """
    found = []
    for source in sources:
        series = [clip.part(getattr(clip, f"motion_{source}"), part) for clip in clips]
        if any(item is None for item in series):
            raise Undefined("no_truth")
        found.append(np.concatenate([item - item.mean(0) for item in series] if centred else series))
    return found


def part_value(
    metric: str,
    part: str,
    function: Callable[..., float],
    clips: Iterable[Clip],
    *sources: str,
    centred: bool = False,
    label: str | None = None,
) -> Value:
    """What `function` makes of `motion(clips, part, *sources)`, under the part's name or `label`; NaN with a status
    where it makes nothing of it."""
    try:
        return Value(metric, label or part, function(*motion(clips, part, *sources, centred=centred)))
    except Undefined as failure:
        return undefined(metric, label or part, failure.status)


def part_estimate(
    metric: str, part: str, distance: Callable[[np.ndarray, np.ndarray], float], clips: Iterable[Clip], *beside: str
) -> Iterator[Value]:
    """The rows of `_estimate.estimate` for generated against true motion, each beside the motion of `beside`."""
    try:
        sides = [
            [np.concatenate(motion([clip], part, *beside, side), axis=1) for clip in clips]
            for side in ("generated", "true")
        ]
    except Undefined as failure:
        yield from no_estimate(metric, part, failure.status)
    else:
        yield from estimate(metric, part, *sides, distance)
