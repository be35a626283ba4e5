"""Rendering: what the coefficients do to the picture, at any size."""

import numpy as np
import pytest

from dyads.errors import ConfigError, DataError
from dyads.synthetic.coefficients import COEFFICIENTS, INDEX, neutral
from dyads.synthetic.drawing.render import face_regions, render_frames
from dyads.synthetic.identities import PARAMETERS, known_people, person


def _frames(size=64, identity=14, **values) -> np.ndarray:
    """One frame per value; every keyword holds a list of equal length."""
    count = len(next(iter(values.values())))
    coefficients = neutral(count)
    for name, column in values.items():
        coefficients[:, INDEX[name]] = column
    return render_frames(identity, coefficients, size).astype(np.float32)


@pytest.mark.parametrize("size", [16, 48, 64, 130])
def test_any_size_renders(size):
    frames = render_frames(3, neutral(5), size)
    assert frames.shape == (5, size, size, 3) and frames.dtype == np.uint8
    assert (frames == frames[:1]).all() and frames.std() > 20


def test_frames_do_not_depend_on_their_neighbours():
    g = np.random.default_rng(0)
    coefficients = neutral(40)
    coefficients[:, 12:] = g.normal(0, 0.4, (40, 5))
    coefficients[:, :9] = g.uniform(0, 1, (40, 9))
    together = render_frames(5, coefficients, 64).astype(int)
    alone = np.concatenate([render_frames(5, c[None], 64) for c in coefficients]).astype(int)
    assert np.abs(together - alone).max() <= 1  # shared pixel boxes may round


@pytest.mark.parametrize("identity", [0, 1, 5, 20, 33, 66])
@pytest.mark.parametrize("name", COEFFICIENTS)
def test_every_coefficient_is_visible(identity, name):
    low, high = _frames(identity=identity, **{name: [0.0, 0.8]})
    assert np.abs(high - low).max() > 12, f"{name} changes nothing of person {identity}"


def test_antialiasing_agrees_with_supersampling():
    for identity in (2, 9, 26, 50):
        small = _frames(64, identity, jaw_open=[0.5], yaw=[0.2])[0]
        large = _frames(256, identity, jaw_open=[0.5], yaw=[0.2])[0]
        averaged = large.reshape(64, 4, 64, 4, 3).mean((1, 3))
        assert np.abs(small - averaged).mean() < 2.5
        assert np.percentile(np.abs(small - averaged), 99) < 40


def test_small_motion_changes_pixels_smoothly():
    steps = np.linspace(0.0, 0.5, 41)
    frames = _frames(64, shift_x=steps)
    change = np.abs(np.diff(frames, axis=0)).max(axis=(1, 2, 3))
    assert change.min() > 0 and change.max() < 80  # 0.03 px a step: no pixel jumps


def _opening(frames: np.ndarray, identity: int) -> np.ndarray:
    """How many pixels of the lip region differ from the closed mouth."""
    _, lips = face_regions(identity)
    return (np.abs(frames - frames[:1]).sum(-1) * lips).sum((1, 2))


def test_mouth_opens_monotonically_with_the_jaw_and_pressed_lips_shut_it():
    for identity in (4, 14, 30, 60):
        opening = _opening(_frames(identity=identity, jaw_open=np.linspace(0, 1, 21)), identity)
        assert (np.diff(opening) > 0).all()
        inside = _frames(identity=identity, jaw_open=[0.0, 0.9, 0.9], lip_press=[1.0, 1.0, 0.0])
        shut, wide = _opening(inside, identity)[1:]
        assert shut < 0.25 * wide


def test_lip_region_holds_what_lips_move_and_lies_in_the_face():
    for identity in range(0, PARAMETERS.identities, 7):
        face, lips = face_regions(identity, 64)
        assert ((1 - face) * lips).sum() < 0.1 * lips.sum()
        assert 0.02 < lips.mean() < 0.15 < face.mean() < 0.6
        for name, share in (
            ("lip_width", 0.9),
            ("lip_round", 0.9),
            ("jaw_open", 0.6),
        ):  # the jaw moves the chin too
            moved, still = _frames(identity=identity, **{name: [0.7, 0.0]})
            change = np.abs(moved - still).sum(-1)
            assert (change * lips).sum() > share * change.sum(), name


def test_pose_moves_the_face_the_stated_way():
    def centre(frame, still):
        weight = np.abs(frame - still).sum(-1) > 60
        return np.array([w.mean() for w in np.nonzero(weight)])

    still = render_frames(14, neutral(1), 64)[0].astype(np.float32)
    right, left = _frames(shift_x=[1.0, -1.0])
    assert centre(right, left)[1] == pytest.approx(31.5, abs=1.5)
    bald = 18  # no hair: the features alone tell yaw and pitch
    lip = {}
    for name, value in (("yaw", 0.8), ("pitch", 0.8)):
        plain, moved = _frames(identity=bald, **{name: [0.0, value]})
        dark = [np.argwhere(f.sum(-1) < 200)[:, 1 if name == "yaw" else 0].mean() for f in (plain, moved)]
        lip[name] = dark[1] - dark[0]
    assert lip["yaw"] > 1.0 and lip["pitch"] > 0.5
    assert still.shape == (64, 64, 3)


def test_people_differ():
    frames = np.stack([render_frames(i, neutral(1), 32)[0] for i in range(known_people())]).astype(int)
    distance = np.abs(frames[:, None] - frames[None]).mean((2, 3, 4)) + 99 * np.eye(len(frames))
    assert distance.min() > 8
    assert len({person(i, 0).style for i in range(known_people())}) >= 9


def test_wrong_coefficients_and_people_are_refused():
    with pytest.raises(DataError, match="17"):
        render_frames(0, np.zeros((3, 16), np.float32), 64)
    with pytest.raises(DataError, match="finite"):
        render_frames(0, np.full((1, 17), np.nan, np.float32), 64)
    with pytest.raises(ConfigError, match="outside"):
        person(known_people(), 0)
