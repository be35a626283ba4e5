"""Face and lip masks of a face crop by its framing: ellipses, as they lie in crops of `dyads.adapters.face_crop`.

Nothing here looks at a picture; `faces.masks` takes the outlines of lips and face from its landmarks. A mask for a
latent grid must be checked against where the autoencoder keeps the mouth: one row too high costs half of the lips'
accuracy.
"""

from dataclasses import dataclass

import numpy as np


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
