"""Whose face it is: the 128 numbers of dlib's residual network, which ships with the package face-recognition-models.

Two pictures of one person lie within 0.6 of each other (Euclidean), those of two people beyond (King 2017). The face is
laid into a 150 pixel chip by the corners of its eyes and the base of its nose, from the mesh; the package's 68-point
model (iBUG 300-W, not for commercial use) is not needed.
"""

import importlib.util
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from dyads.errors import ConfigError
from faces.finding.mesh import sample

MODEL = "models/dlib_face_recognition_resnet_model_v1.dat"
CHIP = 150
SAME = 0.6
CORNERS = (33, 133, 362, 263, 2)  # of the mesh: eye corners from the picture's left, base of the nose
# dlib's 5-point chip with its padding of a quarter, in fractions of the chip.
PLACES = np.array(
    [[0.8595674595992, 0.2134981538014], [0.6460604764104, 0.2289674387677], [0.1205750620789, 0.2137274526848]]
    + [[0.3340850613712, 0.2290642403242], [0.4901123135679, 0.6277975316475]]
)[[2, 3, 1, 0, 4]]
PADDING = 0.25


@cache
def _network():
    """The network, loaded once a process; ConfigError where a package is missing."""
    found = importlib.util.find_spec("face_recognition_models")
    folders = list(found.submodule_search_locations or ()) if found else []
    if not folders or importlib.util.find_spec("dlib") is None and importlib.util.find_spec("_dlib_pybind11") is None:
        raise ConfigError(
            "the identity network is not installed; run `pip install dlib-bin==20.0.1.post1 "
            "face-recognition-models==0.3.0`."
        )
    import _dlib_pybind11 as dlib

    return dlib.face_recognition_model_v1(str(Path(folders[0]) / MODEL))


def chip(frame: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The face of uint8 (H, W, 3) with its points (468, 3), laid into uint8 (150, 150, 3)."""
    places = (PLACES + PADDING) / (1 + 2 * PADDING) * CHIP
    wanted, found = places, points[list(CORNERS), :2].astype(np.float64)
    a, b = wanted - wanted.mean(0), found - found.mean(0)
    left, sizes, right = np.linalg.svd(b.T @ a)
    sign = np.diag([1.0, np.sign(np.linalg.det(left @ right))])
    turn = left @ sign @ right * ((sizes * np.diag(sign)).sum() / np.square(a).sum())
    return sample(frame, turn, found.mean(0) - turn @ wanted.mean(0), CHIP, cv2.BORDER_REPLICATE)


def embed(frames: np.ndarray, points: np.ndarray) -> np.ndarray:
    """float32 (N, 128) of frames uint8 (N, H, W, 3) with their points (N, 468, 3); NaN where there are none."""
    found = np.full((len(frames), 128), np.nan, np.float32)
    for index, (frame, own) in enumerate(zip(frames, points, strict=True)):
        if np.isfinite(own[0, 0]):
            found[index] = np.asarray(_network().compute_face_descriptor(chip(frame, np.asarray(own))), np.float32)
    return found
