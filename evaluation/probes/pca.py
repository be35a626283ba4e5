"""PCA probe for data without true coefficients: directions of change of brightness relative to the reference."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from evaluation.probes.frames import FrameSet, to_tensor

BATCH = 256
LUMA = (0.299, 0.587, 0.114)


class PcaProbe(nn.Module):
    """The first `dimensions` principal components of downsampled luminance change, scaled to unit variance.

    The components have no names, so metrics that ask for a mouth or a smile are undefined with this probe.
    """

    names: tuple[str, ...] = ()

    def __init__(self, size: int = 32, dimensions: int = 16) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("mean", torch.zeros(size * size))
        self.register_buffer("components", torch.zeros(dimensions, size * size))

    def luminance(self, frames: Tensor) -> Tensor:
        """uint8 (T, 3, H, W) to float (T, size * size) in [0, 1]."""
        grey = (frames.float() * frames.new_tensor(LUMA, dtype=torch.float)[:, None, None]).sum(1, keepdim=True)
        return F.interpolate(grey, (self.size, self.size), mode="area").flatten(1) / 255

    def fit(self, data: FrameSet) -> None:
        """Set mean and components from true frames; fewer frames than dimensions leave the rest zero."""
        change = self.luminance(data.frames) - self.luminance(data.references)[data.reference]
        self.mean.copy_(change.mean(0))
        _, spread, directions = torch.linalg.svd(change - self.mean, full_matrices=False)
        count = min(len(self.components), int((spread > 1e-6).sum()))
        scale = spread[:count] / max(len(change) - 1, 1) ** 0.5
        sign = directions[:count].sum(1).sign()[:, None]  # the sign of a component is arbitrary: fix it
        sign[sign == 0] = 1
        self.components.zero_()
        self.components[:count] = sign * directions[:count] / scale[:, None]

    @torch.inference_mode()
    def read(self, frames: np.ndarray, reference: np.ndarray) -> np.ndarray:
        """Component scores, float32 (T, D), of uint8 (T, H, W, 3) frames; `reference` uint8 (H, W, 3)."""
        device = self.mean.device
        anchor = self.luminance(to_tensor(reference[None]).to(device))
        scores = [
            self.luminance(to_tensor(frames[start : start + BATCH]).to(device)) - anchor - self.mean
            for start in range(0, len(frames), BATCH)
        ]
        return (torch.cat(scores) @ self.components.T).cpu().numpy()
