"""The border metric: the truth is 1, jumps are above it, a still face has none, a method's own clip length counts."""

import numpy as np
import pytest

from evaluation.metrics._series import Undefined
from evaluation.metrics.pictures.clip_border import border_ratio, change, clip_border

FRAMES = 121


def moving(seed: int = 0, step: float = 2.0) -> np.ndarray:
    """A picture that changes by about `step` grey levels a frame: uint8 (121, 8, 8, 3)."""
    generator = np.random.default_rng(seed)
    steps = generator.choice([-step, step], size=(FRAMES, 8, 8, 3))
    return (128 + np.abs(np.cumsum(steps, 0)) % 100).astype(np.uint8)


def jumping(clip: int, height: int) -> np.ndarray:
    """The same with every other clip brighter."""
    return moving() // 2 + (height * (np.arange(FRAMES) // clip % 2)).astype(np.uint8)[:, None, None, None]


def test_change_is_the_root_mean_square_and_uint8_does_not_wrap():
    frames = np.zeros((3, 2, 2, 3), np.uint8)
    frames[1] = 10
    frames[2, 0] = 6
    assert change(frames) == pytest.approx([10.0, np.sqrt((4**2 + 10**2) / 2)])


def test_truth_is_one_by_construction():
    true = moving()
    assert clip_border(true, true) == 1.0 == clip_border(true, true.copy(), 10)


@pytest.mark.parametrize("clip", [10, 24])
def test_jumps_are_seen_where_clips_meet_and_grow_with_their_size(clip):
    true = moving() // 2
    values = [clip_border(jumping(clip, height), true, clip) for height in (0, 10, 40)]
    assert values[0] == 1.0 and 2 < values[1] < values[2]
    assert clip_border(jumping(clip, 40), true, 34 - clip) < values[2] / 2  # at another method's borders


def test_a_still_or_short_video_has_no_value():
    true = moving()
    for frames, status in ((true[:1].repeat(FRAMES, 0), "constant_series"), (true[:48], "too_few_frames")):
        with pytest.raises(Undefined) as failure:
            border_ratio(frames)
        assert failure.value.status == status
    assert border_ratio(true[:49]) > 0


def test_a_truth_that_repeats_its_picture_at_every_border_has_no_value():
    """Dividing by its change of nothing would end the whole row."""
    true = moving()
    true[24::24] = true[23:-1:24]
    with pytest.raises(Undefined) as failure:
        clip_border(moving(), true)
    assert failure.value.status == "constant_series"
