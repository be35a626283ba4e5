"""Clip windows: a dialogue is generated clip after clip, each continuing from the frames just before it.

Window indices always name real frames (0 <= previous_start <= start < stop <= frames). A clip that reaches
past the end of the dialogue is either shorter (`tail="shorten"`), padded by repeating its last frame
(`"pad"`), moved back to end with the dialogue, so that it overlaps the clip before (`"overlap"`), or left
out (`"drop"`).
"""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch

from dyads.errors import ConfigError

TAILS = ("pad", "shorten", "overlap", "drop")
Array = TypeVar("Array", np.ndarray, torch.Tensor)


@dataclass(frozen=True)
class Window:
    """Frames start..stop of a clip, those before it from previous_start, and how often the last one is
    repeated.
    """

    start: int
    stop: int
    previous_start: int
    padding: int = 0

    @property
    def frames(self) -> int:
        """Length of the clip with its padding."""
        return self.stop - self.start + self.padding


def _check(frames: int, clip: int, previous: int) -> None:
    if frames < 1 or clip < 1 or previous < 0:
        raise ConfigError(f"windows need frames >= 1, clip >= 1 and previous >= 0, got {frames}, {clip}, {previous}.")


def clip_windows(frames: int, clip: int, previous: int, tail: str = "pad") -> list[Window]:
    """Windows of `clip` frames that cover a dialogue of `frames` frames in order, without overlap but for
    `tail`.

    `previous` is how many frames before the clip are handed on; fewer exist at the start of the dialogue.
    """
    _check(frames, clip, previous)
    if tail not in TAILS:
        raise ConfigError(f"tail is {tail!r}; use one of {', '.join(TAILS)}.")
    windows = []
    for start in range(0, frames, clip):
        stop = min(start + clip, frames)
        missing = start + clip - stop
        if missing and tail == "drop":
            break
        if missing and tail == "overlap":
            start = max(0, frames - clip)
        padding = clip - (stop - start) if tail in ("pad", "overlap") else 0
        windows.append(Window(start, stop, max(0, start - previous), padding))
    return windows


def random_window(frames: int, clip: int, previous: int, generator: np.random.Generator | torch.Generator) -> Window:
    """A training window, uniform over all places where the clip fits; a short dialogue is padded."""
    _check(frames, clip, previous)
    places = max(1, frames - clip + 1)
    if isinstance(generator, torch.Generator):
        start = int(torch.randint(places, (1,), generator=generator))
    else:
        start = int(generator.integers(places))
    stop = min(start + clip, frames)
    return Window(start, stop, max(0, start - previous), clip - (stop - start))


def take_clip(array: Array, window: Window) -> Array:
    """Rows start..stop of `array` (T, ...), the last one repeated `padding` times: (frames, ...)."""
    rows = np.minimum(np.arange(window.start, window.start + window.frames), window.stop - 1)
    return array[torch.from_numpy(rows)] if isinstance(array, torch.Tensor) else array[rows]


def take_previous(array: Array, window: Window, previous: int) -> tuple[Array, int]:
    """The `previous` rows before the clip and how many are real; missing ones repeat the earliest."""
    rows = np.arange(window.start - previous, window.start)
    rows = np.clip(rows, window.previous_start, max(window.start - 1, 0))
    taken = array[torch.from_numpy(rows)] if isinstance(array, torch.Tensor) else array[rows]
    return taken, min(previous, window.start - window.previous_start)
