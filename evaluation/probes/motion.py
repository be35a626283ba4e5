"""Motion probe: reads the 17 face coefficients of a frame, given the reference image of the same person.

First a coarse network finds the head's pose relative to the reference, in two rounds, and the frame is warped back
onto the reference; then a second network reads the face from the aligned difference. Without the alignment a small
network learns the training identities' looks instead of their motion.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dyads.synthetic.coefficients import COEFFICIENTS, EXPRESSION, POSE
from evaluation.probes.frames import FrameSet, relight, scaled, soften, to_tensor

BATCH = 128
FACE = 0.66  # half side of the square that the face network sees, in half picture sides
MIRRORED = ("gaze_x", "yaw", "roll", "shift_x")  # coefficients that change sign in a mirror
ROUNDS = 2
STILL = 1 / 12  # share of training pairs (reference, reference), which evaluation reads too
WEIGHTS = {"jaw_open": 3.0, "smile": 3.0, "gaze_x": 0.5, "gaze_y": 0.5}  # of the loss; the others have 1


def _stage(a: int, b: int, kernel: int) -> list[nn.Module]:
    return [nn.Conv2d(a, b, kernel, stride=2, padding=kernel // 2 - (kernel == 4)), nn.BatchNorm2d(b), nn.ReLU()]


def warp_grid(motion: Tensor, size: int, extent: float) -> Tensor:
    """Sampling grid (B, size, size, 2) of a square of half side `extent`, displaced by an affine motion (B, 6).

    `motion` holds (shift x, dxx, dxy, shift y, dyx, dyy) in units of the picture's half side.
    """
    rows = torch.stack([motion[:, [1, 2, 0]], motion[:, [4, 5, 3]]], dim=1)
    identity = torch.tensor([[1.0, 0, 0], [0, 1.0, 0]], device=motion.device)
    rows = (rows + identity) * torch.tensor([extent, extent, 1.0], device=motion.device)
    return F.affine_grid(rows, (len(motion), 1, size, size), align_corners=False)


def _sample(pictures: Tensor, grid: Tensor) -> Tensor:
    return F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)


class MotionProbe(nn.Module):
    """(frame, reference) in [-1, 1], (B, 3, S, S) each, to standardised coefficients (B, 17)."""

    names: tuple[str, ...] = COEFFICIENTS

    def __init__(self, size: int = 64, width: int = 24) -> None:
        super().__init__()
        if size % 32:
            raise ValueError(f"the motion probe's size is {size}, but must be a multiple of 32")
        self.size, self.crop, c = size, size * 3 // 4, width
        self.pose = nn.Sequential(
            *_stage(6, 16, 5), *_stage(16, 32, 4), *_stage(32, 48, 4), nn.Flatten(),
            nn.Linear(48 * (size // 16) ** 2, 96), nn.ReLU(), nn.Linear(96, 5),
        )  # fmt: skip
        self.warp = nn.Linear(5, 6, bias=False)  # pose to affine motion of the face
        self.face = nn.Sequential(
            *_stage(6, c, 5), *_stage(c, 2 * c, 4), *_stage(2 * c, 4 * c, 4), nn.Flatten(), nn.Dropout(0.3)
        )
        self.head = nn.Sequential(
            nn.Linear(4 * c * (self.crop // 8) ** 2 + 5, 256), nn.ReLU(), nn.Linear(256, len(self.names))
        )
        nn.init.zeros_(self.warp.weight)
        self.register_buffer("mean", torch.zeros(len(self.names)))
        self.register_buffer("scale", torch.ones(len(self.names)))

    def motion(self, pose: Tensor) -> Tensor:
        """Affine motion (B, 6) of a standardised pose (B, 5)."""
        return self.warp(pose * self.scale[POSE] + self.mean[POSE])

    def forward(self, frames: Tensor, references: Tensor, zoom: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        """Coefficients (B, 17) and each round's pose (B, 5).

        `references` may have one row for all frames. `zoom` (B, 6) warps both views of the face, to train on more
        face shapes than there are people.
        """
        half = self.size // 2
        still = frames.new_zeros(len(references), 6)
        anchor = _sample(F.avg_pool2d(references, 2), warp_grid(still, half, 1.0))
        pose, rounds = frames.new_zeros(len(frames), 5), []
        for number in range(ROUNDS):
            if number == 0:
                view = F.avg_pool2d(frames, 2)
            else:
                view = _sample(frames, warp_grid(self.motion(pose).detach(), half, 1.0))
            pose = pose.detach() + self.pose(torch.cat([view - anchor, anchor.expand_as(view)], 1))
            rounds.append(pose)
        pose = pose.detach()
        motion = self.motion(pose).detach()
        if zoom is not None:
            motion, still = _composed(motion, zoom), zoom
        view = _sample(frames, warp_grid(motion, self.crop, FACE))
        anchor = _sample(references, warp_grid(still, self.crop, FACE))
        features = self.face(torch.cat([view - anchor, anchor.expand_as(view)], 1))
        out = self.head(torch.cat([features, pose], 1))
        return torch.cat([out[:, : POSE.start], out[:, POSE] + pose], 1), rounds

    @torch.inference_mode()
    def read(self, frames: np.ndarray, reference: np.ndarray) -> np.ndarray:
        """Coefficients, float32 (T, 17), of uint8 (T, H, W, 3) frames; `reference` uint8 (H, W, 3), any size."""
        device = self.mean.device
        anchor = scaled(to_tensor(reference[None]).to(device), self.size)
        readings = []
        for start in range(0, len(frames), BATCH):
            pictures = scaled(to_tensor(frames[start : start + BATCH]).to(device), self.size)
            readings.append(self(pictures, anchor)[0] * self.scale + self.mean)
        return torch.cat(readings).cpu().numpy()


def _composed(motion: Tensor, zoom: Tensor) -> Tensor:
    """The affine motion that first applies `zoom` to the face's square and then `motion`; (B, 6) each."""

    def matrix(values: Tensor) -> tuple[Tensor, Tensor]:
        linear = torch.stack([values[:, 1:3], values[:, 4:6]], 1) + torch.eye(2, device=values.device)
        return linear, values[:, [0, 3]]

    (a, shift), (b, offset) = matrix(motion), matrix(zoom)
    linear = a @ b - torch.eye(2, device=a.device)
    shift = shift + (a @ offset[:, :, None])[:, :, 0]
    return torch.cat([shift[:, :1], linear[:, 0], shift[:, 1:], linear[:, 1]], 1)


