"""Lids and brows, read again from a larger picture of each eye: the whole face's mesh hardly sees a blink.

The network is MediaPipe's iris model (64 px), which gives 71 points round an eye, brow included; its irises are not
used. Its square is larger and higher than MediaPipe's, so that the brow lies well inside: with the original one a
brow that goes up leaves the square and reads as going down.
"""

import cv2
import numpy as np

from faces.finding.mesh import axes, sample
from faces.finding.models import EYE_SIDE, eye

SIDE = 2.8  # of the square, in widths of the eye
LIFT = 0.6  # by which its centre lies above the eye's, in widths of the eye
# The 71 points as numbers of the mesh, for the eye on the picture's left: lids, three rings, brow, cheek, brow.
LEFT = np.array(
    [33, 7, 163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157, 173, 130, 25, 110, 24, 23, 22, 26, 112]
    + [243, 247, 30, 29, 27, 28, 56, 190, 226, 31, 228, 229, 230, 231, 232, 233, 244, 113, 225, 224, 223, 222, 221]
    + [189, 35, 124, 46, 53, 52, 65, 143, 111, 117, 118, 119, 120, 121, 128, 245, 156, 70, 63, 105, 66, 107, 55, 193]
)
RIGHT = np.array(
    [263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384, 398, 359, 255, 339, 254, 253, 252, 256]
    + [341, 463, 467, 260, 259, 257, 258, 286, 414, 446, 261, 448, 449, 450, 451, 452, 453, 464, 342, 445, 444, 443]
    + [442, 441, 413, 265, 353, 276, 283, 282, 295, 372, 340, 346, 347, 348, 349, 350, 357, 465, 383, 300, 293, 334]
    + [296, 336, 285, 417]
)
CORNERS = {"left": (33, 133), "right": (263, 362)}  # outer, inner


def _to_picture(points: np.ndarray, side: str) -> tuple[np.ndarray, np.ndarray]:
    """Affine map (2, 2) and (2,) from the eye's square, mirrored for the right eye, to the picture."""
    outer, inner = points[list(CORNERS[side]), :2]
    across = points[263, :2] - points[33, :2]
    upright = axes(float(np.arctan2(across[1], across[0])))
    width = float(np.linalg.norm(outer - inner))
    turn = upright.T * (SIDE * width / EYE_SIDE)
    if side == "right":
        turn = turn * [-1, 1]
    centre = (outer + inner) / 2 - LIFT * width * upright[1]
    return turn, centre - turn @ np.full(2, EYE_SIDE / 2)


def with_eyes(picture: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points (468, 3) with x and y of lids and brows read anew; z stays the mesh's."""
    points = points.copy()
    for side, chosen in (("left", LEFT), ("right", RIGHT)):
        turn, offset = _to_picture(points, side)
        piece = sample(picture, turn, offset, EYE_SIDE, cv2.BORDER_REPLICATE)
        found = eye()(piece, 0.0)[0].reshape(-1, 3)[:, :2].astype(np.float64)
        points[chosen, :2] = found @ turn.T + offset
    return points
