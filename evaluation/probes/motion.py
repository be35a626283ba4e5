"""Motion probe: reads the 17 face coefficients of a frame, given a reference frame of the same person."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn

from dyads.synthetic.coefficients import COEFFICIENTS
from evaluation.probes.frames import FrameSet, degrade, scaled, to_tensor

BATCH = 128


class MotionProbe(nn.Module):
    """(frame, reference) in [-1, 1], (B, 3, S, S) each, to standardised coefficients (B, D)."""

    names: tuple[str, ...] = COEFFICIENTS

    def __init__(self, size: int = 64, width: int = 16) -> None:
        super().__init__()
        if size % 16:
            raise ValueError(f"the motion probe's size is {size}, but must be a multiple of 16")
        self.size = size
        c = width
        self.features = nn.Sequential(
            nn.Conv2d(6, c, 5, stride=2, padding=2),
            nn.ReLU(),
            nn.Conv2d(c, 2 * c, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(2 * c, 4 * c, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(4 * c, 8 * c, 4, stride=2, padding=1),
            nn.ReLU(),
        )
        self.head = nn.Sequential(
            nn.Linear(8 * c * (size // 16) ** 2, 16 * c), nn.ReLU(), nn.Linear(16 * c, len(self.names))
        )
        self.register_buffer("mean", torch.zeros(len(self.names)))
        self.register_buffer("scale", torch.ones(len(self.names)))

    def forward(self, frames: Tensor, references: Tensor) -> Tensor:
        # the difference is what moves; the reference says whose face it is
        pictures = torch.cat([frames - references, references], dim=1)
        return self.head(rearrange(self.features(pictures), "b c h w -> b (c h w)"))

    @torch.inference_mode()
    def read(self, frames: np.ndarray, reference: np.ndarray) -> np.ndarray:
        """Coefficients, float32 (T, D), of uint8 (T, H, W, 3) frames; `reference` uint8 (H, W, 3), any size."""
        device = self.mean.device
        anchor = scaled(to_tensor(reference[None]).to(device), self.size)
        readings = []
        for start in range(0, len(frames), BATCH):
            pictures = scaled(to_tensor(frames[start : start + BATCH]).to(device), self.size)
            readings.append(self(pictures, anchor.expand_as(pictures)) * self.scale + self.mean)
        return torch.cat(readings).cpu().numpy()


@dataclass
class MotionTask:
    """Regression of standardised coefficients on degraded true frames (`training.loop.Task`)."""

    module: MotionProbe
    data: FrameSet
    batch_size: int

    def __post_init__(self) -> None:
        self.module.mean.copy_(self.data.targets.mean(0))
        self.module.scale.copy_(self.data.targets.std(0).clamp_min(0.02))

    def batch(self, step: int, generator: torch.Generator) -> dict[str, Any]:
        index = torch.randint(len(self.data), (self.batch_size,), generator=generator)
        return {
            "frames": self.data.frames[index],
            "references": self.data.references[self.data.reference[index]],
            "targets": self.data.targets[index],
        }

    def loss(self, batch: dict[str, Any], generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        size = self.module.size
        frames = degrade(scaled(batch["frames"], size), generator)
        references = scaled(batch["references"], size)
        wanted = (batch["targets"] - self.module.mean) / self.module.scale
        error = (self.module(frames, references) - wanted).square().mean(0)
        return error.mean(), {"jaw_open": error[0].detach(), "smile": error[4].detach()}


def r_squared(probe: MotionProbe, data: FrameSet) -> dict[str, float | None]:
    """R2 per coefficient on sampled frames; None where the true coefficient does not vary."""
    readings = []
    with torch.inference_mode():
        for start in range(0, len(data), BATCH):
            rows = slice(start, start + BATCH)
            frames = scaled(data.frames[rows], probe.size)
            references = scaled(data.references[data.reference[rows]], probe.size)
            readings.append(probe(frames, references) * probe.scale + probe.mean)
    error = (torch.cat(readings) - data.targets).square().mean(0)
    spread = data.targets.var(0, unbiased=False)
    return {
        name: round(1 - float(e / s), 4) if s > 1e-6 else None
        for name, e, s in zip(probe.names, error, spread, strict=True)
    }
