"""The pictures of a video, held where they are few, else decoded anew for whoever goes through them in order."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from dyads.media.video import iter_video

HELD_BYTES = 256 << 20  # of one video


class Frames:
    """Frames uint8 (T, H, W, 3) of a file, as far as an array is used as one: `shape`, `len`, going through them,
    `frames[::k]` and `frames[a:b]`, quick where a does not go back by more than the last piece."""

    def __init__(self, path: Path, count: int, size: tuple[int, int], step: int = 1) -> None:
        self.path, self.count, self.size, self.step = path, count, size, step
        self.source: Iterator[np.ndarray] | None = None
        self.position = 0  # of the source: the next frame it gives
        self.piece: list[np.ndarray] = []  # the last ones that it gave

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return (len(self), *self.size, 3)

    def __len__(self) -> int:
        return -(-self.count // self.step)

    def __iter__(self) -> Iterator[np.ndarray]:
        for index, frame in enumerate(sized(self.path, self.size)):
            if index >= self.count:
                return
            if index % self.step == 0:
                yield frame

    def first(self, count: int) -> "Frames":
        """The first so many."""
        return Frames(self.path, min(self.count, count * self.step), self.size, self.step)

    def __getitem__(self, wanted: slice) -> "Frames | np.ndarray":
        if (wanted.step or 1) > 1:
            if wanted.start or wanted.stop is not None:
                raise IndexError("Steps are taken over the whole video only.")
            return Frames(self.path, self.count, self.size, self.step * wanted.step)
        start, stop, _ = wanted.indices(len(self))
        if self.source is None or start < self.position - len(self.piece):
            self.source, self.piece, self.position = iter(self), [], 0
        self.piece = self.piece[max(0, start - (self.position - len(self.piece))) :]
        for index in range(self.position, stop):
            frame = next(self.source)
            if index >= start:
                self.piece.append(frame)
        self.position = max(self.position, stop)
        found = self.piece[: stop - start]
        return np.stack(found) if found else np.zeros((0, *self.size, 3), np.uint8)


def sized(path: Path, size: tuple[int, int]) -> Iterator[np.ndarray]:
    """A video's frames at 25 a second, uint8 (H, W, 3), at a size (H, W)."""
    for frame in iter_video(path):
        if frame.shape[:2] != size:
            picture = Image.fromarray(frame).resize(size[::-1], Image.Resampling.BICUBIC, reducing_gap=3.0)
            frame = np.asarray(picture)
        yield frame


def fitting(height: int, width: int, longest: int) -> tuple[int, int]:
    """The size at which the longer side is at most `longest`."""
    scale = min(1.0, longest / max(height, width))
    return max(2, round(height * scale)), max(2, round(width * scale))


def read_frames(path: Path, longest: int, size: tuple[int, int] | None = None) -> "np.ndarray | Frames":
    """A video's frames, at `size` (H, W) if that is given. DataError if they cannot be read."""
    size = size or fitting(*next(iter_video(path)).shape[:2], longest)  # upright, with square pixels
    held: list[np.ndarray] | None = []
    count = 0
    for frame in sized(path, size):
        count += 1
        if held is not None:
            held.append(frame)
            held = held if count * frame.nbytes <= HELD_BYTES else None
    return Frames(path, count, size) if held is None else np.stack(held)


def first(frames: "np.ndarray | Frames", count: int) -> "np.ndarray | Frames":
    """The first so many of either kind."""
    return frames.first(count) if isinstance(frames, Frames) else frames[:count]
