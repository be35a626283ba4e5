"""Landmark distances of mouth and face: the four forms in which public code computes "LMD"."""

from collections.abc import Callable, Iterator

import numpy as np

from evaluation.cards import MetricCard, Value, undefined
from evaluation.metrics._points import MOUTH, POINTS_PROTOCOL, both, centred, crop_scale, distances, ibug, interocular
from evaluation.metrics._series import Undefined


def m_lmd(generated: np.ndarray, true: np.ndarray) -> float:
    """EAT's and ER-NeRF's form of 68 points (T, 68, 2): mean distance of 20 mouth points, the mouth's mean removed."""
    generated, true = both(generated, true)
    return float(distances(centred(generated[:, MOUTH]), centred(true[:, MOUTH])).mean())


def f_lmd(generated: np.ndarray, true: np.ndarray) -> float:
    """EAT's form of 68 points (T, 68, 2): mean distance of all of them, their mean removed."""
    generated, true = both(generated, true)
    return float(distances(centred(generated), centred(true)).mean())


def lmd_sum(generated: np.ndarray, true: np.ndarray) -> float:
    """ATVGnet's form: the *sum* of the 20 mouth points' distances, mean over frames."""
    return 20.0 * m_lmd(generated, true)


def f_lmd_unaligned(generated: np.ndarray, true: np.ndarray) -> float:
    """talking-head-metrics' form: mean distance of all 68 points where they lie in the picture."""
    return float(distances(*both(generated, true)).mean())


def m_lmd_unaligned(generated: np.ndarray, true: np.ndarray) -> float:
    """talking-head-metrics' form: the 20 mouth points' distances, divided by 68."""
    generated, true = both(generated, true)
    return float(distances(generated[:, MOUTH], true[:, MOUTH]).sum(1).mean() / 68)


def normalised(function: Callable[[np.ndarray, np.ndarray], float], generated: np.ndarray, true: np.ndarray) -> float:
    """`function` divided by the true face's distance of outer eye corners: it does not change with the face's size."""
    return function(generated, true) / interocular(both(generated, true)[1])


FORMS = {
    "m_lmd": m_lmd,
    "f_lmd": f_lmd,
    "lmd_sum": lmd_sum,
    "f_lmd_unaligned": f_lmd_unaligned,
    "m_lmd_unaligned": m_lmd_unaligned,
}
_EQUATIONS = {
    "m_lmd": r"\frac1{20T}\sum_t\sum_{i\in\text{mouth}}\left\|(\hat p_{ti}-\bar{\hat p}_t)-(p_{ti}-\bar p_t)\right\|",
    "f_lmd": r"\frac1{68T}\sum_t\sum_{i=1}^{68}\left\|(\hat p_{ti}-\bar{\hat p}_t)-(p_{ti}-\bar p_t)\right\|",
    "lmd_sum": r"\frac1{T}\sum_t\sum_{i\in\text{mouth}}\left\|(\hat p_{ti}-\bar{\hat p}_t)-(p_{ti}-\bar p_t)\right\|",
    "f_lmd_unaligned": r"\frac1{68T}\sum_t\sum_{i=1}^{68}\left\|\hat p_{ti}-p_{ti}\right\|",
    "m_lmd_unaligned": r"\frac1{68T}\sum_t\sum_{i\in\text{mouth}}\left\|\hat p_{ti}-p_{ti}\right\|",
}
_ABOUT = {
    "m_lmd": (
        "M-LMD",
        "Mean distance of the 20 mouth landmarks after each mouth's own centre is removed.",
        "EAT code/test_lmd.py (evaluation_eat e39b004); ER-NeRF nerf_triplane/utils.py (0cf72d8) has the same sum",
    ),
    "f_lmd": (
        "F-LMD",
        "Mean distance of all 68 landmarks, mouth included, after each face's own centre is removed.",
        "EAT code/test_lmd.py (evaluation_eat e39b004)",
    ),
    "lmd_sum": (
        "LMD (sum)",
        "Sum of the 20 mouth landmarks' distances after each mouth's own centre is removed: 20 times M-LMD.",
        "ATVGnet code/evaluation_matrix.py (02d8f8f); its paper writes a mean",
    ),
    "f_lmd_unaligned": (
        "F-LMD (unaligned)",
        "Mean distance of all 68 landmarks where they lie in the picture, head motion and place included.",
        "talking-head-metrics metric.py (9cf8d6a)",
    ),
    "m_lmd_unaligned": (
        "M-LMD (unaligned, / 68)",
        "Sum of the 20 mouth landmarks' distances in the picture, divided by 68: 0.294 of their mean.",
        "talking-head-metrics metric.py (9cf8d6a)",
    ),
}
_DISAGREEMENTS = (
    "Public code agrees neither on the sum nor on what is removed: all points moved by (3, 4) give 0 (ATVGnet, EAT, "
    "ER-NeRF), 5 and 1.47 (talking-head-metrics), 3.5 (ViCo's LipLMD, FOMM's AKD).",
    "Landmarks of dlib are whole pixels, FAN's are not, and detectors choose different faces; frames without a face "
    "are "
    "left out (ATVGnet, EAT), repeated (talking-head-metrics) or counted as perfect (GAGAvatar #43).",
    "EAT stretches unequal lengths onto each other; ATVGnet pools frames of all clips.",
)


def _card(name: str, scaled: bool) -> MetricCard:
    label, definition, source = _ABOUT[name]
    extra = " Divided by the true face's distance of outer eye corners, so that it does not grow with the picture."
    return MetricCard(
        name=f"{name}_normalised" if scaled else name,
        label=f"{label} / eyes" if scaled else label,
        unit="distance of outer eye corners" if scaled else "pixel of 256",
        direction="lower",
        range=(0.0, float("inf")),
        per="clip",
        parts=("mouth" if name.startswith(("m_", "lmd")) else "face",),
        definition=definition + extra * scaled,
        equation=_EQUATIONS[name] + (r"\Big/\overline{\left\|p_{t,36}-p_{t,45}\right\|}" if scaled else ""),
        protocol=POINTS_PROTOCOL,
        source=source,
        disagreements=_DISAGREEMENTS,
        separates=(("ground_truth", "vae_round_trip"), ("vae_round_trip", "shuffled_partner")),
        separates_parts=("mouth" if name.startswith(("m_", "lmd")) else "face",),
    )


CARDS = tuple(_card(name, scaled) for name in FORMS for scaled in (False, True))


def clip_values(clip, tools) -> Iterator[Value]:
    scale = crop_scale(clip)
    generated, true = ibug(clip, "generated", scale), ibug(clip, "true", scale)
    for card in CARDS:
        scaled = card.name.endswith("_normalised")
        function = FORMS[card.name.removesuffix("_normalised")]
        try:
            value = normalised(function, generated, true) if scaled else function(generated, true)
        except Undefined as failure:
            yield undefined(card.name, card.parts[0], failure.status)
        else:
            yield Value(card.name, card.parts[0], value)
