"""Draws a person from face coefficients: antialiased signed-distance shapes, many frames at once.

Scene coordinates run from about -1 to 1 in x (right) and y (down). The head is a sphere-like surface: yaw and
pitch move the features over it (2.5D parallax), roll rotates, shift translates. Full scale of the pose: yaw 1
is 26 degrees to the image's right, pitch 1 is 18 degrees down, roll 1 is 18 degrees clockwise, shift 1 is 9 %
of the picture. `eye_open` is 0 when shut, 1 at rest, 1.25 when wide.
"""

import numpy as np

from dyads.errors import DataError
from dyads.synthetic.coefficients import COEFFICIENTS, neutral
from dyads.synthetic.drawing.canvas import Canvas, cover, pose
from dyads.synthetic.drawing.face import brow, ears, eye, face_distance, glasses, mouth, nose, skin
from dyads.synthetic.drawing.scene import backdrop, hair_back, hair_front, neck
from dyads.synthetic.identities import Person, person


def render_frames(identity: int, coefficients: np.ndarray, size: int = 64, world_seed: int = 0) -> np.ndarray:
    """Render coefficients (T, 17) of `identity` as uint8 RGB frames (T, size, size, 3)."""
    values = np.asarray(coefficients, np.float32)
    if values.ndim != 2 or values.shape[1] != len(COEFFICIENTS) or not np.isfinite(values).all():
        raise DataError(f"coefficients of shape {values.shape} must be finite and (frames, {len(COEFFICIENTS)}).")
    someone = person(identity, world_seed)
    behind = backdrop(identity, size, world_seed)
    frames = np.empty((len(values), size, size, 3), np.uint8)
    step = int(np.clip(65_536 // (size * size), 1, 16))
    for first in range(0, len(values), step):
        image = _draw(someone, values[first : first + step], behind)
        np.clip(image, 0.0, 1.0, out=image)
        image *= 255.0
        image += 0.5
        frames[first : first + step] = image.astype(np.uint8).transpose(1, 2, 3, 0)
    return frames


def face_regions(identity: int, size: int = 64, world_seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Face and lip masks at rest, float32 (size, size) in [0, 1]; an open mouth fits the lips'."""
    someone = person(identity, world_seed)
    head = pose(someone, neutral(1))
    canvas = Canvas(np.zeros((3, 1, size, size), np.float32), head)
    box = canvas.everything()
    face = cover(face_distance(someone, head, *box[1:])[0], canvas.px)[0]
    width, top, bottom = someone.mouth_width * 1.3, someone.mouth_y - 0.10, someone.mouth_y + 0.22
    _, u, v = box
    distance = np.maximum(np.abs(u) - width, np.abs(v - (top + bottom) / 2) - (bottom - top) / 2)
    within = face_distance(someone, head, *box[1:], grow=0.04)[0]  # the chin sinks with the jaw
    return face, cover(np.maximum(distance, within), canvas.px)[0]


def _draw(someone: Person, values: np.ndarray, behind: np.ndarray) -> np.ndarray:
    head = pose(someone, values)
    image = np.repeat(behind[:, None], len(values), axis=1)
    canvas = Canvas(image, head)
    hair_back(canvas, someone)
    neck(canvas, someone)
    ears(canvas, someone)
    skin(canvas, someone)
    nose(canvas, someone)
    mouth(canvas, someone)
    for side in (-1, 1):
        eye(canvas, someone, side)
    hair_front(canvas, someone)
    for side in (-1, 1):
        brow(canvas, someone, side)
    if someone.glasses:
        glasses(canvas, someone)
    return image
