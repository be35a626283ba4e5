"""Face and lip masks of a face crop: ellipses from landmarks, a face box or the default framing.

Nothing here finds landmarks: they are an input (68 points in the order of iBUG 300-W; `faces.masks` takes the outlines
of a mesh of 468 points instead). Without them the ellipses come from the box or from `DEFAULT`, which fits crops of
`dyads.adapters.face_crop`. A mask for a latent grid must be checked against where the autoencoder keeps the mouth: one
row too high costs half of the lip accuracy.
"""

from dataclasses import dataclass

import numpy as np

from dyads.errors import ConfigError


@dataclass(frozen=True)
class Ellipse:
    """Centre and radii as fractions of the frame's width (x) and height (y)."""

    x: float
    y: float
    radius_x: float
    radius_y: float


@dataclass(frozen=True)
class FaceGeometry:
    """Where the whole face and the lips are."""

    face: Ellipse
    lips: Ellipse


DEFAULT = FaceGeometry(face=Ellipse(0.5, 0.52, 0.32, 0.41), lips=Ellipse(0.5, 0.72, 0.17, 0.10))
LIPS_IN_BOX = Ellipse(0.5, 0.80, 0.24, 0.15)  # in fractions of a face box (brow to chin, cheek to cheek)


def from_box(box: tuple[float, float, float, float]) -> FaceGeometry:
    """Geometry from a face box (x, y, width, height) in fractions of the frame."""
    x, y, width, height = box
    if width <= 0 or height <= 0:
        raise ConfigError(f"the face box {box} has no area; give x, y, width, height as fractions of the frame.")
    lips = LIPS_IN_BOX
    return FaceGeometry(
        face=Ellipse(x + width / 2, y + height / 2, width / 2, height / 2),
        lips=Ellipse(x + lips.x * width, y + lips.y * height, lips.radius_x * width, lips.radius_y * height),
    )


def from_landmarks(landmarks: np.ndarray, margin: float = 0.15) -> FaceGeometry:
    """Geometry from (68, 2) or (T, 68, 2) points (x, y) in fractions of the frame; `margin` widens the radii.

    With T frames the ellipses cover the points of all of them, so that a moving mouth stays inside.
    """
    points = np.asarray(landmarks, dtype=float)
    if points.shape[-2:] != (68, 2) or points.ndim not in (2, 3) or not np.isfinite(points).all():
        raise ConfigError(f"landmarks must be finite (68, 2) or (T, 68, 2), got {points.shape}; convert them.")

    def around(chosen: np.ndarray) -> Ellipse:
        low, high = chosen.reshape(-1, 2).min(0), chosen.reshape(-1, 2).max(0)
        (x, y), (radius_x, radius_y) = (low + high) / 2, (high - low) / 2 * (1 + margin)
        return Ellipse(float(x), float(y), float(radius_x), float(radius_y))

    return FaceGeometry(face=around(points), lips=around(points[..., 48:68, :]))


def ellipse_mask(size: int | tuple[int, int], ellipse: Ellipse, softness: float = 0.0) -> np.ndarray:
    """float32 (H,W) in [0,1]: 1 inside, 0 outside, falling linearly over `softness` (fraction of the radius).

    Softness 0 is the binary form: a pixel belongs to the ellipse where its centre does.
    """
    height, width = (size, size) if isinstance(size, int) else size
    y, x = (np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width
    rho = np.hypot((x[None] - ellipse.x) / ellipse.radius_x, (y[:, None] - ellipse.y) / ellipse.radius_y)
    if softness == 0:
        return (rho <= 1).astype(np.float32)
    return np.clip(0.5 + (1 - rho) / softness, 0, 1).astype(np.float32)


def region_masks(
    size: int | tuple[int, int], geometry: FaceGeometry = DEFAULT, softness: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """(M_face, M_lip), float32 (H,W) in [0,1]; M_face excludes the lips, so that M_face + M_lip <= 1."""
    lips = ellipse_mask(size, geometry.lips, softness)
    return ellipse_mask(size, geometry.face, softness) * (1 - lips), lips


def _overlap(cells: int, pixels: int) -> np.ndarray:
    """(cells, pixels) share of each cell's length that each pixel covers; rows sum to 1."""
    cell, pixel = np.arange(cells)[:, None] / cells, np.arange(pixels)[None] / pixels
    return np.clip(np.minimum(cell + 1 / cells, pixel + 1 / pixels) - np.maximum(cell, pixel), 0, None) * cells


def to_grid(mask: np.ndarray, rows: int, cols: int, threshold: float | None = None) -> np.ndarray:
    """Area average of a mask (H,W) on a grid, float32 (rows, cols); `threshold` makes it binary (>=)."""
    grid = _overlap(rows, mask.shape[0]) @ mask.astype(np.float64) @ _overlap(cols, mask.shape[1]).T
    return (grid if threshold is None else grid >= threshold - 1e-9).astype(np.float32)
