"""Blinks: how often the eyes close, and for how long, by the eye aspect ratio."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from evaluation.cards import MetricCard, Value, truth_part, undefined
from evaluation.metrics._points import ibug, one
from evaluation.metrics._series import Undefined, require_frames

FPS = 25
LEFT, RIGHT = slice(36, 42), slice(42, 48)  # of the 68 iBUG points
CLOSED = 0.2  # EAR below which an eye counts as closed (Soukupova & Cech 2016); others take up to 0.33
SHORTEST, LONGEST = 2, 25  # frames: one is noise of a landmark, more than a second is no blink
MINIMUM_FRAMES = 125  # five seconds: at 15 blinks a minute, about one


class Blinks(NamedTuple):
    """`rate` in blinks a minute, `duration` in seconds (NaN without a blink)."""

    rate: float
    duration: float


def eye_aspect_ratio(eye: np.ndarray) -> np.ndarray:
    """(T,) of the six points p1..p6 of an eye (T, 6, 2): (|p2 - p6| + |p3 - p5|) / (2 |p1 - p4|)."""
    eye = np.asarray(eye, np.float64)
    heights = np.linalg.norm(eye[:, 1] - eye[:, 5], axis=-1) + np.linalg.norm(eye[:, 2] - eye[:, 4], axis=-1)
    width = np.linalg.norm(eye[:, 0] - eye[:, 3], axis=-1)
    return np.divide(heights, 2 * width, out=np.full(len(eye), np.nan), where=width > 0)


def closures(ratio: np.ndarray, threshold: float = CLOSED) -> list[int]:
    """Lengths in frames of the runs of (T,) below `threshold` that may be blinks; a run at either end is cut off."""
    closed = np.concatenate([[0], (ratio < threshold).astype(np.int8), [0]])
    starts, ends = np.flatnonzero(np.diff(closed) == 1), np.flatnonzero(np.diff(closed) == -1)
    whole = [(a, b) for a, b in zip(starts, ends, strict=True) if a > 0 and b < len(ratio)]
    return [int(b - a) for a, b in whole if SHORTEST <= b - a <= LONGEST]


def blinks(points: np.ndarray, threshold: float = CLOSED, fps: float = FPS) -> Blinks:
    """Blinks in 68 points (T, 68, 2) at `fps`, by the mean ratio of both eyes over the frames with a face.

    Undefined: `too_few_frames` below five seconds, `no_face` where a tenth of the frames shows none.
    """
    require_frames(len(points), MINIMUM_FRAMES)
    seen = one(points)
    ratio = (eye_aspect_ratio(points[:, LEFT]) + eye_aspect_ratio(points[:, RIGHT])) / 2
    found = closures(np.where(seen, ratio, np.inf), threshold)
    return Blinks(60 * fps * len(found) / int(seen.sum()), float(np.mean(found)) / fps if found else float("nan"))


_PROTOCOL = (
    f"eye aspect ratio of both eyes' six iBUG points among the mesh reader's 468, mean of both; closed below {CLOSED}; "
    f"a blink lasts {SHORTEST} to {LONGEST} frames at 25 fps; at least {MINIMUM_FRAMES} frames, nine in ten with a face"
)
_DISAGREEMENTS = (
    "SadTalker and FACIAL published no code; thresholds between 0.2 and 0.33 are in use, and the rate depends on them.",
    "The points of another landmark network give another ratio for the same eye.",
)


def _card(name: str, label: str, unit: str, high: float, definition: str, equation: str, why: str) -> MetricCard:
    return MetricCard(
        name=name,
        label=label,
        unit=unit,
        direction="truth",
        range=(0.0, high),
        per="clip",
        parts=("eyes",),
        definition=definition,
        equation=equation,
        protocol=_PROTOCOL,
        source="Soukupova & Cech 2016 for the ratio; SadTalker and FACIAL report rates without code",
        disagreements=_DISAGREEMENTS,
        unordered=why,
    )


CARDS = (
    _card(
        "blink_rate",
        "Blinks",
        "blink/min",
        750.0,
        "Closures of the eyes a minute.",
        r"60\,\frac{\text{fps}}{T}\,\#\{\text{runs of }\mathrm{EAR}_t<0.2\}",
        "a few blinks a clip are too few to order controls: on ten seconds one blink is 6 a minute",
    ),
    _card(
        "blink_duration",
        "Blink length",
        "s",
        1.0,
        "Mean length of these closures.",
        r"\frac1{\text{fps}}\,\overline{|\text{run}|}",
        "defined only for clips with a blink, so the clips differ between methods",
    ),
)


def clip_values(clip, tools) -> Iterator[Value]:
    for side, name in (("generated", str), ("true", truth_part)):
        label = name("eyes")
        try:
            found = blinks(ibug(clip, side))
        except Undefined as failure:
            yield undefined("blink_rate", label, failure.status)
            yield undefined("blink_duration", label, failure.status)
        else:
            yield Value("blink_rate", label, found.rate)
            if np.isfinite(found.duration):
                yield Value("blink_duration", label, found.duration)
            else:
                yield undefined("blink_duration", label, "no_blink")
