"""Picture metrics for training loops, computed on 8-bit RGB as in the tables."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from dyads.errors import DataError
from evaluation.metrics._series import Undefined, require_frames
from evaluation.metrics.pictures import psnr, ssim
from evaluation.torch_metrics.base import Metric, require_same_shape


class PictureMetric(Metric):
    """Mean over frames of a function of two pictures, which is computed on 8-bit RGB as in the tables."""

    higher_is_better = True
    per_frame: Callable[[np.ndarray, np.ndarray], np.ndarray]
    least = 1  # pixels a side

    def __init__(self, *, channels_last: bool = False) -> None:
        self.channels_last = channels_last
        super().__init__()

    def empty(self) -> dict[str, Tensor]:
        none = torch.zeros((), dtype=torch.int64)
        return {"total": torch.zeros((), dtype=torch.float64), "frames": none, "too_small": none}

    def update(self, generated: Tensor, true: Tensor) -> None:
        """Frames (N, 3, H, W), with `channels_last` (N, H, W, 3): uint8, or floats in [0, 1], rounded to 8 bits."""
        require_same_shape(generated, true)
        pictures = [eight_bit(frames, self.channels_last) for frames in (generated, true)]
        if min(pictures[0].shape[1:3]) < self.least:
            self._add(too_small=len(pictures[0]))
            return
        scores = self.per_frame(*pictures)
        self._add(total=float(np.sum(scores, dtype=np.float64)), frames=len(scores))

    def value(self) -> float:
        if self.state["too_small"]:
            raise Undefined("frame_too_small")
        require_frames(int(self.state["frames"]), 1)
        return float(self.state["total"] / self.state["frames"])


def eight_bit(frames: Tensor, channels_last: bool = False) -> np.ndarray:
    """uint8 (N, H, W, 3) of pictures (N, 3, H, W), with `channels_last` (N, H, W, 3): uint8, or floats in [0, 1]."""
    if frames.ndim != 4 or frames.shape[-1 if channels_last else 1] != 3:
        wanted = "(N, H, W, 3)" if channels_last else "(N, 3, H, W)"
        raise DataError(f"frames of shape {tuple(frames.shape)} are not {wanted}.")
    frames = frames.detach()
    if frames.is_floating_point():
        if not bool(((frames >= 0) & (frames <= 1)).all()):
            raise DataError("pictures in floating point must lie in [0, 1]; rescale or clamp them.")
        frames = (frames.float() * 255).round().to(torch.uint8)
    if frames.dtype != torch.uint8:
        raise DataError(f"pictures are uint8 or floats in [0, 1], not {frames.dtype}.")
    return (frames if channels_last else frames.movedim(1, -1)).cpu().numpy()


class SSIM(PictureMetric):
    """Structural similarity, -1 to 1, Gaussian window of 11 pixels: `evaluation.metrics.pictures.ssim`."""

    per_frame = staticmethod(ssim.ssim)
    least = 2 * ssim.RADIUS + 1


class PSNR(PictureMetric):
    """Peak signal-to-noise ratio in dB, per frame, then averaged, at most 100: `evaluation.metrics.pictures.psnr`."""

    per_frame = staticmethod(psnr.psnr)
