"""Mesh reader: named coefficients of a face from its 468 points, for real faces and without any training.

It knows no data set, so it may read every one. Neutral and size come from the person's true recording, not from the
video that is judged.
"""

import numpy as np
import torch
from torch import nn

import faces
from faces.mean_face import mean_face
from faces.person import LEAST

PARTS = {
    "expression": (*faces.EXPRESSION, *faces.BASIS),
    "pose": faces.POSE,
    "lips": faces.LIPS,
    "eyes": faces.EYES,
    "all": faces.NAMES,
}


class MeshProbe(nn.Module):
    """Coefficients `faces.NAMES` of frames; has no weights but the mean face that they refer to."""

    names: tuple[str, ...] = faces.NAMES
    groups = {part: tuple(faces.NAMES.index(name) for name in names) for part, names in PARTS.items()}
    extractor = faces.EXTRACTOR

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean_face", torch.tensor(mean_face()[0], dtype=torch.float32))

    def track(self, frames: np.ndarray, name: str = "the video") -> faces.FaceTrack:
        """The face in frames uint8 (T, H, W, 3)."""
        return faces.read_frames(frames, name=name)

    def neutral(self, track: faces.FaceTrack) -> np.ndarray | None:
        """Neutral face float32 (468, 3) of the person in a true recording; None where hardly a face is seen."""
        return faces.person_of([track]).neutral.astype(np.float32) if track.found.sum() >= LEAST else None

    def read_track(self, track: faces.FaceTrack, neutral: np.ndarray | None) -> np.ndarray:
        """Coefficients, float32 (T, 67), of a track; NaN in frames without a face, or without a person."""
        if neutral is None or not track.found.any():
            return np.full((len(track), len(self.names)), np.nan, np.float32)
        return faces.coefficients(track, faces.Person(neutral, 0)).values
