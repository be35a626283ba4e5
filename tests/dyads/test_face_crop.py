"""The face crop: offline detection, agreement between frames, and cutting to the pixel."""

import numpy as np
import pytest
from skimage import data as pictures

from dyads.adapters.face_crop import Crop, agree, apply_crop, choose_crop, detect_faces
from dyads.errors import DataError

FACE = np.array([175, 65, 95, 120])  # the astronaut's brow to chin, by eye


def inside(point: tuple[float, float], crop: Crop) -> tuple[float, float]:
    return (point[0] - crop.x) / crop.side, (point[1] - crop.y) / crop.side


def test_a_face_is_found_without_a_download_and_framed():
    frames = [np.roll(pictures.astronaut(), shift, axis=1) for shift in (-6, -3, 0, 3, 6)]
    crop = choose_crop(frames, None, "a.mp4")
    assert crop.origin.startswith("detected:")
    x, y = inside((222, 155), crop)  # her mouth
    assert 0.35 < x < 0.65 and 0.6 < y < 0.82
    assert inside((222, 78), crop)[1] > 0.05 and inside((222, 185), crop)[1] < 0.98  # brow and chin are in


def test_without_a_face_the_centre_is_cut():
    frames = [np.random.default_rng(k).integers(0, 255, (60, 100, 3), dtype=np.uint8) for k in range(3)]
    assert choose_crop(frames, None, "a.mp4") == Crop(20, 0, 60, "centre")


def test_frames_smaller_than_the_detector_are_no_error():
    assert detect_faces(np.zeros((20, 30, 3), np.uint8)).shape == (0, 4)


def test_a_given_box_is_the_crop_and_grows_to_a_square():
    frame = np.zeros((100, 200, 3), np.uint8)
    assert choose_crop([frame], (10, 20, 40, 40), "a.mp4") == Crop(10, 20, 40, "box:10,20,40,40")
    assert choose_crop([frame], (10, 20, 40, 60), "a.mp4") == Crop(0, 20, 60, "box:10,20,40,60")


@pytest.mark.parametrize("box", [(200, 0, 10, 10), (0, 100, 10, 10), (-20, 0, 20, 20), (0, 0, 0, 10)])
def test_a_box_outside_the_frame_is_refused(box):
    with pytest.raises(DataError, match="a.mp4: the box .* lies outside 200x100; correct it"):
        choose_crop([np.zeros((100, 200, 3), np.uint8)], box, "a.mp4")


def test_the_face_seen_in_most_frames_wins():
    def row(*boxes: list[float]) -> np.ndarray:
        return np.array(boxes, float).reshape(-1, 4)

    seen = [row([50, 50, 40, 40]), row([54, 50, 40, 40], [0, 0, 90, 90]), row([52, 52, 40, 40]), row()]
    assert agree(seen).tolist() == [52, 50, 40, 40]
    assert agree([row([50, 50, 40, 40]), row(), row(), row()]) is None
    assert agree([row(), row()]) is None


def test_a_crop_of_whole_pixels_is_a_slice():
    frame = np.random.default_rng(0).integers(0, 255, (40, 50, 3), dtype=np.uint8)
    assert np.array_equal(apply_crop(frame, Crop(7, 5, 24, ""), 24), frame[5:29, 7:31])


def test_beyond_the_frame_its_edge_is_repeated():
    frame = np.random.default_rng(0).integers(0, 255, (20, 20, 3), dtype=np.uint8)
    cut = apply_crop(frame, Crop(-4, 10, 20, ""), 20)
    assert np.array_equal(cut[:10, 4:], frame[10:, :16])
    assert (cut[:10, :4] == frame[10:, :1]).all() and (cut[10:, 4:] == frame[19:, :16]).all()
