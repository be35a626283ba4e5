"""M_lip and M_face of a picture from its own landmarks, soft or binary: the outlines of lips and face, with a margin.

On a latent grid they are averaged by `dyads.masks.to_grid`; a mouth that opens stays inside the margin.
"""

import cv2
import numpy as np

from dyads.errors import DataError
from dyads.masks import DEFAULT
from dyads.masks import region_masks as framed
from faces.finding.track import Options
from faces.landmarks import FACE_OVAL, LIPS_OUTER
from faces.reader import read_frames

LIP_MARGIN, FACE_MARGIN = 0.35, 0.06  # of the mouth's and of the face's width, by which the outlines grow
FINE = 4  # pixels drawn for one


def _filled(outlines: list[np.ndarray], height: int, width: int, margin: float) -> np.ndarray:
    """float32 (height, width) in [0, 1]: how much of each pixel lies within an outline grown by `margin` pixels."""
    drawn = np.zeros((height * FINE, width * FINE), np.uint8)
    for outline in outlines:
        cv2.fillPoly(drawn, [np.rint(outline * FINE).astype(np.int32)], 255)
    reach = 2 * round(margin * FINE) + 1
    drawn = cv2.dilate(drawn, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
    return cv2.resize(drawn, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def region_masks(
    points: np.ndarray, height: int, width: int, softness: float = 0.0, binary: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """(M_face, M_lip), float32 (height, width) in [0, 1], of points (468, 3) or (T, 468, 3) in its pixels.

    With T frames the masks cover all of them. M_face leaves the lips out, so that the sum is at most 1. `softness`: the
    standard deviation of a blur, as a share of the mouth's width. `binary`: 0 or 1. DataError: no points are seen.
    """
    points = np.asarray(points, np.float64).reshape(-1, *np.shape(points)[-2:])[..., :2]
    points = points[np.isfinite(points).all((1, 2))]
    if not len(points):
        raise DataError("no face was found to take masks from; give a picture of a face from the front.")
    mouth = float(np.median(np.linalg.norm(points[:, 291] - points[:, 61], axis=-1)))
    across = float(np.median(np.linalg.norm(points[:, 454] - points[:, 234], axis=-1)))
    lips = _filled(list(points[:, LIPS_OUTER]), height, width, LIP_MARGIN * mouth)
    face = _filled(list(points[:, FACE_OVAL]), height, width, FACE_MARGIN * across)
    if softness > 0:
        lips, face = (cv2.GaussianBlur(mask, (0, 0), softness * mouth) for mask in (lips, face))
    if binary:
        lips, face = ((mask >= 0.5).astype(np.float32) for mask in (lips, face))
    return np.minimum(face, 1 - lips), lips


def frame_masks(frames: np.ndarray, fallback: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, int]:
    """uint8 (T, 2, H, W), 255 inside: M_face and M_lip of each of one recording's frames uint8 (T, H, W, 3), by its own
    landmarks; the `fallback`'s where no face is seen, and in how many frames that was."""
    height, width = frames.shape[1:3]
    track = read_frames(frames, Options(eyes=False))
    masks = [
        region_masks(points, height, width) if found else fallback
        for points, found in zip(track.points, track.found, strict=True)
    ]
    return np.rint(255 * np.array(masks)).astype(np.uint8), int((~track.found).sum())


def picture_masks(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(M_face, M_lip) of a picture uint8 (H, W, 3) by its landmarks; by the crop's framing where no face is seen."""
    height, width = picture.shape[:2]
    points = read_frames(picture[None], Options(eyes=False)).points[0]
    if not np.isfinite(points).all():
        print("no face is found in a reference image: masks are taken from the crop's framing", flush=True)
        return framed((height, width), DEFAULT)
    return region_masks(points, height, width)
