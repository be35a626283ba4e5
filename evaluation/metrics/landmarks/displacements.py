"""Mean absolute differences of landmark coordinates: ViCo's LipLMD and FOMM's AKD."""

from collections.abc import Iterator

import numpy as np

from evaluation.cards import MetricCard, Value, undefined
from evaluation.metrics._points import MOUTH, both, crop_scale, ibug
from evaluation.metrics._series import Undefined


def lip_lmd(generated: np.ndarray, true: np.ndarray) -> float:
    """ViCo's form of 68 points (T, 68, 2): mean absolute difference of the mouth's 40 coordinates."""
    generated, true = both(generated, true)
    return float(np.abs(generated[:, MOUTH] - true[:, MOUTH]).mean())


def akd(generated: np.ndarray, true: np.ndarray) -> float:
    """FOMM's form of 68 points (T, 68, 2): mean absolute difference of all 136 coordinates."""
    return float(np.abs(np.subtract(*both(generated, true))).mean())


def _card(name: str, label: str, part: str, definition: str, count: str, source: str, said: str) -> MetricCard:
    return MetricCard(
        name=name,
        label=label,
        unit="pixel of 256",
        direction="lower",
        range=(0.0, float("inf")),
        per="clip",
        parts=(part,),
        definition=definition,
        equation=rf"\frac1{{{count}T}}\sum_t\sum_i\left(|\hat x_{{ti}}-x_{{ti}}|+|\hat y_{{ti}}-y_{{ti}}|\right)",
        protocol="68 iBUG points among the mesh reader's 468, where they lie in the picture; pixels of a square of "
        "256; "
        "frames in which both faces were found, at least 90 % of the clip; paired by time at 25 fps",
        source=source,
        disagreements=(said, "Both count native pixels of another landmark network; ours are pixels of 256."),
        separates=(("ground_truth", "vae_round_trip"), ("vae_round_trip", "shuffled_partner")),
        separates_parts=(part,),
    )


CARDS = (
    _card(
        "lip_lmd",
        "LipLMD",
        "mouth",
        "Mean absolute difference of the 40 coordinates of the mouth's landmarks: shape, place and head motion "
        "together.",
        "40",
        "ViCo challenge baseline evaluations/compute_lmd.py (16424c0)",
        "The 2023 challenge took 3DDFA_V2's landmarks; a clip without a face, or of another length, stops its script.",
    ),
    _card(
        "akd",
        "AKD",
        "face",
        "Mean absolute difference of the coordinates of all 68 landmarks.",
        "136",
        "FOMM's pose-evaluation cmp_kp.py (1bc4cae)",
        "Papers write a mean of distances; the code takes the mean of coordinates. A frame in which only the generated "
        "video lacks a face is left out, one in which the true one does is a crash.",
    ),
)


def clip_values(clip, tools) -> Iterator[Value]:
    points = [ibug(clip, side, crop_scale(clip)) for side in ("generated", "true")]
    for card, function in zip(CARDS, (lip_lmd, akd), strict=True):
        try:
            yield Value(card.name, card.parts[0], function(*points))
        except Undefined as failure:
            yield undefined(card.name, card.parts[0], failure.status)
