"""Motion of one part of the face, of one clip or of all, and the value that a function finds in it."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from evaluation.cards import Value, undefined
from evaluation.clips import Clip
from evaluation.metrics._estimate import estimate, no_estimate
from evaluation.metrics._series import Undefined


def motion(clips: Sequence[Clip], part: str, *sources: str, centred: bool = False) -> list[np.ndarray]:
    """For each source (`generated`, `true`, `user`) the part's coefficients in all clips, (N, D).

    Frames that some side did not see are left out for all of them; what asks for the order of frames must ask
    `adjacent` too. `centred` subtracts each clip's mean over time. Undefined `no_truth`: the probe's coefficients have
    no names; `no_such_part`: given coefficients have no such group.
    """
    found = []
    for source in sources:
        series = [clip.part(getattr(clip, f"motion_{source}"), part) for clip in clips]
        if any(item is None for item in series):
            raise Undefined("no_truth" if all(clip.groups is None for clip in clips) else "no_such_part")
        series = [item if clip.valid is None else item[clip.valid] for item, clip in zip(series, clips, strict=True)]
        found.append(np.concatenate([item - item.mean(0) for item in series] if centred else series))
    return found


def adjacent(clips: Sequence[Clip]) -> np.ndarray:
    """Of the frames of `motion`, whether each follows the one before it in time, bool (N - 1,); clips follow clips."""
    times = [np.arange(clip.frames) if clip.valid is None else np.flatnonzero(clip.valid) for clip in clips]
    steps = [np.diff(time, prepend=time[:1] - 1) == 1 for time in times]
    return np.concatenate(steps)[1:]


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
