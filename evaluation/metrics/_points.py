"""Points of both faces in one clip: which frames have them, which face they are scaled by, and who may be compared."""

from typing import Any

import numpy as np

from evaluation.metrics._series import Undefined, require_frames

LEAST_SHARE = 0.9  # of the frames must show both faces; else a mean would rest on the easy ones
OUTER_CORNERS = (36, 45)  # of the 68 iBUG points: what 300-W divides by
MOUTH = slice(48, 68)
CROP = 256.0  # pixels of the square that published landmark distances are counted in
POINTS_PROTOCOL = (
    "68 iBUG points among the mesh reader's 468, on both videos; pixels of a square of 256 (native pixels times 256 "
    "over the longer side); frames in which both faces were found, at least 90 % of the clip; paired by time at 25 "
    "fps; mean over frames, then over clips; neither rotation nor scale is removed"
)


def both(generated: np.ndarray, true: np.ndarray, least_share: float = LEAST_SHARE) -> tuple[np.ndarray, np.ndarray]:
    """Both (T, V, C) as float64, cut to the frames in which every point of both is there.

    Undefined: `length_mismatch` for other numbers of frames, points or coordinates, `too_few_frames` without a frame,
    `no_face` where fewer than `least_share` of the frames are left.
    """
    generated, true = np.asarray(generated, np.float64), np.asarray(true, np.float64)
    if generated.shape != true.shape or generated.ndim != 3:
        raise Undefined("length_mismatch")
    require_frames(len(true), 1)
    seen = np.isfinite(generated).all((1, 2)) & np.isfinite(true).all((1, 2))
    if not seen.any() or seen.mean() < least_share:
        raise Undefined("no_face")
    return generated[seen], true[seen]


def one(points: np.ndarray, least_share: float = LEAST_SHARE) -> np.ndarray:
    """bool (T,): frames of (T, V, C) with a face. Undefined `no_face` below `least_share`, `too_few_frames` without."""
    require_frames(len(points), 1)
    seen = np.isfinite(np.asarray(points, np.float64)).all((1, 2))
    if not seen.any() or seen.mean() < least_share:
        raise Undefined("no_face")
    return seen


def centred(points: np.ndarray) -> np.ndarray:
    """(T, V, C) without each frame's mean."""
    return points - points.mean(1, keepdims=True)


def distances(generated: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Euclidean distances (T, V) of (T, V, C)."""
    return np.linalg.norm(generated - true, axis=-1)


def interocular(points: np.ndarray) -> float:
    """Mean distance of the outer corners of the eyes in 68 points (T, 68, C). Undefined `not_finite` if it is 0."""
    left, right = OUTER_CORNERS
    distance = float(np.linalg.norm(points[:, left] - points[:, right], axis=-1).mean())
    if not distance > 0:
        raise Undefined("not_finite")
    return distance


def of_clip(clip: Any, side: str) -> np.ndarray:
    """The 468 points (T, 468, 3) in pixels of the true picture's size that the mesh reader found in the `generated`
    or `true` video; NaN where there was no face. Undefined `no_mesh`: no such reader looked at this clip."""
    points = clip.features.get(f"points_{side}")
    if points is None:
        raise Undefined("no_mesh")
    return np.asarray(points, np.float64)


def ibug(clip: Any, side: str, scale: float = 1.0) -> np.ndarray:
    """The 68 iBUG points (T, 68, 2), given ones or those among `of_clip`, times `scale`."""
    given = clip.features.get(f"landmarks_{side}")
    if given is not None:
        return np.asarray(given, np.float64)[..., :2] * scale
    from faces.landmarks import IBUG68

    return of_clip(clip, side)[:, list(IBUG68), :2] * scale


def crop_scale(clip: Any) -> float:
    """What brings pixels of this clip's picture to those of a square of 256."""
    return CROP / max(clip.true.shape[1:3])
