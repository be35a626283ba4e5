"""Finding faces in a picture: the full-range detector on the whole picture, on tiles where that finds nothing."""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from faces.finding.models import DETECTOR_SIDE, detector, sigmoid

MINIMUM_SCORE = 0.5  # MediaPipe's own
OVERLAP = 0.3  # intersection over union above which two boxes are one face
STRIDE = 4  # pixels of the detector's input an anchor
TILE, TILE_STEP = 0.5, 0.25  # of the long side

KEYPOINTS = 6  # right eye, left eye, nose tip, mouth, right ear, left ear (the person's own right)


@dataclass(frozen=True)
class Detections:
    """Faces of one picture, best first: score (N,), box (N,4) x y w h, keypoints (N,6,2), all in source pixels."""

    score: np.ndarray
    box: np.ndarray
    keypoints: np.ndarray

    def __len__(self) -> int:
        return len(self.score)


def letterbox(picture: np.ndarray, side: int) -> tuple[np.ndarray, float, float, float]:
    """Picture in a black square of `side`, and what maps it back: scale, left and top in square pixels."""
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    w, h = max(1, round(width * scale)), max(1, round(height * scale))
    factor = int(1 / scale)
    if factor > 1 and min(height, width) >= factor:  # by whole numbers first: ten times as fast as at once
        high, wide = height // factor, width // factor
        picture = cv2.resize(picture[: high * factor, : wide * factor], (wide, high), interpolation=cv2.INTER_AREA)
    left, top = (side - w) // 2, (side - h) // 2
    square = np.zeros((side, side, 3), np.uint8)
    square[top : top + h, left : left + w] = cv2.resize(picture, (w, h), interpolation=cv2.INTER_LINEAR)
    return square, scale, float(left), float(top)


@cache
def _anchors() -> np.ndarray:
    """Centres (2304, 2) of the detector's anchors in fractions of its input."""
    cells = DETECTOR_SIDE // STRIDE
    y, x = np.mgrid[:cells, :cells]
    return np.stack([(x.ravel() + 0.5) / cells, (y.ravel() + 0.5) / cells], 1)


def _whole(picture: np.ndarray) -> Detections:
    """Every candidate above the least score in one picture, not yet merged."""
    square, scale, left, top = letterbox(picture, DETECTOR_SIDE)
    scores, raw = detector()(square, -1.0)
    scores, raw = sigmoid(scores[0, :, 0]), raw[0]
    keep = np.flatnonzero(scores >= MINIMUM_SCORE)
    points = raw[keep].reshape(-1, 8, 2) / DETECTOR_SIDE
    points[:, [0, *range(2, 8)]] += _anchors()[keep][:, None]
    points = points * DETECTOR_SIDE
    points[:, [0, *range(2, 8)]] -= (left, top)
    points /= scale
    centre, size = points[:, 0], points[:, 1]
    return Detections(scores[keep], np.concatenate([centre - size / 2, size], 1), points[:, 2:])


def overlap(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union (N,) of a box (4,) with others (N,4), x y w h."""
    low = np.maximum(box[:2], others[:, :2])
    high = np.minimum(box[:2] + box[2:], others[:, :2] + others[:, 2:])
    shared = np.clip(high - low, 0, None).prod(1)
    return shared / np.maximum(box[2:].prod() + others[:, 2:].prod(1) - shared, 1e-9)


def merged(found: Detections) -> Detections:
    """One detection a face: those that overlap are averaged by their scores (weighted suppression, as MediaPipe)."""
    rest = np.argsort(-found.score, kind="stable")
    score, box, points = [], [], []
    while len(rest):
        same = overlap(found.box[rest[0]], found.box[rest]) > OVERLAP
        same[0] = True
        group, rest_score = rest[same], found.score[rest[same]]
        weights = rest_score / rest_score.sum()
        score.append(found.score[group[0]])
        box.append(weights @ found.box[group])
        points.append(np.tensordot(weights, found.keypoints[group], 1))
        rest = rest[~same]
    return Detections(
        np.array(score, float),
        np.array(box, float).reshape(-1, 4),
        np.array(points, float).reshape(-1, KEYPOINTS, 2),
    )


def _joined(parts: list[Detections]) -> Detections:
    return Detections(
        *(np.concatenate([getattr(part, key) for part in parts]) for key in ("score", "box", "keypoints"))
    )


def detect(picture: np.ndarray, tiles: bool = True) -> Detections:
    """Faces of a uint8 RGB (H,W,3) picture.

    A face from 8 % of the long side is found in the whole picture; where none is, tiles of half the long side are
    searched too (`tiles`), which finds those from 4 %.
    """
    found = merged(_whole(picture))
    if len(found) or not tiles:
        return found
    height, width = picture.shape[:2]
    side, step = round(max(height, width) * TILE), round(max(height, width) * TILE_STEP)
    if side < DETECTOR_SIDE:
        return found
    parts = []
    for top in range(0, max(height - side, 0) + step, step) if height > side else (0,):
        for left in range(0, max(width - side, 0) + step, step) if width > side else (0,):
            x, y = max(0, min(left, width - side)), max(0, min(top, height - side))
            part = _whole(picture[y : y + side, x : x + side])
            shift = np.array([x, y], float)
            parts.append(Detections(part.score, part.box + [x, y, 0, 0], part.keypoints + shift))
    return merged(_joined(parts))
