"""True frames for training and testing probes: whole videos are decoded, few frames of each are kept."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from dyads.contract import ROLES, Dyad
from dyads.media.video import read_video
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
    starts: Tensor | None = None  # float32 (V, 17) true coefficients of the references

    def __len__(self) -> int:
        return len(self.frames)


def subjects_of(dyads: list[Dyad]) -> tuple[str, ...]:
    """Everyone who is seen, sorted."""
    return tuple(sorted({dyad.side(role).subject_id for dyad in dyads for role in ROLES}))


def spread_over_subjects(dyads: list[Dyad], videos: int, seed: int) -> list[tuple[int, Dyad, str]]:
    """Up to `videos` (index of the subject, dyad, role), everyone once before anyone twice."""
    sides: dict[str, list[tuple[Dyad, str]]] = {}
    for dyad in dyads:
        for role in ROLES:
            sides.setdefault(dyad.side(role).subject_id, []).append((dyad, role))
    for subject, items in sides.items():
        rng(seed, "probe-videos", subject).shuffle(items)
    depth = max(len(items) for items in sides.values())
    return [
        (index, *sides[subject][level])
        for level in range(depth)
        for index, subject in enumerate(sorted(sides))
        if level < len(sides[subject])
    ][:videos]


def sample_frames(dyads: list[Dyad], *, size: int, videos: int, per_video: int, seed: int) -> FrameSet:
    """Decode up to `videos` videos, spread evenly over subjects, and keep `per_video` random frames of each.

    Frames are scaled to `size` x `size`. The choice depends on (seed, dyad, role) only.
    """
    subjects = subjects_of(dyads)
    chosen = spread_over_subjects(dyads, videos, seed)
    frames, references, owner, subject_index, targets, starts = [], [], [], [], [], []
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
            coefficients = truth.user if role == "user" else truth.avatar
            targets.append(coefficients[picked])
            starts.append(coefficients[0])
    known = len(targets) == len(chosen)
    return FrameSet(
        frames=to_tensor(np.concatenate(frames)),
        references=to_tensor(np.stack(references)),
        reference=torch.from_numpy(np.concatenate(owner)),
        subject=torch.from_numpy(np.concatenate(subject_index)),
        subjects=subjects,
        targets=torch.from_numpy(np.concatenate(targets)) if known else None,
        starts=torch.from_numpy(np.stack(starts)) if known else None,
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


def soften(frames: Tensor, generator: torch.Generator) -> Tensor:
    """Frames in [-1, 1] as a codec or a soft generator might leave them: a little blur, grain and colour error.

    Draws on the CPU from `generator`; (B, 3, S, S) in and out.
    """
    blurred = F.avg_pool2d(F.pad(frames, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    amount = _uniform(frames, generator, -0.6, 1.0, 1, 1, 1).clamp_min(0)  # three in eight stay sharp
    grain = torch.randn(len(frames), 1, *frames.shape[2:], generator=generator).to(frames.device)
    frames = frames + amount * (blurred - frames) + _uniform(frames, generator, 0, 0.03, 1, 1, 1) * grain
    gain = _uniform(frames, generator, 0.97, 1.03, 1, 1, 1)
    return frames * gain + _uniform(frames, generator, -0.02, 0.02, 3, 1, 1)


def relight(pictures: tuple[Tensor, ...], generator: torch.Generator) -> tuple[Tensor, ...]:
    """The same random colour gain and brightness on all `pictures` (B, 3, S, S): other light, other complexions."""
    gain = _uniform(pictures[0], generator, 0.55, 1.45, 3, 1, 1)
    offset = _uniform(pictures[0], generator, -0.36, 0.36, 3, 1, 1)
    return tuple(picture * gain + offset for picture in pictures)


def _uniform(like: Tensor, generator: torch.Generator, low: float, high: float, *shape: int) -> Tensor:
    values = torch.rand(len(like), *shape, generator=generator)
    return (values * (high - low) + low).to(like.device)