@dataclass
class MotionTask:
    """Regression of standardised coefficients on degraded true frames (`training.engine.loop.Task`)."""

    module: MotionProbe
    data: FrameSet
    batch_size: int

    def __post_init__(self) -> None:
        self.module.mean.copy_(self.data.targets.mean(0))
        self.module.scale.copy_(self.data.targets.std(0).clamp_min(0.02))
        self.mirror = torch.tensor([-1.0 if name in MIRRORED else 1.0 for name in COEFFICIENTS])
        self.weights = torch.tensor([WEIGHTS.get(name, 1.0) for name in COEFFICIENTS])

    def batch(self, step: int, generator: torch.Generator) -> dict[str, Any]:
        index = torch.randint(len(self.data), (self.batch_size,), generator=generator)
        own = self.data.reference[index]
        frames, targets, references = self.data.frames[index], self.data.targets[index], self.data.references[own]
        still = round(STILL * self.batch_size)
        frames[:still], targets[:still] = references[:still], self.data.starts[own[:still]]
        flip = torch.rand(self.batch_size, generator=generator) < 0.5
        frames[flip], references[flip] = frames[flip].flip(3), references[flip].flip(3)
        targets[flip] *= self.mirror
        return {"frames": frames, "references": references, "targets": targets}

    def loss(self, batch: dict[str, Any], generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        probe = self.module
        frames, references = (scaled(batch[key], probe.size) for key in ("frames", "references"))
        frames, references = relight((frames, references), generator)
        frames = soften(frames, generator)
        zoom = (torch.rand(len(frames), 6, generator=generator) * 2 - 1) * torch.tensor([0.02, 0.04, 0, 0.02, 0, 0.04])
        wanted = (batch["targets"] - probe.mean) / probe.scale
        readings, rounds = probe(frames, references, zoom.to(frames.device))
        error = (readings - wanted).square().mean(0)
        loss = (error * self.weights.to(error.device)).mean()
        for pose in rounds:
            loss = loss + 0.3 * (pose - wanted[:, POSE]).square().mean()
        loss = loss + self._misfit(frames, references, wanted[:, POSE])
        numbers = {"jaw_open": error[0], "expression": error[EXPRESSION].mean(), "pose": error[POSE].mean()}
        return loss, {name: value.detach() for name, value in numbers.items()}

    def _misfit(self, frames: Tensor, references: Tensor, pose: Tensor) -> Tensor:
        """How badly the frame, warped by its true pose, fits the reference: teaches the warp what a pose does."""
        size = self.module.crop // 2
        view = _sample(frames, warp_grid(self.module.motion(pose), size, FACE))
        anchor = _sample(references, warp_grid(frames.new_zeros(len(frames), 6), size, FACE))
        border = size // 6
        return (view - anchor)[:, :, border:-border, border:-border].abs().mean()


def r_squared(probe: MotionProbe, data: FrameSet) -> dict[str, float | None]:
    """R2 per coefficient on sampled frames; None where the true coefficient does not vary."""
    readings = []
    with torch.inference_mode():
        for start in range(0, len(data), BATCH):
            rows = slice(start, start + BATCH)
            frames = scaled(data.frames[rows], probe.size)
            references = scaled(data.references[data.reference[rows]], probe.size)
            readings.append(probe(frames, references)[0] * probe.scale + probe.mean)
    error = (torch.cat(readings) - data.targets).square().mean(0)
    spread = data.targets.var(0, unbiased=False)
    return {
        name: round(1 - float(e / s), 4) if s > 1e-6 else None
        for name, e, s in zip(probe.names, error, spread, strict=True)
    }
