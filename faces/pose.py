"""Head pose: the turn, shift and size that lay a reference mesh on a frame's, from the points that move least.

Axes: x to the picture's right, y down, z away from the camera. Angles in radians, zero when facing the camera: yaw
grows when the face turns to the picture's right, pitch when it looks down, roll when it tilts clockwise in the picture.
"""

from dataclasses import dataclass

import numpy as np

from faces.landmarks import RIGID


@dataclass(frozen=True)
class Similarity:
    """Frame = scale * reference @ rotation.T + shift; (T,), (T, 3, 3), (T, 3)."""

    scale: np.ndarray
    rotation: np.ndarray
    shift: np.ndarray


def fit(points: np.ndarray, reference: np.ndarray) -> Similarity:
    """Least-squares similarity of points (T, N, 3) to a reference (N, 3) (Umeyama 1991); NaN rows stay NaN."""
    points = np.asarray(points, np.float64)
    good = np.isfinite(points).all((1, 2))
    middle, centre = points[good].mean(1), reference.mean(0)
    spread = np.einsum("tni,nj->tij", points[good] - middle[:, None], reference - centre)
    left, sizes, right = np.linalg.svd(spread)
    sign = np.ones((len(sizes), 3))
    sign[:, 2] = np.sign(np.linalg.det(left @ right))
    count = len(points)
    scale, rotation, shift = np.full(count, np.nan), np.full((count, 3, 3), np.nan), np.full((count, 3), np.nan)
    rotation[good] = np.einsum("tij,tj,tjk->tik", left, sign, right)
    scale[good] = (sizes * sign).sum(1) / np.square(reference - centre).sum()
    shift[good] = middle - scale[good, None] * np.einsum("tij,j->ti", rotation[good], centre)
    return Similarity(scale, rotation, shift)


def undo(points: np.ndarray, pose: Similarity) -> np.ndarray:
    """Points (T, N, 3) brought to the reference's place, turn and size."""
    return np.einsum("tni,tij->tnj", points - pose.shift[:, None], pose.rotation) / pose.scale[:, None, None]


def aligned(points: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Points (T, 468, 3) with pose and size removed, float64 in the units of `reference` (468, 3)."""
    return undo(points, fit(points[:, RIGID], reference[RIGID]))


def angles(rotation: np.ndarray) -> np.ndarray:
    """Yaw, pitch and roll (T, 3) of rotations (T, 3, 3), applied as roll, then pitch, then yaw."""
    yaw = np.arctan2(-rotation[:, 0, 2], rotation[:, 2, 2])
    pitch = np.arcsin(np.clip(-rotation[:, 1, 2], -1, 1))
    roll = np.arctan2(rotation[:, 1, 0], rotation[:, 1, 1])
    return np.stack([yaw, pitch, roll], 1)
