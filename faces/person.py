"""A person's own neutral face and size, from their recordings: what coefficients are measured from.

Neutral is the median of the aligned mesh over the person's frames; the size of a recording is the median size of the
head in it. Give every recording of a person that is there: a generated clip is then read against the true ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dyads.errors import DataError
from faces.mean_face import mean_face
from faces.pose import aligned
from faces.reader import FaceTrack

FRAMES = 400  # looked at in a recording, evenly spread
ROUNDS = 3
LEAST = 3  # frames with a face


@dataclass(frozen=True)
class Person:
    """`neutral` float64 (468, 3): the person's face at rest, facing the camera, outer corners of the eyes one apart
    on average over people; `frames` it rests on."""

    neutral: np.ndarray
    frames: int


def person_of(tracks: Sequence[FaceTrack], name: str = "the person") -> Person:
    """The person in these recordings (one person, any number of tracks).

    DataError: a face is found in fewer than three frames.
    """
    chosen = []
    for track in tracks:
        there = np.flatnonzero(track.found)
        there = there[np.linspace(0, len(there) - 1, min(len(there), FRAMES)).round().astype(int)]
        chosen.append(np.asarray(track.points[there], np.float64))
    points = np.concatenate(chosen) if chosen else np.empty((0, 468, 3))
    if len(points) < LEAST:
        raise DataError(
            f"{name}: a face is found in {len(points)} frames, at least {LEAST} are needed; give a recording in which "
            "the face is seen from the front, larger than 8 % of the picture's long side."
        )
    neutral, _ = mean_face()
    for _ in range(ROUNDS):
        neutral = np.median(aligned(points, neutral), axis=0)
    return Person(neutral, len(points))


def aligned_points(track: FaceTrack, person: Person | None = None) -> np.ndarray:
    """Points float64 (T, 468, 3) with pose and size removed, in outer-eye distances; NaN where no face was found."""
    person = person or person_of([track])
    return aligned(np.asarray(track.points, np.float64), person.neutral)
