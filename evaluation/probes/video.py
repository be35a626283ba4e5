"""Video probe: 32 features of a window of 16 frames, trained to tell at which speed true video is played."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from evaluation.probes.frames import relight, scaled, soften, to_tensor
from evaluation.probes.windows import WindowSet, windows

FEATURES, BATCH = 32, 16
WINDOW, STRIDE = 16, 16  # frames
SPEEDS = ("still", "half", "normal", "double")
GAIN = 4.0  # of the change from frame to frame, which is small beside the frames
LONGEST = 2 * WINDOW  # frames that a window of double speed is taken from


class VideoProbe(nn.Module):
    """Windows in [-1, 1], (B, 3, 16, S, S), to features (B, 32): convolutions over space and over time in turn."""

    def __init__(self, size: int = 32, width: int = 16) -> None:
        super().__init__()
        self.size, w = size, width
        layers: list[nn.Module] = []
        for a, b, kernel in ((6, w, 5), (w, 2 * w, 3), (2 * w, 4 * w, 3)):
            layers += [nn.Conv3d(a, b, (1, kernel, kernel), (1, 2, 2), (0, kernel // 2, kernel // 2), bias=False)]
            layers += [nn.BatchNorm3d(b), nn.ReLU()]
            layers += [nn.Conv3d(b, b, (3, 1, 1), (2, 1, 1), (1, 0, 0), bias=False), nn.BatchNorm3d(b), nn.ReLU()]
        self.stages = nn.Sequential(*layers)
        self.penultimate = nn.Linear(4 * w * 2 * 16, FEATURES)
        self.speed = nn.Linear(FEATURES, len(SPEEDS))

    def forward(self, videos: Tensor) -> Tensor:
        change = F.pad(videos[:, :, 1:] - videos[:, :, :-1], (0, 0, 0, 0, 1, 0))
        videos = torch.cat([videos, GAIN * change], 1)
        maps = F.adaptive_avg_pool3d(self.stages(videos), (2, 4, 4))
        return self.penultimate(maps.flatten(1))

    @torch.inference_mode()
    def features_of(self, frames: np.ndarray) -> np.ndarray:
        """Features, float32 (N, 32), of the N windows of uint8 (T, H, W, 3) frames; a shorter rest is unused."""
        found, spans = [torch.zeros(0, FEATURES)], windows(len(frames), WINDOW, STRIDE)
        device = self.penultimate.weight.device
        for start in range(0, len(spans), BATCH):
            chosen = [to_tensor(frames[a:b]) for a, b in spans[start : start + BATCH]]
            found.append(self(_videos(torch.stack(chosen).to(device), self.size)).cpu())
        return torch.cat(found).numpy()


def _videos(frames: Tensor, size: int) -> Tensor:
    """uint8 (B, L, 3, H, W) to float (B, 3, L, size, size) in [-1, 1]."""
    pictures = scaled(rearrange(frames, "b l c h w -> (b l) c h w"), size)
    return rearrange(pictures, "(b l) c h w -> b c l h w", b=len(frames))


def at_speed(speed: Tensor) -> Tensor:
    """Which of `LONGEST` frames a window shows at each of `SPEEDS`, given by number (B,): (B, 16)."""
    step = torch.tensor([0.0, 0.5, 1.0, 2.0])[speed]
    return (torch.arange(WINDOW) * step[:, None]).floor().long()


@dataclass
class VideoTask:
    """At which of `SPEEDS` a window is played; needs nothing but video (`training.engine.loop.Task`)."""

    module: VideoProbe
    data: WindowSet
    batch_size: int

    def batch(self, step: int, generator: torch.Generator) -> dict[str, Any]:
        index = torch.randint(len(self.data), (self.batch_size,), generator=generator)
        speed = torch.randint(len(SPEEDS), (self.batch_size,), generator=generator)
        return {"frames": self.data.frames[index[:, None], at_speed(speed)], "speed": speed}

    def loss(self, batch: dict[str, Any], generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        videos = _videos(batch["frames"], self.module.size)
        # one light and one codec for a window: what changes within it is motion
        (strip,) = relight((rearrange(videos, "b c l h w -> b c (l h) w"),), generator)
        strip = soften(strip, generator)
        features = F.relu(self.module(rearrange(strip, "b c (l h) w -> b c l h w", l=videos.shape[2])))
        scores = self.module.speed(features)
        accuracy = (scores.argmax(1) == batch["speed"]).float().mean()
        return F.cross_entropy(scores, batch["speed"]), {"accuracy": accuracy}


@torch.inference_mode()
def speed_accuracy(probe: VideoProbe, data: WindowSet) -> float | None:
    """Share of the windows whose speed is told right, every window at every speed; None without windows."""
    if not len(data):
        return None
    right = [
        (probe.speed(F.relu(probe(_videos(data.frames[:, at_speed(torch.tensor([k]))[0]], probe.size)))).argmax(1) == k)
        for k in range(len(SPEEDS))
    ]
    return round(float(torch.cat(right).float().mean()), 4)
