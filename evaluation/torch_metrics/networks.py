"""Metrics through a network, which is passed in: FID, FVD, LPIPS, CSIM and LSE, computed as in the tables.

`evaluation.networks` loads the published networks from files (`inception.load(path)` ...); any module that maps the
same kind of input to features will do, but only the published ones give published values.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dyads.errors import DataError
from evaluation.metrics._series import Undefined, require_frames
from evaluation.metrics.perceptual import lpips_distance
from evaluation.torch_metrics.base import Metric
from evaluation.torch_metrics.frechet import FrechetDistance
from evaluation.torch_metrics.pictures import PictureMetric, eight_bit

BATCH = 16  # pictures at once, whatever an update brings


class FID(FrechetDistance):
    """Frechet distance of the features of generated and of true pictures, `fid` of the tables; unit: feature².

    `network` maps pictures (B, 3, H, W) in [0, 1] to features (B, D). Every picture given counts; the tables take every
    fourth frame of a clip. Counts must be equal unless `unequal_counts`, because the bias depends on them.
    """

    def __init__(
        self, network: Callable[[Tensor], Tensor], *, channels_last: bool = False, unequal_counts: bool = False
    ) -> None:
        self.network, self.channels_last = network, channels_last
        super().__init__(self._look, unequal_counts=unequal_counts)

    def update(self, pictures: Tensor, real: bool) -> None:
        """Pictures (N, 3, H, W), with `channels_last` (N, H, W, 3): uint8, or floats in [0, 1], rounded to 8 bits."""
        super().update(pictures, real)

    def _look(self, pictures: Tensor) -> Tensor:
        return features(self.network, eight_bit(pictures, self.channels_last))


class FVD(FrechetDistance):
    """Frechet distance of the features of windows of generated and of true videos, `fvd` of the tables.

    `network.features_of` takes uint8 (T, H, W, 3) frames to features (windows, D), as `evaluation.networks.i3d` does.
    """

    def __init__(self, network: Any, *, channels_last: bool = False, unequal_counts: bool = False) -> None:
        self.network, self.channels_last = network, channels_last
        super().__init__(self._watch, unequal_counts=unequal_counts)

    def update(self, videos: Tensor, real: bool) -> None:
        """Frames (T, 3, H, W) of one video or (videos, T, 3, H, W) of several; formats as for FID.

        A video shorter than one of the network's windows adds none.
        """
        super().update(videos, real)

    def _watch(self, videos: Tensor) -> Tensor:
        clips = videos[None] if videos.ndim == 4 else videos
        if clips.ndim != 5:
            raise DataError(f"videos of shape {tuple(videos.shape)} are not (T, 3, H, W) or (videos, T, 3, H, W).")
        found = [self.network.features_of(eight_bit(clip, self.channels_last)) for clip in clips]
        return torch.from_numpy(np.concatenate(found))


class LPIPS(PictureMetric):
    """Perceptual distance of generated and true frames, `lpips` of the tables, mean over frames.

    `network(a, b, normalize=True)` gives distances of pictures in [0, 1], as the lpips package's own does.
    """

    higher_is_better = False

    def __init__(self, network: nn.Module, *, channels_last: bool = False) -> None:
        self.network = network
        super().__init__(channels_last=channels_last)

    def per_frame(self, generated: np.ndarray, true: np.ndarray) -> np.ndarray:
        return lpips_distance(self.network, generated, true)


class CSIM(Metric):
    """Cosine similarity of the identity features of generated pictures and of true ones, or of one reference image.

    `csim_frame` and `csim` of the tables, which take every fifth frame; -1 to 1. `network` maps pictures (B, 3, H, W)
    in [0, 1] to features (B, D), as the method `of_pictures` of `evaluation.networks.arcface` does. A picture whose
    features have no length or are not finite counts in `undefined`.
    """

    higher_is_better = True

    def __init__(self, network: Callable[[Tensor], Tensor], *, channels_last: bool = False) -> None:
        self.network, self.channels_last = network, channels_last
        super().__init__()

    def empty(self) -> dict[str, Tensor]:
        none = torch.zeros((), dtype=torch.int64)
        return {"total": torch.zeros((), dtype=torch.float64), "frames": none, "undefined": none}

    @property
    def undefined(self) -> int:
        """How many pictures have no value."""
        return int(self.state["undefined"])

    def update(self, generated: Tensor, target: Tensor) -> None:
        """Generated (N, 3, H, W) against as many true frames, or against one reference image (3, H, W)."""
        one = target.ndim == 3
        sides = [eight_bit(x, self.channels_last) for x in (generated, target[None] if one else target)]
        if not one and len(sides[0]) != len(sides[1]):
            raise DataError(f"{len(sides[0])} generated pictures do not fit {len(sides[1])} true ones.")
        a, b = (features(self.network, side).double() for side in sides)
        cosines = (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1))  # 0 / 0 where features have no length
        good = cosines.isfinite()
        self._add(total=cosines[good].sum(), frames=good.sum(), undefined=(~good).sum())

    def value(self) -> float:
        if not self.state["frames"] and self.undefined:
            raise Undefined("not_finite")
        require_frames(int(self.state["frames"]), 1)
        return float(self.state["total"] / self.state["frames"])


def features(network: Callable[[Tensor], Tensor], frames: np.ndarray) -> Tensor:
    """Features (N, D), on the CPU, of uint8 (N, H, W, 3) pictures, given to the network in [0, 1] on its device."""
    owner = getattr(network, "__self__", network)
    weight = next(owner.parameters(), None) if isinstance(owner, nn.Module) else None
    device = "cpu" if weight is None else weight.device
    found = []
    with torch.no_grad():
        for start in range(0, len(frames), BATCH):
            pictures = torch.from_numpy(frames[start : start + BATCH]).movedim(-1, 1).to(device)
            found.append(network(pictures.float() / 255).cpu())
    return torch.cat(found)
