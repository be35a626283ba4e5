"""True frames for training and testing probes: whole videos are decoded, few frames of each are kept."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from dyads.contract import ROLES, Dyad
from dyads.media import read_video
from dyads.seeding import rng
from evaluation.clips import read_truth


@dataclass(frozen=True)
class FrameSet:
    """Sampled true frames. `reference` indexes `references`, the first frame of the same video."""

    frames: Tensor  # uint8 (N, 3, S, S)
    references: Tensor  # uint8 (V, 3, S, S)
    reference: Tensor  # int64 (N,)
    subject: Tensor  # int64 (N,), index into `subjects`
    subjects: tuple[str, ...]
    targets: Tensor | None  # float32 (N, 17) true coefficients, None without truth

    def __len__(self) -> int:
        return len(self.frames)


def sample_frames(dyads: list[Dyad], *, size: int, videos: int, per_video: int, seed: int) -> FrameSet:
    """Decode up to `videos` videos, spread evenly over subjects, and keep `per_video` random frames of each.

    Frames are scaled to `size` x `size`. The choice depends on (seed, dyad, role) only.
    """
    sides: dict[str, list[tuple[Dyad, str]]] = {}
    for dyad in dyads:
        for role in ROLES:
            sides.setdefault(dyad.side(role).subject_id, []).append((dyad, role))
    subjects = tuple(sorted(sides))
    for subject, items in sides.items():
        rng(seed, "probe-videos", subject).shuffle(items)
    depth = max(len(items) for items in sides.values())
    chosen = [
        (index, *sides[subject][level])
        for level in range(depth)
        for index, subject in enumerate(subjects)
        if level < len(sides[subject])
    ][:videos]

    frames, references, owner, subject_index, targets = [], [], [], [], []
    for video, (index, dyad, role) in enumerate(chosen):
        pictures = read_video(dyad.side(role).video, size=size)
        count = min(per_video, len(pictures))
        picked = np.sort(rng(seed, "probe-frames", dyad.dyad_id, role).permutation(len(pictures))[:count])
        frames.append(pictures[picked])
        references.append(pictures[0])
        owner.append(np.full(count, video))
        subject_index.append(np.full(count, index))
        truth = read_truth(dyad)
        if truth is not None:
            targets.append((truth.user if role == "user" else truth.avatar)[picked])
    return FrameSet(
        frames=to_tensor(np.concatenate(frames)),
        references=to_tensor(np.stack(references)),
        reference=torch.from_numpy(np.concatenate(owner)),
        subject=torch.from_numpy(np.concatenate(subject_index)),
        subjects=subjects,
        targets=torch.from_numpy(np.concatenate(targets)) if len(targets) == len(chosen) else None,
    )


def to_tensor(frames: np.ndarray) -> Tensor:
    """uint8 (T, H, W, 3) array to uint8 (T, 3, H, W) tensor."""
    return rearrange(torch.from_numpy(frames), "t h w c -> t c h w").contiguous()


def scaled(frames: Tensor, size: int) -> Tensor:
    """uint8 (T, 3, H, W) to float (T, 3, size, size) in [-1, 1], antialiased where the size differs."""
    values = frames.float()
    if values.shape[-2:] != (size, size):
        values = F.interpolate(values, (size, size), mode="bilinear", antialias=True, align_corners=False)
    return values / 127.5 - 1


def degrade(frames: Tensor, generator: torch.Generator) -> Tensor:
    """Frames in [-1, 1] as a codec or a soft generator might leave them: light, contrast, blur, blocks, noise.

    Draws on the CPU from `generator`; shapes (B, 3, S, S) in and out.
    """
    b, _, h, w = frames.shape

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return (torch.rand(b, *shape, generator=generator) * (high - low) + low).to(frames.device)

    def normal(*shape: int) -> Tensor:
        return torch.randn(b, *shape, generator=generator).to(frames.device)

    soft = F.avg_pool2d(F.pad(frames, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    softer = F.avg_pool2d(F.pad(soft, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    kind = uniform(0, 1, 1, 1, 1)
    amount = uniform(0, 1, 1, 1, 1)
    blurred = torch.where(kind < 0.4, frames, torch.where(kind < 0.8, soft, softer))
    frames = frames + amount * (blurred - frames)
    blocks = F.interpolate(normal(3, h // 8, w // 8), (h, w), mode="nearest")
    frames = frames + uniform(0, 0.02, 1, 1, 1) * blocks + uniform(0, 0.03, 1, 1, 1) * normal(1, h, w)
    return (frames * uniform(0.88, 1.12, 1, 1, 1) + uniform(-0.08, 0.08, 3, 1, 1)).clamp(-1, 1)
