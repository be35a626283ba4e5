"""468 points of one face: an upright square round it is cut out, read by the network and mapped back."""

from dataclasses import dataclass

import cv2
import numpy as np

from faces.finding.models import MESH_SIDE, POINTS, mesh, sigmoid

SIDE = 1.5  # of the square, as a multiple of the face's larger extent (MediaPipe's)
MINIMUM_SCORE = 0.5  # presence of a face; MediaPipe's own
# Where a square has to be enlarged for the network, its points depend on how exactly it lies: four readings, by so much
# of its place, size and angle round about it, are averaged. At 64 px that brings the lips nearer to the source's.
APART = (0.01, 0.01, 0.03, 0.03)
AROUND = ((1, 1, 1, 1), (-1, -1, -1, -1), (1, -1, 1, -1), (-1, 1, -1, 1))


@dataclass(frozen=True)
class Square:
    """A square to cut: centre and side in source pixels, and the angle in radians by which the face is tilted."""

    x: float
    y: float
    side: float
    angle: float

    def near(self, other: "Square", share: float) -> bool:
        """Whether another square differs by less than `share` of the side (and as many radians)."""
        moved = max(abs(self.x - other.x), abs(self.y - other.y)) / self.side
        return max(moved, abs(np.log(other.side / self.side)), abs(self.angle - other.angle)) < share

    def beside(self, way: tuple[int, int, int, int]) -> "Square":
        """The square that lies `APART` to one side (1) or the other (-1) in x, y, size and angle."""
        x, y, size, angle = (sign * value for sign, value in zip(way, APART, strict=True))
        return Square(self.x + x * self.side, self.y + y * self.side, self.side * (1 + size), self.angle + angle)


def axes(angle: float) -> np.ndarray:
    """Rows: the face's right and down direction in the picture."""
    return np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


def square_of_detection(box: np.ndarray, keypoints: np.ndarray) -> Square:
    """The square for a detection: its box (x, y, w, h), turned so that the eyes lie level."""
    right, left = keypoints[0], keypoints[1]
    angle = float(np.arctan2(left[1] - right[1], left[0] - right[0]))
    return Square(float(box[0] + box[2] / 2), float(box[1] + box[3] / 2), float(SIDE * max(box[2:])), angle)


def square_of_points(points: np.ndarray) -> Square:
    """The square for the next picture from this one's points (468, 3)."""
    across = points[263, :2] - points[33, :2]
    angle = float(np.arctan2(across[1], across[0]))
    frame = axes(angle)
    right, down = frame @ points.T[:2]
    low, high = np.array([right.min(), down.min()]), np.array([right.max(), down.max()])
    x, y = (low + high) / 2 @ frame
    return Square(float(x), float(y), float(SIDE * (high - low).max()), angle)


def sample(picture: np.ndarray, turn: np.ndarray, offset: np.ndarray, side: int, border: int) -> np.ndarray:
    """A square of `side` pixels whose point p lies at `turn` @ p + `offset` in the picture, uint8 (side, side, 3).

    Averaged where it is made much smaller, since linear sampling alone would alias; `border` is OpenCV's kind.
    """
    # pixel centres lie at + 0.5 in both pictures
    matrix = np.concatenate([turn, (turn @ [0.5, 0.5] + offset)[:, None]], 1)
    factor = int(np.sqrt(abs(np.linalg.det(turn))))
    if factor > 1:  # by whole numbers, which OpenCV averages ten times as fast; less than two is left to the sampling
        corners = np.array([[0, 0], [side, 0], [0, side], [side, side]]) @ turn.T + offset
        height, width = picture.shape[:2]
        low, high = np.floor(corners.min(0) - factor).astype(int), np.ceil(corners.max(0) + factor).astype(int)
        x0, y0 = max(0, min(low[0], width - 2)), max(0, min(low[1], height - 2))
        part = picture[y0 : max(y0 + 2, min(high[1], height)), x0 : max(x0 + 2, min(high[0], width))]
        w, h = max(1, part.shape[1] // factor), max(1, part.shape[0] // factor)
        matrix[:, 2] -= (x0, y0)
        matrix /= factor
        picture = cv2.resize(part[: h * factor, : w * factor], (w, h), interpolation=cv2.INTER_AREA)
    matrix[:, 2] -= 0.5
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(picture, matrix, (side, side), flags=flags, borderMode=border)


def cut(picture: np.ndarray, square: Square) -> np.ndarray:
    """The square as uint8 (192, 192, 3); black outside the picture."""
    turn = axes(square.angle).T * (square.side / MESH_SIDE)
    offset = np.array([square.x, square.y]) - turn @ np.full(2, MESH_SIDE / 2)
    return sample(picture, turn, offset, MESH_SIDE, cv2.BORDER_CONSTANT)


def read_square(piece: np.ndarray, square: Square) -> tuple[np.ndarray, float]:
    """Points float64 (468, 3) in source pixels and the presence of a face in 0..1, from `cut`'s picture.

    z has the scale of x and y, is about zero at the centre of the head's front and grows away from the camera.
    """
    first, second = mesh()(piece, 0.0)
    points, score = (first, second) if first.size > second.size else (second, first)
    points = points.reshape(POINTS, 3).astype(np.float64)
    scale = square.side / MESH_SIDE
    plane = (points[:, :2] - MESH_SIDE / 2) * scale @ axes(square.angle) + [square.x, square.y]
    return np.concatenate([plane, points[:, 2:] * scale], 1), float(sigmoid(score.ravel())[0])


def read_face(picture: np.ndarray, square: Square, piece: np.ndarray) -> tuple[np.ndarray, float]:
    """As `read_square` of the square's own `piece`; the mean of those round about it where the face is small."""
    if square.side >= MESH_SIDE:
        return read_square(piece, square)
    points, scores = zip(*(read_square(cut(picture, near), near) for near in map(square.beside, AROUND)), strict=True)
    return sum(points) / len(points), sum(scores) / len(scores)
