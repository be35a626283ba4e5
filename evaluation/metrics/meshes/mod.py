"""Mouth opening difference: how far the generated lips stand apart where the true ones do not, and the reverse."""

from collections.abc import Iterator

import numpy as np

from evaluation.cards import MetricCard, Value, undefined
from evaluation.metrics._points import POINTS_PROTOCOL, both, crop_scale, distances, ibug
from evaluation.metrics._series import Undefined
from evaluation.metrics.landmarks.lmd import normalised
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
    "MSMD takes landmarks 51 and 57, divided by the root of 3, and the root mean square (see mod_landmarks); ARTalk "
    "the mean distance of 254 lip vertices, which is no opening; DiffPoseTalk published no code.",
    "Which pair of vertices is the opening differs: 3531/3504 of FLAME are the inner lips, 3546 an outer one.",
)


def _of_landmarks(scaled: bool) -> MetricCard:
    extra = " Divided by the true face's distance of outer eye corners, so that it does not grow with the picture."
    name, label, unit = "mod_landmarks", "MOD (landmarks)", "pixel of 256"
    return card(
        f"{name}_normalised" if scaled else name,
        f"{label} / eyes" if scaled else label,
        UNIT if scaled else unit,
        "mouth",
        "Root mean square difference of the generated and the true distance of landmarks 51 and 57, the middles of the "
        "outer lips, divided by the root of 3." + extra * scaled,
        r"\sqrt{\frac1T\sum_t\left(o(\hat p_t)-o(p_t)\right)^2}"
        + r"\Big/\overline{\left\|p_{t,36}-p_{t,45}\right\|}" * scaled
        + r",\quad o=\left\|p_{51}-p_{57}\right\|/\sqrt3",
        "MSMD (thread #2)",
        (
            "Points of the outer lips stand apart where the mouth is shut: thick lips count, those of another person "
            "too. See mod for the inner ones.",
            "Ours are points of the picture: a head that nods or turns away closes the mouth a little.",
        ),
        protocol=POINTS_PROTOCOL,
    )


CARDS = (
    *map(_of_landmarks, (False, True)),
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
    yield from _landmark_values(clip)
    whole = meshes(clip, "all")
    openings = [opening(side, pairs_of(clip, whole[1].shape[1])) for side in whole]
    for name, function in (("mod", mod), ("mod_absolute", mod_absolute)):
        try:
            yield Value(name, "openings", function(*openings))
        except Undefined as failure:
            yield undefined(name, "openings", failure.status)
    yield from mesh_values(clip, "lips", {"mod_vertices": mod_vertices})


def _landmark_values(clip) -> Iterator[Value]:
    """Of landmarks, which may be given without a mesh."""
    names = "mod_landmarks", "mod_landmarks_normalised"
    try:
        points = [ibug(clip, side, crop_scale(clip)) for side in ("generated", "true")]
        found = mod_landmarks(*points), normalised(mod_landmarks, *points)
    except Undefined as failure:
        yield from (undefined(name, "mouth", failure.status) for name in names)
    else:
        yield from (Value(name, "mouth", value) for name, value in zip(names, found, strict=True))
