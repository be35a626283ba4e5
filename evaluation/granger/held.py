"""What R-DGG holds of a corpus of hours: in memory while it is little, else in a file without a name."""

import tempfile
from collections.abc import Sequence
from threading import Lock

import numpy as np
from einops import rearrange

from evaluation.granger.moments import Moments

IN_MEMORY = 256 * 2**20  # bytes of each


class Residuals:
    """Of each listener float32 (frames, D · rows of the table), in memory while they are few, else on disk."""

    def __init__(self, frames: Sequence[int], width: int, rows: int) -> None:
        self.frames, self.width, self.rows = frames, width, rows
        self.begin = np.concatenate([[0], np.cumsum(frames)]) * rows * width * 4
        self.file, self.lock = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY), Lock()

    @property
    def columns(self) -> int:
        """Channels of all rows."""
        return self.width * self.rows

    def put(self, listener: int, row: int, left: np.ndarray) -> None:
        with self.lock:
            self.file.seek(int(self.begin[listener]) + row * left.size * 4)
            self.file.write(np.ascontiguousarray(left, "<f4").tobytes())

    def of(self, listener: int) -> np.ndarray:
        """(frames, D · rows)."""
        frames = self.frames[listener]
        with self.lock:
            self.file.seek(int(self.begin[listener]))
            held = np.frombuffer(self.file.read(self.rows * frames * self.width * 4), "<f4")
        return rearrange(held, "(row t d) -> t (row d)", row=self.rows, t=frames)


class Sums:
    """Products of predictions with themselves and residuals, made by person, read by time shift; many lie on disk."""

    def __init__(self, shifts: int, size: int, residuals: int) -> None:
        self.shape, self.size = (shifts, size, size + residuals + 1), size
        self.file, self.people, self.lock = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY), 0, Lock()

    def add(self, person: np.ndarray) -> None:
        """The next person's float32 (shifts, size, size + residuals + 1), the last column their sums."""
        self.file.write(person.tobytes())
        self.people += 1

    def of(self, shift: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(P, size, size), (P, size, residuals) and (P, size) at one time shift."""
        step, found = 4 * self.shape[1] * self.shape[2], []
        with self.lock:
            for person in range(self.people):
                self.file.seek((person * self.shape[0] + shift) * step)
                found.append(np.frombuffer(self.file.read(step), np.float32).reshape(self.shape[1:]))
        held = np.stack(found).astype(np.float64)
        return held[:, :, : self.size], held[:, :, self.size : -1], held[:, :, -1]


class Parts:
    """Moments of parts of a corpus, hundreds of megabytes each, on disk."""

    def __init__(self) -> None:
        self.file, self.begin, self.lock = tempfile.TemporaryFile(), [], Lock()

    def add(self, part: Moments) -> None:
        self.begin.append(self.file.seek(0, 2))
        self.lags, self.pairs = part.lags, tuple(part.second)
        for array in (part.count, part.first, np.stack([part.second[pair] for pair in self.pairs])):
            np.save(self.file, array)

    def of(self, part: int) -> Moments:
        with self.lock:
            self.file.seek(self.begin[part])
            count, first, second = (np.load(self.file) for _ in range(3))
        return Moments(self.lags, count, first, dict(zip(self.pairs, second, strict=True)))
