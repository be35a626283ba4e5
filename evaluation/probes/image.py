"""Image probe: 64 features of a frame, trained to tell training identities apart and, where known, their motion."""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from einops import reduce
from torch import Tensor, nn

from evaluation.probes.frames import FrameSet, relight, scaled, soften

FEATURES = 64


class ImageProbe(nn.Module):
    """Frames in [-1, 1], (B, 3, S, S), to features (B, 64) and the feature maps of three stages."""

    def __init__(self, size: int = 64, subjects: int = 2, targets: int = 0) -> None:
        super().__init__()
        self.size = size
        self.stages = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, k, stride=2, padding=k // 2), nn.ReLU())
            for a, b, k in ((3, 16, 5), (16, 32, 3), (32, 64, 3))
        )
        self.penultimate = nn.Linear(64 * 16, FEATURES)
        self.subject = nn.Linear(FEATURES, subjects)
        self.motion = nn.Linear(FEATURES, targets) if targets else None

    def forward(self, frames: Tensor) -> tuple[Tensor, list[Tensor]]:
        maps = []
        for stage in self.stages:
            frames = stage(frames)
            maps.append(frames)
        pooled = F.adaptive_avg_pool2d(frames, 4)  # coarse places, for any input size
        return self.penultimate(pooled.flatten(1)), maps

    @torch.inference_mode()
    def look(self, frames: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Features (T, 64) and maps of uint8 (T, 3, H, W) frames of any size."""
        return self(scaled(frames, self.size))


@dataclass
class ImageTask:
    """Identity classification and regression of standardised coefficients (`training.engine.loop.Task`)."""

    module: ImageProbe
    data: FrameSet
    batch_size: int

    def batch(self, step: int, generator: torch.Generator) -> dict[str, Any]:
        index = torch.randint(len(self.data), (self.batch_size,), generator=generator)
        chosen = {"frames": self.data.frames[index], "subject": self.data.subject[index]}
        if self.data.targets is not None:
            spread = self.data.targets.std(0).clamp_min(0.02)
            chosen["targets"] = (self.data.targets[index] - self.data.targets.mean(0)) / spread
        return chosen

    def loss(self, batch: dict[str, Any], generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        (frames,) = relight((scaled(batch["frames"], self.module.size),), generator)
        frames = soften(frames, generator)
        features, _ = self.module(frames)
        features = F.relu(features)
        scores = self.module.subject(features)
        loss = F.cross_entropy(scores, batch["subject"])
        numbers = {"accuracy": (scores.argmax(1) == batch["subject"]).float().mean()}
        if "targets" in batch:
            motion = reduce((self.module.motion(features) - batch["targets"]).square(), "b d -> ", "mean")
            loss, numbers["motion"] = loss + motion, motion.detach()
        return loss, numbers
