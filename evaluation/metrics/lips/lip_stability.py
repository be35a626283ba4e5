"""Lip stability in silence: how much the mouth moves while the avatar does not speak."""

from collections.abc import Iterator

import numpy as np

from evaluation.cards import MetricCard, Value, truth_part, undefined
from evaluation.clips import Clip
from evaluation.metrics._series import Undefined, require_frames

RUN = 8  # frames of 40 ms: silences below 300 ms are pauses within speech
MINIMUM_FRAMES = 25

CARDS = (
    MetricCard(
        name="lip_stability",
        label="Lip movement in silence",
        unit="coefficient",
        direction="truth",
        range=(0.0, float("inf")),
        per="clip",
        parts=("opening", "lips"),
        definition="How far the mouth strays from its mean while the avatar is silent: of its opening, and of all lip "
        "coefficients. A listener's mouth smiles and answers without a sound, so the truth's own value is the aim; a "
        "trembling one is above it, a still one below.",
        equation=r"\operatorname{median}_{t\in S}\left|l(\hat y_t)-\frac1{|S|}\sum_{s\in S}l(\hat y_s)\right|,"
        r"\;S\text{: silences of at least 0.3 s}",
        protocol="motion probe's jaw_open (opening), and the mean over the lip coefficients of the same (lips); over "
        "frames in silences of at least 8 frames, at least 25 of them; median of the absolute distances from the mean",
        source="after THEval's silent lip stability (Newbyl/THEval), which takes the mean lip distance of MediaPipe "
        "points over the distance of the eyes",
        disagreements=(
            "THEval calls the smaller value better, so a still mouth wins; its values, in eye distances of pictures "
            "squeezed to 256 x 256, are not comparable with coefficients.",
        ),
        separates=(("ground_truth", "frozen_reference"),),
        separates_parts=("opening",),
        unordered="the VAE's round trip trembles in every frame, and how much another listener's mouth moves in these "
        "silences depends on whether he speaks in them",
        from_readings=True,
    ),
)


def silences(speaking: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
    """bool (T,): frames in runs of at least `RUN` silent ones; frames not seen do not count, but end no run."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], (~speaking).astype(np.int8), [0]])))
    found = np.zeros(len(speaking), bool)
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        found[start:stop] = stop - start >= RUN
    return found if valid is None else found & valid


def lip_stability(series: np.ndarray) -> float:
    """Median absolute distance from the mean of (N, D), mean over D. Undefined: fewer than 25 frames, or not finite."""
    require_frames(len(series), MINIMUM_FRAMES)
    series = np.asarray(series, np.float64)
    if not np.isfinite(series).all():
        raise Undefined("not_finite")
    return float(np.median(np.abs(series - series.mean(0)), axis=0).mean())


def clip_values(clip: Clip, tools) -> Iterator[Value]:
    clip.counted(speaking=False)  # somebody must know when it is silent
    counted = silences(clip.speaking, clip.valid)
    for side, label in (("generated", str), ("true", truth_part)):
        motion = getattr(clip, f"motion_{side}")
        for part in ("opening", "lips"):
            try:
                yield Value("lip_stability", label(part), lip_stability(_lips(clip, motion, part)[counted]))
            except Undefined as failure:
                yield undefined("lip_stability", label(part), failure.status)


def _lips(clip: Clip, motion: np.ndarray, part: str) -> np.ndarray:
    if part == "opening":
        found = motion[:, [clip.names.index("jaw_open")]] if "jaw_open" in clip.names else None
    else:
        found = clip.part(motion, "lips")
    if found is None:
        raise Undefined("no_truth" if clip.groups is None else "no_such_part")
    return found
