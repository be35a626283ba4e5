"""Face and lip masks against areas and averages known in closed form."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dyads.errors import ConfigError
from dyads.masks import (
    DEFAULT,
    Ellipse,
    FaceGeometry,
    ellipse_mask,
    from_box,
    from_landmarks,
    region_masks,
    to_grid,
)

FRACTION = st.floats(0.1, 0.9)


@pytest.mark.parametrize("softness", [0.0, 0.1, 0.4])
def test_the_area_is_that_of_an_ellipse(softness: float):
    """A linear fall over `softness` of the radius: area = pi a b (1 + softness^2 / 12)."""
    mask = ellipse_mask(400, Ellipse(0.5, 0.5, 0.3, 0.2), softness)
    assert mask.mean() == pytest.approx(np.pi * 0.3 * 0.2 * (1 + softness**2 / 12), rel=2e-3)


@settings(max_examples=40)
@given(x=FRACTION, y=FRACTION, a=st.floats(0.02, 0.5), b=st.floats(0.02, 0.5), soft=st.floats(0, 1))
def test_masks_stay_in_range_and_do_not_overlap(x, y, a, b, soft):
    geometry = FaceGeometry(DEFAULT.face, Ellipse(x, y, a, b))
    face, lips = region_masks((24, 40), geometry, soft)
    assert face.shape == lips.shape == (24, 40) and face.dtype == np.float32
    assert min(face.min(), lips.min()) >= 0 and (face + lips).max() <= 1 + 1e-6
    if soft == 0:
        assert set(np.unique(face)) | set(np.unique(lips)) <= {0.0, 1.0} and (face * lips).max() == 0


def test_default_regions_are_where_a_framed_face_has_them():
    face, lips = region_masks(64)
    assert lips[46, 32] == 1 and face[46, 32] == 0  # mouth
    assert face[28, 32] == 1 and face[28, 22] == 1 and face[28, 42] == 1  # nose and eyes
    assert face[2, 32] == 0 and face[60, 2] == 0 and lips[:38].sum() == 0  # hair, background, upper face


def test_a_box_gives_the_ellipse_inscribed_in_it():
    geometry = from_box((0.2, 0.3, 0.4, 0.5))
    assert (geometry.face.x, geometry.face.y) == pytest.approx((0.4, 0.55))
    assert (geometry.face.radius_x, geometry.face.radius_y) == pytest.approx((0.2, 0.25))
    assert 0.3 + 0.25 < geometry.lips.y < 0.8 and geometry.lips.x == pytest.approx(0.4)


def test_landmarks_give_ellipses_around_them():
    angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    outline = np.stack([0.5 + 0.3 * np.cos(angles), 0.5 + 0.4 * np.sin(angles)], 1)
    angles = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    mouth = np.stack([0.5 + 0.1 * np.cos(angles), 0.7 + 0.05 * np.sin(angles)], 1)
    points = np.concatenate([outline, mouth])
    geometry = from_landmarks(points, margin=0.0)
    assert (geometry.face.radius_x, geometry.face.radius_y) == pytest.approx((0.3, 0.4))
    assert (geometry.lips.x, geometry.lips.y) == pytest.approx((0.5, 0.7))
    assert (geometry.lips.radius_x, geometry.lips.radius_y) == pytest.approx((0.1, 0.05))
    moved = from_landmarks(np.stack([points, points + [0, 0.1]]), margin=0.0)
    assert moved.lips.radius_y == pytest.approx(0.1) and moved.lips.y == pytest.approx(0.75)


@pytest.mark.parametrize("points", [np.zeros((5, 2)), np.full((68, 2), np.nan), np.zeros((68, 3))])
def test_bad_landmarks_are_refused(points: np.ndarray):
    with pytest.raises(ConfigError, match="landmarks must be finite"):
        from_landmarks(points)


def test_a_box_without_area_is_refused():
    with pytest.raises(ConfigError, match="has no area; give"):
        from_box((0.1, 0.1, 0.0, 0.5))


@settings(max_examples=40)
@given(
    height=st.integers(2, 40),
    width=st.integers(2, 40),
    rows=st.integers(1, 12),
    cols=st.integers(1, 12),
    seed=st.integers(0, 9),
)
def test_the_grid_keeps_the_mean(height, width, rows, cols, seed):
    mask = np.random.default_rng(seed).random((height, width))
    grid = to_grid(mask, rows, cols)
    assert grid.shape == (rows, cols) and grid.mean() == pytest.approx(mask.mean(), rel=1e-5)
    assert np.allclose(to_grid(np.full((height, width), 0.25), rows, cols), 0.25, atol=1e-6)


def test_a_grid_that_divides_the_frame_averages_blocks():
    mask = np.arange(48, dtype=float).reshape(6, 8)
    blocks = mask.reshape(3, 2, 2, 4).mean(axis=(1, 3))
    assert np.allclose(to_grid(mask, 3, 2), blocks)
    assert to_grid(mask, 3, 2, threshold=float(blocks[1, 0])).tolist() == [[0, 0], [1, 1], [1, 1]]


def test_a_grid_finer_than_a_pixel_splits_it():
    assert to_grid(np.array([[0.0, 1.0]]), 2, 3).tolist() == [[0, 0.5, 1], [0, 0.5, 1]]
