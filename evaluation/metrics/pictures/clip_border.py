"""Jumps where clips meet: change of the picture across a border, over change inside clips, against the truth's."""

from collections.abc import Iterator

import numpy as np

from evaluation.cards import MetricCard, Value
from evaluation.metrics._series import Undefined, require_alike, require_frames

CLIP = 24  # frames from border to border, where nothing beside the video says otherwise
LEAST = 2  # borders
STILL = 0.1  # grey levels: a picture that changes by less stands still

CARDS = (
    MetricCard(
        name="clip_border",
        label="Border jump",
        unit="ratio",
        direction="lower",
        range=(0.0, float("inf")),
        per="clip",
        parts=("picture",),
        definition="How much more the picture changes where two generated clips meet than within them, over the same "
        "of the true video, whose change there is chance: 1 is a border that nobody can find. Single pictures and "
        "correlations do not see such jumps, a viewer does.",
        equation=r"\frac{\overline{\delta(\hat f)}_{t\in B}\,/\,\overline{\delta(\hat f)}_{t\notin B}}"
        r"{\overline{\delta(f)}_{t\in B}\,/\,\overline{\delta(f)}_{t\notin B}},\quad"
        r"\delta(f)_t=\sqrt{\operatorname{mean}(f_t-f_{t-1})^2}",
        protocol="root mean square difference of neighbouring RGB frames, 0-255; B: the first frame of each clip but "
        f"the first, every n frames, n as generate.jsonl beside the video tells, {CLIP} (ECHO's T_cur) where it tells "
        f"none; means over the frames of a dialogue; at least {LEAST} borders; constant_series where a picture changes "
        f"by less than {STILL} grey levels inside clips, or the true one not at all across borders",
        source="ours",
        disagreements=(
            "Temporal consistency in VBench and others is a mean over all neighbouring frames, of which one in "
            f"{CLIP} is a border: a jump there hardly shows.",
            "Below 1 is no gain: it says that the motion slows down at the border.",
        ),
        separates=(("ground_truth", "hard_cuts"),),
        separates_parts=("picture",),
        unordered="it asks how evenly a picture changes, not whether the change is right: an autoencoder changes truth "
        "evenly, and a still face has no change to compare (no value)",
    ),
)


def change(frames: np.ndarray) -> np.ndarray:
    """Root mean square difference of each frame from the one before, (T - 1,), in grey levels; uint8 (T, H, W, 3)."""
    found = np.empty(max(len(frames) - 1, 0))
    for t in range(len(found)):
        lines = np.subtract(frames[t + 1], frames[t], dtype=np.float32).ravel()  # uint8 would wrap
        found[t] = np.sqrt(np.dot(lines, lines) / lines.size)
    return found


def border_ratio(frames: np.ndarray, clip: int = CLIP) -> float:
    """Mean change across borders over mean change inside clips of `clip` frames.

    Undefined: `too_few_frames` for fewer than `LEAST` borders, `constant_series` for a still picture.
    """
    require_frames((len(frames) - 1) // clip, LEAST)
    found = change(frames)
    across = np.arange(1, len(frames)) % clip == 0
    inside = found[~across].mean()
    if inside < STILL:
        raise Undefined("constant_series")
    return float(found[across].mean() / inside)


def clip_border(generated: np.ndarray, true: np.ndarray, clip: int = CLIP) -> float:
    """`border_ratio` of the generated video over that of the true one; 1 for the truth itself. Undefined as there, and
    where the true picture stands still at every border."""
    require_alike(generated, true)
    due = border_ratio(true, clip)
    if not due:  # recorded frames that repeat at every border
        raise Undefined("constant_series")
    return border_ratio(generated, clip) / due


def clip_values(clip, tools) -> Iterator[Value]:
    yield Value("clip_border", "picture", clip_border(clip.generated, clip.true, clip.border or CLIP))
