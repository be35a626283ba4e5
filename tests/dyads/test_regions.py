"""A square of a frame has the whole picture's pixels, wherever it lies, and no frame stays in memory."""

import gc
from pathlib import Path

import av
import numpy as np
import pytest
from clip_factory import smooth

from dyads.adapters.face_crop import Crop, apply_crop
from dyads.media.regions import iter_views
from dyads.media.video import iter_video, write_video

SQUARES = [(30.3, 20.7, 60.5, 32), (-20, -10, 90, 32), (5, 7, 100, 64), (90, 60, 50.2, 32), (0, 0, 120, 48)]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("regions") / "clip.mp4"
    frames = smooth(30, 120, 200)
    frames[:, 40:80, 60:140] = np.random.default_rng(0).integers(0, 255, (30, 40, 80, 3), np.uint8)
    write_video(path, frames, None)
    return path


@pytest.mark.parametrize("square", SQUARES)
def test_a_square_alone_has_the_pixels_of_the_whole(clip: Path, square: tuple):
    x, y, side, size = square
    for whole, view in zip(iter_video(clip, end=0.2), iter_views(clip, end=0.2), strict=True):
        assert view.plain and view.size == whole.shape[:2]
        expected = apply_crop(whole, Crop(x, y, side, ""), size).astype(int)
        assert np.abs(expected - view.square(x, y, side, size)).max() <= 1


@pytest.mark.parametrize(("side", "size"), [(100, 16), (90.5, 32), (110, 24)])
def test_a_much_smaller_square_is_averaged_first_and_looks_the_same(tmp_path: Path, side: float, size: int):
    write_video(tmp_path / "clip.mp4", smooth(4, 240, 320), None)
    for whole, view in zip(iter_video(tmp_path / "clip.mp4"), iter_views(tmp_path / "clip.mp4"), strict=True):
        expected = apply_crop(whole, Crop(101.3, 60.7, side, ""), size).astype(int)
        found = view.square(101.3, 60.7, side, size)
        assert np.abs(expected - found).max() <= 3 and np.abs((expected - found).mean()) < 0.5


def test_frames_are_freed_without_the_garbage_collector(clip: Path):
    gc.collect()
    gc.disable()
    try:
        for k, view in enumerate(iter_views(clip)):
            view.square(30 + k, 20, 60, 32)
            view.small(100)
            del view
        alive = sum(isinstance(item, av.VideoFrame) for item in gc.get_objects())
    finally:
        gc.enable()
    assert alive <= 3
