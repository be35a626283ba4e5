"""Named coefficients follow the drawn truth, do not follow the head's place, and are NaN or refused without a face."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import faces
from dyads.errors import DataError
from dyads.synthetic.coefficients import INDEX
from faces.mean_face import basis, mean_face
from faces.person import Person
from faces.pose import angles, fit, undo
from faces.reader import FaceTrack

LEAST = {"jaw_open": 0.85, "eye_open": 0.84, "yaw": 0.95, "roll": 0.9, "smile": 0.7}


def track_of(points: np.ndarray) -> FaceTrack:
    count = len(points)
    return FaceTrack(
        640, 480, np.isfinite(points[:, 0, 0]), np.ones(count, np.float32), np.zeros((count, 4), np.float32),
        points.astype(np.float32), np.zeros(count, np.int32), np.zeros(count, bool),
    )  # fmt: skip


def test_coefficients_follow_the_drawn_truth(drawn) -> None:
    """One short recording; the figures over all test dialogues stand in docs/real_faces.md."""
    reading = faces.coefficients(drawn.track)
    for name, least in LEAST.items():
        truth = drawn.truth[:, INDEX[name]]
        if truth.std() > 0.05:
            r = np.corrcoef(reading.column(name)[:, 0], truth)[0, 1]
            assert r >= least, f"{name} correlates {r:.2f} with the truth"


@settings(max_examples=20, deadline=None)
@given(st.floats(20, 400), st.floats(-0.5, 0.5), st.floats(-500, 500), st.floats(-0.5, 0.5), st.floats(-0.4, 0.4))
def test_size_place_and_turn_of_the_head_change_no_expression(size, roll, shift, yaw, pitch) -> None:
    mesh, _ = mean_face()
    moved = mesh.copy()
    moved[[84, 17, 314, 14, 87, 317], 1] += 0.1
    turn = _rotation(yaw, pitch, roll)
    points = np.stack([mesh, moved]) @ turn.T * size + [shift, -shift, 0]
    person = Person(mesh, 2)
    reading = faces.coefficients(track_of(points), person)
    plain = faces.coefficients(track_of(np.stack([mesh, moved])), person)
    names = (*faces.LIPS, *faces.EXPRESSION, *faces.EYES, *faces.BASIS)
    np.testing.assert_allclose(reading.column(*names), plain.column(*names), atol=5e-3)
    np.testing.assert_allclose(reading.column("yaw", "pitch", "roll")[0], (yaw, pitch, roll), atol=1e-3)


def _rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """By the stated axes: each angle moves the tip of the nose (-z), or the picture's right, where the text says."""
    cy, sy, cp, sp, cr, sr = (*(f(a) for a in (yaw, pitch, roll) for f in (np.cos, np.sin)),)
    turn_yaw = np.array([[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]])
    turn_pitch = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    turn_roll = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    assert (turn_yaw @ [0, 0, -1])[0] * yaw >= 0 and (turn_pitch @ [0, 0, -1])[1] * pitch >= 0
    return turn_yaw @ turn_pitch @ turn_roll


def test_a_similarity_is_found_again() -> None:
    mesh, mirror = mean_face()
    turn = _rotation(0.3, -0.2, 0.1)
    pose = fit((mesh @ turn.T * 50 + [3, 4, 5])[None], mesh)
    np.testing.assert_allclose(pose.rotation[0], turn, atol=1e-9)
    np.testing.assert_allclose(angles(pose.rotation)[0], (0.3, -0.2, 0.1), atol=1e-9)
    np.testing.assert_allclose(undo((mesh @ turn.T * 50 + [3, 4, 5])[None], pose)[0], mesh, atol=1e-9)
    np.testing.assert_allclose(mesh[mirror] * [-1, 1, 1], mesh, atol=2e-5)
    np.testing.assert_allclose(basis().T @ basis(), np.eye(25), atol=1e-9)


def test_a_frame_without_a_face_is_nan_and_the_rest_stays() -> None:
    mesh, _ = mean_face()
    points = np.repeat(mesh[None], 8, 0) * 100
    points[3] = np.nan
    reading = faces.coefficients(track_of(points))
    assert np.isnan(reading.values[3]).all() and np.isfinite(np.delete(reading.values, 3, 0)).all()


def test_neutral_comes_from_all_of_a_persons_recordings() -> None:
    mesh, _ = mean_face()
    opened = mesh.copy()
    opened[[84, 17, 314, 14, 87, 317], 1] += 0.1
    rest, always_open = (track_of(np.repeat(each[None] * 80, n, 0)) for each, n in ((mesh, 9), (opened, 5)))
    alone = faces.coefficients(always_open).column("jaw_open")
    against = faces.coefficients(always_open, faces.person_of([rest])).column("jaw_open")
    assert np.abs(alone).max() < 1e-3 and against.min() > 0.3


def test_few_frames_make_no_person() -> None:
    with pytest.raises(DataError, match="at least 3 are needed"):
        faces.person_of([track_of(np.full((5, 468, 3), np.nan))], "clip.mp4")
