"""Faces are followed, a repeated picture reads as no motion, and a track survives its cache."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import faces
from dyads.errors import ConfigError, DataError
from dyads.media.video import read_video, write_video
from faces import store
from faces.finding.mesh import AROUND, Square, cut, read_face, read_square
from faces.finding.models import MESH, Network

ROOT = Path(__file__).resolve().parents[2]


def test_a_drawn_face_is_found_in_every_frame(drawn) -> None:
    track = drawn.track
    assert track.coverage == 1 and not track.others.any()
    truth_middle = np.array([32, 34])  # the crops hold the face in their middle
    middle = track.box[:, :2] + track.box[:, 2:] / 2
    assert np.abs(middle - truth_middle).max() < 10


def test_a_frozen_picture_has_no_variance(drawn, tmp_path: Path) -> None:
    """Also once a codec has been over it; MediaPipe's own tracking creeps here."""
    still = np.repeat(drawn.frames[:1], 40, 0)
    write_video(tmp_path / "still.mp4", still, None)
    for frames in (still, read_video(tmp_path / "still.mp4")):
        track = faces.read_frames(frames)
        values = faces.coefficients(track).values
        assert values.var(0).max() <= 1e-6, "a frozen face must not move"


def test_a_face_that_moves_is_not_taken_for_a_repeat(drawn) -> None:
    assert drawn.track.repeated.mean() < 0.2


def test_pictures_without_a_face_are_said_to_have_none() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (3, 96, 128, 3), dtype=np.uint8)
    track = faces.read_frames(noise)
    assert track.coverage == 0 and np.isnan(track.points).all() and np.isnan(track.box).all()
    with pytest.raises(DataError, match="a face is found in 0 frames"):
        faces.coefficients(track)


def test_a_face_that_appears_late_and_goes_is_found_meanwhile(drawn) -> None:
    empty = np.full_like(drawn.frames[:6], 90)
    track = faces.read_frames(np.concatenate([empty, drawn.frames[:12], empty]))
    assert list(track.found) == [False] * 6 + [True] * 12 + [False] * 6


def test_the_cache_gives_the_same_track_without_reading_again(drawn, tmp_path: Path, monkeypatch) -> None:
    write_video(tmp_path / "a.mp4", drawn.frames[:20], None)
    first = faces.read(tmp_path / "a.mp4", cache=tmp_path / "cache")
    monkeypatch.setattr("faces.reader.read_frames", lambda *_: pytest.fail("the video is read twice"))
    again = faces.read(tmp_path / "a.mp4", cache=tmp_path / "cache")
    for key in ("found", "score", "box", "points", "others", "repeated"):
        np.testing.assert_array_equal(getattr(first, key), getattr(again, key))
    assert (first.width, first.height) == (again.width, again.height) == (64, 64)


def test_a_damaged_cache_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    store.save(path, {"a": np.zeros((4, 3), np.float32)}, {})
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(DataError, match="x.safetensors: is no track"):
        store.load(path)


def test_the_left_and_the_right_of_two_faces_can_be_chosen(drawn) -> None:
    two = np.concatenate([drawn.frames[:6], drawn.frames[:6, :, ::-1]], 2)
    left, right = (faces.read_frames(two, faces.Options(which=side)) for side in ("left", "right"))
    assert left.box[:, 0].max() < 64 < right.box[:, 0].min() + right.box[:, 2].min()
    assert (left.others == 1).all() and (right.others == 1).all()
    boxed = faces.read_frames(two, faces.Options(box=(64.0, 0.0, 64.0, 64.0)))
    np.testing.assert_allclose(boxed.box, right.box, atol=2)


def test_a_small_face_is_the_mean_of_four_squares_and_a_large_one_its_own(drawn) -> None:
    picture = drawn.frames[0]
    for scale in (1, 8):
        large = cv2.resize(picture, None, fx=scale, fy=scale)
        square = Square(32.0 * scale, 34.0 * scale, 60.0 * scale, 0.0)
        piece = cut(large, square)
        points, score = read_face(large, square, piece)
        wanted = [square.beside(way) for way in AROUND] if scale == 1 else [square]
        single = [read_square(cut(large, near), near)[0] for near in wanted]
        np.testing.assert_allclose(points, np.mean(single, 0), atol=1e-9)
        assert score > 0.9 and np.ptp([each[10, 1] for each in single]) < 3 * scale


def test_a_network_gives_the_same_for_the_same_picture_whatever_came_before(drawn) -> None:
    square = Square(32.0, 34.0, 60.0, 0.0)
    pieces = [cut(frame, square) for frame in drawn.frames[:3]]
    first = [read_square(piece, square)[0] for piece in pieces]
    for k in (2, 0, 1, 1):
        np.testing.assert_array_equal(read_square(pieces[k], square)[0], first[k])
    with pytest.raises(ValueError):
        read_square(pieces[0][:64], square)


NEW_PROCESS = """
import multiprocessing, sys
import numpy as np
from faces.finding.models import mesh
picture = np.arange(192 * 192 * 3).reshape(192, 192, 3).astype(np.uint8)
mine = mesh()(picture, 0.0)[0]
def child(_):
    made = mesh.cache_info().currsize
    return made, mesh()(picture, 0.0)[0]
if __name__ == "__main__":
    with multiprocessing.get_context("fork").Pool(1) as pool:
        (made, theirs), = pool.map(child, [0])
    assert made == 0, "the parent's network is used after a fork"
    assert np.array_equal(mine, theirs) and "tensorflow" not in sys.modules
    import os
    os.write(2, b"kept")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_makes_its_own_network_and_nothing_is_written_to_standard_error() -> None:
    done = subprocess.run([sys.executable, "-c", NEW_PROCESS], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "kept")


def test_a_missing_runtime_is_named(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(ConfigError, match="ai-edge-litert==2.3.0"):
        Network(MESH)
