"""Crops of single pictures: a face is found and framed or said to be missing, and cutting is exact to the pixel."""

import numpy as np
import pytest
from skimage import data as pictures

from dyads.adapters.face_crop import Crop, apply_crop, box_crop, centre_crop, picture_crop
from dyads.errors import DataError


def inside(point: tuple[float, float], crop: Crop) -> tuple[float, float]:
    return (point[0] - crop.x) / crop.side, (point[1] - crop.y) / crop.side


@pytest.mark.parametrize("shift", [-60, 0, 200])
def test_a_face_is_found_without_a_download_and_framed(shift):
    crop = picture_crop(np.roll(pictures.astronaut(), shift, axis=1), "a.png")
    assert crop.origin.startswith("fixed:")
    x, y = inside((222 + shift, 155), crop)  # her mouth
    assert 0.35 < x < 0.65 and 0.6 < y < 0.82
    assert inside((222, 70), crop)[1] > 0.05 and inside((222, 185), crop)[1] < 0.98  # brow and chin are in


def test_without_a_face_it_is_refused():
    frame = np.random.default_rng(0).integers(0, 255, (60, 100, 3), dtype=np.uint8)
    with pytest.raises(DataError, match="a.png: no face is found; give a picture"):
        picture_crop(frame, "a.png")
    assert centre_crop(frame) == Crop(20, 0, 60, "centre")


def test_a_given_box_is_the_crop_and_grows_to_a_square():
    frame = np.zeros((100, 200, 3), np.uint8)
    assert box_crop(frame, (10, 20, 40, 40), "a.mp4") == Crop(10, 20, 40, "box:10,20,40,40")
    assert box_crop(frame, (10, 20, 40, 60), "a.mp4") == Crop(0, 20, 60, "box:10,20,40,60")


@pytest.mark.parametrize("box", [(200, 0, 10, 10), (0, 100, 10, 10), (-20, 0, 20, 20), (0, 0, 0, 10)])
def test_a_box_outside_the_frame_is_refused(box):
    with pytest.raises(DataError, match="a.mp4: the box .* lies outside 200x100; correct it"):
        box_crop(np.zeros((100, 200, 3), np.uint8), box, "a.mp4")


def test_a_crop_of_whole_pixels_is_a_slice():
    frame = np.random.default_rng(0).integers(0, 255, (40, 50, 3), dtype=np.uint8)
    assert np.array_equal(apply_crop(frame, Crop(7, 5, 24, ""), 24), frame[5:29, 7:31])


def test_beyond_the_frame_its_edge_is_repeated():
    frame = np.random.default_rng(0).integers(0, 255, (20, 20, 3), dtype=np.uint8)
    cut = apply_crop(frame, Crop(-4, 10, 20, ""), 20)
    assert np.array_equal(cut[:10, 4:], frame[10:, :16])
    assert (cut[:10, :4] == frame[10:, :1]).all() and (cut[10:, 4:] == frame[19:, :16]).all()
