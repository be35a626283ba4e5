"""Motion of one part of the face, of one clip or of all, and the value that a function finds in it."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

import numpy as np

from dyads.errors import DataError
from evaluation.cards import Value, undefined
from evaluation.clips import Clip
from evaluation.frechet import Moments, moments
from evaluation.metrics._estimate import estimate, no_estimate
from evaluation.metrics._series import Undefined, require_frames
from evaluation.metrics._sums import ByClip, PairSums, Products, pair_sums


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
            raise _no_part(clips)
        series = [item if clip.valid is None else item[clip.valid] for item, clip in zip(series, clips, strict=True)]
        series = [item - item.mean(0) for item in series] if centred else series
        found.append(series[0] if len(series) == 1 else np.concatenate(series))
    return found


def _no_part(clips: Sequence[Clip]) -> Undefined:
    return Undefined("no_truth" if all(clip.groups is None for clip in clips) else "no_such_part")


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


def sums_value(
    metric: str,
    part: str,
    function: Callable[[Products], float],
    clips: Iterable[Clip],
    *sources: str,
    each: Callable[[np.ndarray], np.ndarray],
    least: int,
    label: str | None = None,
) -> Value:
    """As `part_value`, of the sums over `each(motion)` clip by clip; undefined below `least` frames and with NaN."""
    sums, frames = Products(), 0
    try:
        for clip in clips:
            series = motion([clip], part, *sources)
            frames += len(series[0])
            sums.add(*map(each, series))
        require_frames(frames, least)
        if not sums.finite:
            raise Undefined("not_finite")
        return Value(metric, label or part, function(sums))
    except Undefined as failure:
        return undefined(metric, label or part, failure.status)


def part_moments(clip: Clip, part: str, *sources: str) -> Moments:
    """Moments of `motion([clip], part, ...)` of sources side by side, found once. Undefined: as `motion`; NaN."""

    def find() -> Moments:
        try:
            return moments(np.concatenate(motion([clip], part, *sources), axis=1))
        except DataError as error:  # shapes are right already
            raise Undefined("not_finite") from error

    key = (part, *sources)
    if key not in clip.moments:
        shared = "generated" not in sources
        clip.moments[key] = clip.alike(f"moments {key}", find) if shared else find()
    return clip.moments[key]


def part_sums(clip: Clip, part: str) -> PairSums:
    """Of `motion([clip], part, "generated", "true", "user")`, from sums over all channels, which are found once.

    Undefined: as `motion`.
    """
    places = clip.part(np.arange(clip.motion_true.shape[1])[None], part)
    if places is None:
        raise _no_part([clip])
    if clip.sums is None:
        series = (clip.motion_generated, clip.motion_true, clip.motion_user)
        clip.sums = pair_sums(*(item if clip.valid is None else item[clip.valid] for item in series), clip.alike)
    return clip.sums.of(places[0])


def part_estimate(
    metric: str, part: str, least: Callable[[int], int], clips: Collection[Clip], *beside: str
) -> Iterator[Value]:
    """The rows of `_estimate.estimate` for generated against true motion, each beside the motion of `beside`."""

    def side(source: str) -> ByClip:
        return ByClip(
            clips,
            lambda clip: np.concatenate(motion([clip], part, *beside, source), axis=1),
            lambda clip: part_moments(clip, part, *beside, source),
        )

    try:
        yield from estimate(metric, part, side("generated"), side("true"), least)
    except Undefined as failure:
        yield from no_estimate(metric, part, failure.status)


def part_distance(
    metric: str, part: str, function: Callable[[Moments, Moments], float], clip: Clip, *beside: str
) -> Value:
    """What `function` makes of the moments of one clip's generated and true motion, each beside that of `beside`; NaN
    with a status where it makes nothing of them."""
    try:
        sides = (part_moments(clip, part, *beside, source) for source in ("generated", "true"))
        return Value(metric, part, function(*sides))
    except Undefined as failure:
        return undefined(metric, part, failure.status)
