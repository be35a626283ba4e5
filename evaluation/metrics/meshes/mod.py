"""Mouth opening difference: how far the generated lips stand apart where the true ones do not, and the reverse."""

from collections.abc import Iterator

import numpy as np

from evaluation.cards import Value, undefined
from evaluation.metrics._points import both, distances
from evaluation.metrics._series import Undefined
from evaluation.metrics.meshes._regions import UNIT, card, mesh_values, meshes, pairs_of


def opening(points: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """(T,): mean distance of each (upper, lower) of `pairs` (P, 2) in points (T, V, C)."""
    pairs = np.asarray(pairs)
    return np.linalg.norm(points[:, pairs[:, 0]] - points[:, pairs[:, 1]], axis=-1).mean(1)


def mod(generated: np.ndarray, true: np.ndarray) -> float:
    """Root mean square difference of openings (T,). Undefined: `length_mismatch`, `too_few_frames`, `no_face`."""
    generated, true = both(np.asarray(generated)[:, None, None], np.asarray(true)[:, None, None])
    return float(np.sqrt(np.square(generated - true).mean()))


def mod_absolute(generated: np.ndarray, true: np.ndarray) -> float:
    """Mean absolute difference of openings (T,)."""
    generated, true = both(np.asarray(generated)[:, None, None], np.asarray(true)[:, None, None])
    return float(np.abs(generated - true).mean())


def mod_landmarks(generated: np.ndarray, true: np.ndarray) -> float:
    """MSMD's form on 68 points (T, 68, 2 or 3): openings |x51 - x57| / sqrt 3, root mean square difference."""
    generated, true = both(generated, true)
    openings = [np.linalg.norm(points[:, 51] - points[:, 57], axis=-1) / np.sqrt(3) for points in (generated, true)]
    return mod(*openings)


def mod_vertices(generated: np.ndarray, true: np.ndarray) -> float:
    """ARTalk's form: mean distance of the lip vertices (T, V, 3)."""
    return float(distances(*both(generated, true)).mean())


_DISAGREEMENTS = (
    "MSMD takes landmarks 51 and 57, divided by the root of 3, and the root mean square; ARTalk the mean distance of "
    "254 "
    "lip vertices, which is no opening; DiffPoseTalk published no code.",
    "Which pair of vertices is the opening differs: 3531/3504 of FLAME are the inner lips, 3546 an outer one.",
)
CARDS = (
    card(
        "mod",
        "MOD",
        UNIT,
        "openings",
        "Root mean square difference of the generated and the true opening of the inner lips.",
        r"\sqrt{\frac1T\sum_t\left(o(\hat y_t)-o(y_t)\right)^2},\quad o=\left\|x_{u}-x_{l}\right\|",
        "MSMD (thread #2), on the inner lips",
        _DISAGREEMENTS,
    ),
    card(
        "mod_absolute",
        "MOD (absolute)",
        UNIT,
        "openings",
        "Mean absolute difference of the generated and the true opening of the inner lips.",
        r"\frac1T\sum_t\left|o(\hat y_t)-o(y_t)\right|",
        "DiffPoseTalk's words; no code",
        _DISAGREEMENTS,
    ),
    card(
        "mod_vertices",
        "MOD (vertices)",
        UNIT,
        "lips",
        "Mean distance of the lip vertices.",
        r"\frac1{TV}\sum_{t,v\in\text{lips}}\left\|\hat x_{tv}-x_{tv}\right\|",
        "ARTalk (a8b87bd, thread #17)",
        _DISAGREEMENTS,
    ),
)


def clip_values(clip, tools) -> Iterator[Value]:
    whole = meshes(clip, "all")
    openings = [opening(side, pairs_of(clip, whole[1].shape[1])) for side in whole]
    for name, function in (("mod", mod), ("mod_absolute", mod_absolute)):
        try:
            yield Value(name, "openings", function(*openings))
        except Undefined as failure:
            yield undefined(name, "openings", failure.status)
    yield from mesh_values(clip, "lips", {"mod_vertices": mod_vertices})
