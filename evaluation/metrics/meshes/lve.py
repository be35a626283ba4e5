"""Lip vertex error: four of the things that go by this name, on given meshes or on the reader's 468 points.

The fifth, of a rig's controls, is in coefficients/lve_controls.py.
"""

from collections.abc import Callable

import numpy as np

from evaluation.cards import MetricCard
from evaluation.metrics._points import both, centred, distances
from evaluation.metrics.meshes._regions import UNIT, card, mesh_values


def lve(generated: np.ndarray, true: np.ndarray) -> float:
    """CodeTalker's and FaceDiffuser's form of lip vertices (T, V, 3): mean over frames of the largest squared
    distance."""
    return float((distances(*both(generated, true)) ** 2).max(1).mean())


def lve_root(generated: np.ndarray, true: np.ndarray) -> float:
    """UniLS's form: the root of `lve`, a length."""
    return float(np.sqrt(lve(generated, true)))


def lve_distance(generated: np.ndarray, true: np.ndarray) -> float:
    """UniTalker's LVD: mean over frames of the largest distance, not squared."""
    return float(distances(*both(generated, true)).max(1).mean())


def lve_centred(generated: np.ndarray, true: np.ndarray) -> float:
    """MeshTalk's form: `lve_distance` after each lip's own mean is removed."""
    generated, true = both(generated, true)
    return float(distances(centred(generated), centred(true)).max(1).mean())


FORMS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "lve": lve,
    "lve_root": lve_root,
    "lve_distance": lve_distance,
    "lve_centred": lve_centred,
}
_MAX = r"\max_{v\in\text{lips}}\left\|\hat x_{tv}-x_{tv}\right\|"
_ABOUT = {
    "lve": (
        "LVE",
        f"{UNIT} squared",
        "Mean over frames of the largest squared distance of a lip vertex.",
        rf"\frac1T\sum_t{_MAX}^2",
        "CodeTalker main/cal_metric.py (1b7cb95), FaceDiffuser (e15f350), torchmetrics 1.9.0",
    ),
    "lve_root": (
        "LVE (root)",
        UNIT,
        "Root of the mean over frames of the largest squared distance of a lip vertex.",
        rf"\sqrt{{\frac1T\sum_t{_MAX}^2}}",
        "UniLS core/models/modules/metrics.py (b91cc03), in mm, head rotation off",
    ),
    "lve_distance": (
        "LVE (distance)",
        UNIT,
        "Mean over frames of the largest distance of a lip vertex.",
        rf"\frac1T\sum_t{_MAX}",
        "UniTalker loss/loss.py (2148113), there LVD",
    ),
    "lve_centred": (
        "LVE (centred)",
        UNIT,
        "Mean over frames of the largest distance of a lip vertex after each lip's own centre is removed.",
        rf"\frac1T\sum_t{_MAX},\;x\text{{ without its mean}}",
        "MeshTalk, as its author says (thread #32)",
    ),
}
_DISAGREEMENTS = (
    "3 mm in half of the frames and 1 mm in the others are 5e-6 m^2 (CodeTalker), 2.236 mm (UniLS) and 2 mm "
    "(UniTalker).",
    "Which vertices are lips differs: 254 entries (250 distinct) or 428 of FLAME's 5,023, 4,996 of BIWI's 23,370.",
    "torchmetrics 1.9.0 keeps views of the meshes that it is given: a tensor filled anew for each clip counts the last "
    "clip each time. CodeTalker stops at a clip that is one frame short.",
)


def _card(name: str) -> MetricCard:
    label, unit, definition, equation, source = _ABOUT[name]
    return card(name, label, unit, "lips", definition, equation, source, _DISAGREEMENTS)


CARDS = tuple(map(_card, FORMS))


def clip_values(clip, tools):
    yield from mesh_values(clip, "lips", FORMS)
