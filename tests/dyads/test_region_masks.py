"""Face and lip masks against areas and averages known in closed form."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dyads.masks import (
    DEFAULT,
    Ellipse,
    FaceGeometry,
    ellipse_mask,
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
