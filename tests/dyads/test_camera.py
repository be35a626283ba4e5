"""A face followed in one pass gets the pictures of two; a wrong guess of its size is seen, and key frames give it."""

import tracemalloc

import cv2
import numpy as np
import pytest

from dyads.adapters.engine import camera as cameras
from dyads.adapters.engine.camera import Following, Planned, camera, guessed_side
from dyads.adapters.engine.crop_plan import between
from dyads.adapters.engine.options import AdaptOptions
from dyads.adapters.engine.planning import crop_plan
from dyads.adapters.pairs import Source
from dyads.media.video import write_video
from dyads.synthetic.drawing.render import render_frames
from dyads.synthetic.world import generate_dialogue

FRAMES = 83
OPTIONS = AdaptOptions(size=32)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """A head that drifts and turns back."""
    dialogue = generate_dialogue(0, "train", 0, (4.0, 4.0))
    faces = render_frames(dialogue.identity["avatar"], dialogue.faces.avatar[:FRAMES], 96, 0)
    frames = np.full((FRAMES, 160, 320, 3), 120, np.uint8)
    for k, face in enumerate(faces):
        left = round(60 + 40 * np.sin(k / 12))
        frames[k, 30:126, left : left + 96] = cv2.GaussianBlur(face, (3, 3), 0)
    path = tmp_path_factory.mktemp("camera") / "drift.mp4"
    write_video(path, frames, None)
    return Source("ann", path, None)


def test_one_pass_gives_the_squares_and_pictures_of_two(source: Source):
    plan = crop_plan(source, 0, None, OPTIONS)
    one = Following(source, 0, None, float(plan.squares[0, 2]))
    pictures = list(one.pictures(32))
    assert len(pictures) == FRAMES and not one.off
    np.testing.assert_allclose(one.plan.squares, plan.squares, atol=1e-9)
    assert one.plan.origin == plan.origin and one.plan.inside == plan.inside
    for first, second in zip(pictures, Planned(source, 0, None, plan).pictures(32), strict=True):
        np.testing.assert_array_equal(first, second)


def test_a_wrong_size_is_off_and_the_plan_is_the_right_one(source: Source):
    plan = crop_plan(source, 0, None, OPTIONS)
    one = Following(source, 0, None, 1.3 * float(plan.squares[0, 2]))
    assert len(list(one.pictures(32))) == FRAMES and one.off
    np.testing.assert_array_equal(one.plan.squares, plan.squares)


def test_few_key_frames_and_large_frames_are_planned_first(source: Source, monkeypatch):
    assert guessed_side(source, 0, None) is None  # one key frame in three seconds
    assert isinstance(camera(source, 0, None, OPTIONS), Planned)
    monkeypatch.setattr(cameras, "LEAST_LOOKS", 1)
    assert isinstance(camera(source, 0, None, OPTIONS), Following)
    monkeypatch.setattr(cameras, "WAITING_BYTES", 1000)
    assert isinstance(camera(source, 0, None, OPTIONS), Planned)


def test_between_squares_a_drift_goes_on_for_a_step_beyond_the_last():
    squares = np.array([[0.0, 10, 5], [2, 10, 5], [6, 10, 5]])
    assert between(squares, 0.5) == (1, 10, 5) and between(squares, 2) == (6, 10, 5)
    assert between(squares, 2.5) == (8, 10, 5) and between(squares, 9) == between(squares, 3) == (10, 10, 5)
    assert between(squares[:1], 7) == (0, 10, 5)


def test_a_look_is_kept_in_the_bytes_of_its_numbers(source: Source):
    """Not as rows that each hold the array they were cut from: an hour's looks then took tens of megabytes."""
    one = Following(source, 0, None, 40.0)
    one.followed.width = one.followed.height = 200

    def looks(count: int) -> None:
        for k in range(count):
            one.followed.boxes.extend(np.array([60 + 40 * np.sin(k / 12), 50, 30, 30]))
            one._place(last=False)

    tracemalloc.start()
    looks(500)  # what is made once
    before = tracemalloc.get_traced_memory()[0]
    looks(1000)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert len(one.squares) > 1400
    assert grown < 1000 * 2 * (3 + 4) * 8  # arrays grow ahead of need
