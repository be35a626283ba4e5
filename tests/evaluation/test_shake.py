"""The shake metric: closed forms for still, even and trembling pictures; two frames have no value."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.metrics._series import Undefined
from evaluation.metrics.pictures.shake import shake


def picture(levels) -> np.ndarray:
    """A grey picture of one level a frame, uint8 (T, 4, 4, 3)."""
    return np.broadcast_to(np.array(levels, np.uint8)[:, None, None, None], (len(levels), 4, 4, 3))


def test_a_still_picture_and_an_even_change_have_none():
    assert shake(picture([7] * 9)) == 0.0
    assert shake(picture(range(0, 250, 10))) == 0.0


@given(st.integers(3, 40), st.integers(1, 255))
def test_a_trembling_of_height_h_has_2_h(frames, height):
    """x, x + h, x, ...: every second difference is 2 h, beyond what 8 bits hold."""
    assert shake(picture([height * (t % 2) for t in range(frames)])) == 2.0 * height


def test_it_falls_where_a_trembling_is_smoothed():
    noisy = np.random.default_rng(0).integers(0, 255, (30, 8, 8, 3))
    smooth = (noisy[1:] + noisy[:-1]) // 2
    assert 0 < shake(smooth.astype(np.uint8)) < 0.8 * shake(noisy.astype(np.uint8))


def test_two_frames_have_no_value():
    with pytest.raises(Undefined) as failure:
        shake(picture([1, 2]))
    assert failure.value.status == "too_few_frames"
