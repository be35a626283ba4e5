"""Mean vertex error over a whole face, its upper part, and the root form that UniLS calls MHD."""

import numpy as np

from evaluation.cards import undefined
from evaluation.metrics._points import both, distances
from evaluation.metrics._series import Undefined
from evaluation.metrics.meshes._regions import UNIT, card, mesh_values


def mve(generated: np.ndarray, true: np.ndarray) -> float:
    """Mean distance of all vertices (T, V, 3)."""
    return float(distances(*both(generated, true)).mean())


def mhd(generated: np.ndarray, true: np.ndarray) -> float:
    """UniLS's form: the root of the mean squared distance of all vertices."""
    return float(np.sqrt((distances(*both(generated, true)) ** 2).mean()))


_DISAGREEMENTS = (
    "The mean depends on how densely the mesh covers each part of the face: FLAME has a fifth of its vertices on the "
    "neck.",
    "Some divide by a template first, which cancels.",
)
_D = r"\left\|\hat x_{tv}-x_{tv}\right\|"
CARDS = (
    card(
        "mve",
        "MVE",
        UNIT,
        "all",
        "Mean distance of all vertices.",
        rf"\frac1{{TV}}\sum_{{t,v}}{_D}",
        "torchmetrics and FaceDiffuser (e15f350)",
        _DISAGREEMENTS,
    ),
    card(
        "mhd",
        "MHD",
        UNIT,
        "all",
        "Root of the mean squared distance of all vertices.",
        rf"\sqrt{{\frac1{{TV}}\sum_{{t,v}}{_D}^2}}",
        "UniLS core/models/modules/metrics.py (b91cc03), in mm",
        _DISAGREEMENTS,
    ),
    card(
        "ufve",
        "UFVE",
        UNIT,
        "upper",
        "Mean distance of the upper face's vertices.",
        rf"\frac1{{TV}}\sum_{{t,v\in\text{{upper}}}}{_D}",
        "3DXTalker (no commit)",
        _DISAGREEMENTS,
    ),
)


def clip_values(clip, tools):
    yield from mesh_values(clip, "all", {"mve": mve, "mhd": mhd})
    try:
        yield from mesh_values(clip, "upper", {"ufve": mve})
    except Undefined as failure:
        yield undefined("ufve", "upper", failure.status)
