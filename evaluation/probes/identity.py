"""Identity probe: 64 features of a face that tell who it is, trained with an angular margin on training identities."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from evaluation.probes.frames import FrameSet, relight, scaled, soften, to_tensor

FEATURES, BATCH = 64, 64
STRIDE = 10  # of the frames read, from the first one on
SCALE, MARGIN = 16.0, 0.3  # of the loss: of the cosines, and in radian


class IdentityProbe(nn.Module):
    """Frames in [-1, 1], (B, 3, S, S), to features (B, 64) of unit length."""

    with_reference = True

    def __init__(self, size: int = 64, width: int = 24, subjects: int = 2) -> None:
        super().__init__()
        self.size = size
        channels = (3, width, 2 * width, 3 * width, 4 * width)
        stages = []
        for a, b in zip(channels, channels[1:], strict=False):
            stages += [nn.Conv2d(a, b, 5 if a == 3 else 3, stride=2, padding=2 if a == 3 else 1, bias=False)]
            stages += [nn.BatchNorm2d(b), nn.ReLU()]
        self.stages = nn.Sequential(*stages)
        self.embed = nn.Sequential(
            nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Dropout(0.2), nn.Linear(16 * channels[-1], FEATURES)
        )
        self.subjects = nn.Parameter(torch.randn(subjects, FEATURES))

    def forward(self, frames: Tensor) -> Tensor:
        return F.normalize(self.embed(self.stages(frames)))

    @torch.inference_mode()
    def features_of(self, frames: np.ndarray) -> np.ndarray:
        """Features, float32 (⌈T / STRIDE⌉, 64), of uint8 (T, H, W, 3) frames of any size."""
        chosen, device = frames[::STRIDE], self.subjects.device
        batches = [to_tensor(chosen[start : start + BATCH]).to(device) for start in range(0, len(chosen), BATCH)]
        return torch.cat([self(scaled(batch, self.size)).cpu() for batch in batches]).numpy()


def margin_loss(features: Tensor, subjects: Tensor, subject: Tensor) -> Tensor:
    """ArcFace's loss (Deng et al. 2019): cross entropy of scaled cosines, the own one's angle widened by the margin.

    `features` (B, D) of unit length, `subjects` (S, D), `subject` int64 (B,).
    """
    cosines = (features @ F.normalize(subjects).T).clamp(-1 + 1e-6, 1 - 1e-6)
    own = cosines.gather(1, subject[:, None])
    # beyond pi - margin the cosine would rise again: there a straight line goes on, as in the authors' code
    widened = torch.where(
        own > np.cos(np.pi - MARGIN), torch.cos(torch.acos(own) + MARGIN), own - MARGIN * np.sin(MARGIN)
    )
    return F.cross_entropy(SCALE * cosines.scatter(1, subject[:, None], widened), subject)


@dataclass
class IdentityTask:
    """Who is it, whatever the light, the codec and the side it is seen from (`training.engine.loop.Task`)."""

    module: IdentityProbe
    data: FrameSet
    batch_size: int

    def batch(self, step: int, generator: torch.Generator) -> dict[str, Any]:
        index = torch.randint(len(self.data), (self.batch_size,), generator=generator)
        return {"frames": self.data.frames[index], "subject": self.data.subject[index]}

    def loss(self, batch: dict[str, Any], generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        (frames,) = relight((scaled(batch["frames"], self.module.size),), generator)
        features = self.module(soften(frames, generator))
        loss = margin_loss(features, self.module.subjects, batch["subject"])
        guess = (features @ F.normalize(self.module.subjects).T).argmax(1)
        return loss, {"accuracy": (guess == batch["subject"]).float().mean()}


@torch.inference_mode()
def verification(probe: IdentityProbe, data: FrameSet) -> dict[str, float | None]:
    """How well cosines tell pairs of one person's frames from pairs of two people's, in different videos.

    `auc`: the chance that a pair of one person is the more alike; None if nobody is in two videos.
    """
    features = torch.cat([probe(scaled(chunk, probe.size)) for chunk in data.frames.split(BATCH)])
    cosines = features @ features.T
    other_video = data.reference[:, None] != data.reference[None]
    same = data.subject[:, None] == data.subject[None]
    own, others = cosines[same & other_video], cosines[~same]
    if not len(own) or not len(others):
        return {"auc": None, "same": None, "different": None}
    from sklearn.metrics import roc_auc_score

    truth = np.concatenate([np.ones(len(own)), np.zeros(len(others))])
    auc = float(roc_auc_score(truth, torch.cat([own, others]).numpy()))
    return {"auc": round(auc, 4), "same": round(float(own.mean()), 4), "different": round(float(others.mean()), 4)}
