"""Which vertices are lips and upper face, where a clip's meshes come from, and the card that mesh metrics share."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from evaluation.cards import MetricCard, Value, undefined
from evaluation.metrics._series import Undefined

UNIT = "distance of outer eye corners"
PROTOCOL = (
    "the mesh reader's 468 points of both videos, head pose and size removed, in distances of the outer eye corners; "
    "or given meshes and `--regions` of evaluation.score, in their own unit; frames in which both faces were found, "
    "at least 90 % of the clip; paired by time at 25 fps; mean over frames, then over clips"
)


def regions(vertices: int) -> dict[str, np.ndarray]:
    """Region -> vertex indices of the reader's 468 points. Undefined `no_regions` for any other mesh."""
    from faces import landmarks

    if vertices != 468:
        raise Undefined("no_regions")
    lips = np.array(sorted({*landmarks.LIPS_OUTER, *landmarks.LIPS_INNER}))
    upper = np.array(sorted({*landmarks.LEFT_BROW, *landmarks.RIGHT_BROW, *landmarks.LEFT_EYE, *landmarks.RIGHT_EYE}))
    return {"lips": lips, "upper": upper, "all": np.arange(vertices)}


def pairs_of(clip: Any, vertices: int) -> np.ndarray:
    """(upper, lower) vertices of the inner lips, (P, 2): given ones, or the reader's 13 and 14."""
    given = clip.features.get("region_openings")
    if given is not None:
        return np.asarray(given).reshape(-1, 2)
    if vertices != 468:
        raise Undefined("no_regions")
    return np.array([[13, 14]])


def meshes(clip: Any, region: str) -> tuple[np.ndarray, np.ndarray]:
    """Generated and true vertices (T, V, 3) of a region. Undefined `no_mesh`: nobody gave or read meshes."""
    found = [clip.features.get(f"vertices_{side}") for side in ("generated", "true")]
    if any(item is None for item in found):
        raise Undefined("no_mesh")
    chosen = chosen_vertices(clip, region, found[1].shape[1])
    return tuple(np.asarray(item, np.float64)[:, chosen] for item in found)


def chosen_vertices(clip: Any, region: str, vertices: int) -> np.ndarray | slice:
    """Indices of a region of a clip's mesh: given ones, else the reader's. Undefined `no_regions`: nobody gave any."""
    if region == "all":
        return slice(None)
    given = clip.features.get(f"region_{region}")
    return regions(vertices)[region] if given is None else given


def mesh_values(clip: Any, region: str, forms: dict[str, Callable[[np.ndarray, np.ndarray], float]]) -> Iterator[Value]:
    """Each form's value of a region under the form's name, or its status."""
    generated, true = meshes(clip, region)
    for name, function in forms.items():
        try:
            yield Value(name, region, function(generated, true))
        except Undefined as failure:
            yield undefined(name, region, failure.status)


def card(
    name: str,
    label: str,
    unit: str,
    part: str,
    definition: str,
    equation: str,
    source: str,
    disagreements: tuple[str, ...],
    **others: Any,
) -> MetricCard:
    """A card of a distance that is better lower and orders the usual controls, unless `others` say differently."""
    usual = {
        "protocol": PROTOCOL,
        "direction": "lower",
        "range": (0.0, float("inf")),
        "separates": (("ground_truth", "vae_round_trip"), ("vae_round_trip", "shuffled_partner")),
        "separates_parts": (part,),
    }
    return MetricCard(
        name=name,
        label=label,
        unit=unit,
        per="clip",
        parts=(part,),
        definition=definition,
        equation=equation,
        source=source,
        disagreements=disagreements,
        **{**usual, **others},
    )
