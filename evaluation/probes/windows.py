"""Windows of consecutive true frames, and where they lie in a video."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dyads.contract import Dyad
from dyads.media.video import read_video
from dyads.seeding import rng
from evaluation.probes.frames import spread_over_subjects, to_tensor


def windows(count: int, length: int, stride: int) -> list[tuple[int, int]]:
    """(start, end) of every whole window of `length` frames in `count` frames, `stride` frames apart."""
    return [(start, start + length) for start in range(0, count - length + 1, stride)]


@dataclass(frozen=True)
class WindowSet:
    """Sampled stretches of true video: uint8 (N, L, 3, S, S)."""

    frames: Tensor

    def __len__(self) -> int:
        return len(self.frames)


def sample_windows(dyads: list[Dyad], *, size: int, length: int, videos: int, per_video: int, seed: int) -> WindowSet:
    """Decode up to `videos` videos, spread evenly over subjects; keep `per_video` random stretches of each.

    Frames are scaled to `size` x `size`. Videos shorter than `length` are left out. The choice depends on
    (seed, dyad, role) only.
    """
    frames = [torch.zeros(0, length, 3, size, size, dtype=torch.uint8)]
    for _, dyad, role in spread_over_subjects(dyads, videos, seed):
        pictures = to_tensor(read_video(dyad.side(role).video, size=size))
        starts = np.arange(len(pictures) - length + 1)
        starts = np.sort(rng(seed, "probe-windows", dyad.dyad_id, role).permutation(starts)[:per_video])
        frames += [pictures[None, start : start + length] for start in starts]
    return WindowSet(torch.cat(frames))
