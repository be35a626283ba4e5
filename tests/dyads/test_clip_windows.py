"""Clip windows cover a dialogue once and in order, and never name a frame that does not exist."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dyads.errors import ConfigError
from dyads.seeding import rng, torch_generator
from dyads.windows import TAILS, clip_windows, random_window, take_clip, take_previous

SIZES = {"frames": st.integers(1, 120), "clip": st.integers(1, 40), "previous": st.integers(0, 30)}


@given(**SIZES, tail=st.sampled_from(TAILS))
def test_windows_cover_the_dialogue(frames: int, clip: int, previous: int, tail: str):
    windows = clip_windows(frames, clip, previous, tail)
    for window in windows:
        assert 0 <= window.previous_start <= window.start < window.stop <= frames
        assert window.previous_start == max(0, window.start - previous)
        assert window.frames == clip or tail == "shorten" and window.stop == frames
    shown = [frame for window in windows for frame in range(window.start, window.stop)]
    if tail in ("pad", "shorten"):
        assert shown == list(range(frames))
        assert sum(window.frames for window in windows) == (frames if tail == "shorten" else -(-frames // clip) * clip)
    elif tail == "drop":
        assert shown == list(range(frames // clip * clip)) and all(not window.padding for window in windows)
    else:
        assert sorted(set(shown)) == list(range(frames))
        assert frames < clip or all(not window.padding for window in windows)


@given(**SIZES)
def test_padding_repeats_the_last_frame(frames: int, clip: int, previous: int):
    array = np.arange(frames)
    windows = clip_windows(frames, clip, previous)
    joined = np.concatenate([take_clip(array, window) for window in windows])
    assert joined[:frames].tolist() == array.tolist() and (joined[frames:] == frames - 1).all()
    tensors = torch.cat([take_clip(torch.arange(frames), window) for window in windows])
    assert tensors.tolist() == joined.tolist()


@given(**SIZES)
def test_previous_frames_end_where_the_clip_starts(frames: int, clip: int, previous: int):
    array = np.arange(frames)
    for window in clip_windows(frames, clip, previous):
        taken, real = take_previous(array, window, previous)
        assert len(taken) == previous and real == min(previous, window.start)
        assert taken[previous - real :].tolist() == list(range(window.start - real, window.start))
        assert (taken[: previous - real] == 0).all()


@given(**SIZES, seed=st.integers(0, 5), step=st.integers(0, 50))
def test_random_windows_fit_and_depend_only_on_their_address(frames, clip, previous, seed, step):
    for make in (rng, torch_generator):
        window = random_window(frames, clip, previous, make(seed, "windows", step))
        assert window == random_window(frames, clip, previous, make(seed, "windows", step))
        assert 0 <= window.previous_start <= window.start < window.stop <= frames
        assert window.frames == clip and (window.padding == 0 or frames < clip)


def test_random_starts_are_uniform():
    starts = [random_window(14, 5, 3, rng(0, "windows", step)).start for step in range(3000)]
    counts = np.bincount(starts, minlength=10)
    assert len(counts) == 10 and counts.min() > 230 and counts.max() < 370  # 300 expected, 4 standard deviations


@pytest.mark.parametrize("arguments", [(0, 5, 1), (5, 0, 1), (5, 5, -1)])
def test_impossible_sizes_are_refused(arguments: tuple[int, int, int]):
    with pytest.raises(ConfigError, match="windows need"):
        clip_windows(*arguments)
    with pytest.raises(ConfigError, match="windows need"):
        random_window(*arguments, rng(0, "windows"))


def test_an_unknown_tail_is_refused():
    with pytest.raises(ConfigError, match="tail is 'wrap'; use one of pad"):
        clip_windows(5, 2, 1, "wrap")
