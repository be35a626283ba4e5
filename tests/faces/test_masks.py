"""Masks lie where this picture's lips and face are, not where a set's usual framing has them."""

import numpy as np
import pytest

from dyads.errors import DataError
from dyads.masks import to_grid
from faces.landmarks import FACE_OVAL, LIPS_OUTER
from faces.masks import frame_masks, picture_masks, region_masks


def test_the_lips_of_every_frame_lie_in_the_mask_of_their_own_picture(drawn) -> None:
    for index in range(0, len(drawn.frames), 40):
        points = np.asarray(drawn.track.points[index])
        face, lips = region_masks(points, 64, 64)
        x, y = np.clip(points[LIPS_OUTER, :2].astype(int), 0, 63).T
        assert (lips[y, x] > 0.9).all() and (face + lips <= 1 + 1e-6).all()
        x, y = np.clip(points[FACE_OVAL, :2].astype(int), 0, 63).T
        assert (face[y, x] > 0.5).mean() > 0.9
        assert 0.02 < lips.mean() < 0.25 < face.mean() + lips.mean()


def test_the_masks_move_with_the_face(drawn) -> None:
    points = np.asarray(drawn.track.points[0])
    moved = points + [10, -6, 0]
    _, lips = region_masks(points, 64, 64)
    _, there = region_masks(moved, 64, 64)
    np.testing.assert_allclose(np.roll(lips, (-6, 10), (0, 1))[8:50, 12:], there[8:50, 12:], atol=0.05)
    covering = region_masks(np.stack([points, moved]), 64, 64)[1]
    assert (covering >= np.maximum(lips, there) - 1e-6).all()


def test_binary_and_soft_masks_on_a_grid(drawn) -> None:
    points = np.asarray(drawn.track.points[0])
    for binary in (False, True):
        _, lips = region_masks(points, 64, 64, softness=0.1, binary=binary)
        assert set(np.unique(lips)) <= {0.0, 1.0} or not binary
        grid = to_grid(lips, 4, 4)
        row, column = np.unravel_index(grid.argmax(), grid.shape)
        assert (row, column) in ((2, 1), (2, 2), (3, 1), (3, 2))


def test_without_a_face_the_framing_stands_in_and_is_said(capsys) -> None:
    face, lips = picture_masks(np.full((64, 64, 3), 90, np.uint8))
    assert face.any() and lips.any() and "no face is found in a reference image" in capsys.readouterr().out
    with pytest.raises(DataError, match="no face was found to take masks from"):
        region_masks(np.full((468, 3), np.nan), 64, 64)


def test_each_frame_has_masks_of_its_own_and_one_without_a_face_the_framings(drawn) -> None:
    moved = np.roll(drawn.frames[:1], 6, axis=2)
    frames = np.concatenate([drawn.frames[:1], moved, np.full_like(moved, 90)])
    framing = np.zeros((2, 64, 64), np.float32)
    masks, unseen = frame_masks(frames, tuple(framing))
    assert masks.shape == (3, 2, 64, 64) and masks.dtype == np.uint8 and unseen == 1 and not masks[2].any()
    at = [(mask[1].astype(float).sum(0) @ np.arange(64)) / mask[1].sum() for mask in masks[:2]]
    assert at[1] - at[0] == pytest.approx(6, abs=1)
