"""Metrics through a network, which is passed in: FID, FVD, LPIPS, CSIM and LSE, computed as in the tables.

`evaluation.networks` loads the published networks from files (`inception.load(path)` ...); any module that maps the
same kind of input to features will do, but only the published ones give published values.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dyads.contract import SAMPLES_PER_FRAME
from dyads.errors import DataError
from evaluation.metrics._series import Undefined, require_frames
from evaluation.metrics.pictures.perceptual import lpips_distance
from evaluation.readings.lip_sync import curve, lse, reading, scored
from evaluation.torch_metrics.base import ClipMean, Metric, evaluating
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
        super().__init__(None, unequal_counts=unequal_counts)

    def update(self, pictures: Tensor, real: bool) -> None:
        """Pictures (N, 3, H, W), with `channels_last` (N, H, W, 3): uint8, or floats in [0, 1], rounded to 8 bits."""
        self._take("true" if real else "generated", features(self.network, eight_bit(pictures, self.channels_last)))


class FVD(FrechetDistance):
    """Frechet distance of the features of windows of generated and of true videos, `fvd` of the tables.

    `network.features_of` takes uint8 (T, H, W, 3) frames to features (windows, D), as `evaluation.networks.i3d` does.
    """

    def __init__(self, network: Any, *, channels_last: bool = False, unequal_counts: bool = False) -> None:
        self.network, self.channels_last = network, channels_last
        super().__init__(None, unequal_counts=unequal_counts)

    def update(self, videos: Tensor, real: bool) -> None:
        """Frames (T, 3, H, W) of one video or (videos, T, 3, H, W) of several; formats as for FID.

        A video shorter than one of the network's windows adds none.
        """
        self._take("true" if real else "generated", self._watch(videos))

    def _watch(self, videos: Tensor) -> Tensor:
        clips = videos[None] if videos.ndim == 4 else videos
        if clips.ndim != 5:
            raise DataError(f"videos of shape {tuple(videos.shape)} are not (T, 3, H, W) or (videos, T, 3, H, W).")
        with evaluating(self.network):
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
        with evaluating(self.network):
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


class LSE(ClipMean):
    """LSE-D, the lip-sync error distance of `lse_d`, per clip and then averaged; `confidence` is LSE-C.

    `network` looks at frames and listens to sound as `evaluation.networks.syncnet` does. Scored are stretches of speech
    of at least `minimum` frames; a clip without one, or without sound, counts in `undefined`.
    """

    higher_is_better = False

    def __init__(self, network: Any, *, minimum: int = 50, channels_last: bool = False) -> None:
        self.network, self.minimum, self.channels_last = network, minimum, channels_last
        super().__init__()

    def empty(self) -> dict[str, Tensor]:
        beside = {name: torch.zeros((), dtype=torch.float64) for name in ("confidence", "offset")}
        return super().empty() | beside

    def update(self, frames: Tensor, sound: Tensor, speaking: Tensor | None = None) -> None:
        """One clip: 25 frames a second (T, 3, H, W), in formats as for FID, 640 samples of 16 kHz sound for each, in
        [-1, 1], and bools (T,), the frames in which the avatar speaks; without them the whole clip counts."""
        pictures, heard = eight_bit(frames, self.channels_last), sound.detach().cpu().float().numpy()
        if heard.shape != (len(pictures) * SAMPLES_PER_FRAME,):
            raise DataError(
                f"sound of shape {heard.shape} is not {SAMPLES_PER_FRAME} samples of {len(pictures)} frames."
            )
        counted = np.ones(len(pictures), bool) if speaking is None else speaking.detach().cpu().bool().numpy()
        if counted.shape != (len(pictures),):
            raise DataError(f"speaking of shape {counted.shape} does not fit {len(pictures)} frames.")
        self.count(self._distance, pictures, heard, counted, "too_few_frames" if speaking is None else "no_speech")

    def _distance(self, pictures: np.ndarray, heard: np.ndarray, counted: np.ndarray, missing: str) -> float:
        if not np.isfinite(heard).all():
            raise Undefined("not_finite")
        with evaluating(self.network):
            found = reading(self.network.look(pictures), self.network.listen(heard), heard)
        distance, confidence, offset = lse(curve(found, scored(found, counted, self.minimum, missing)))
        if np.isfinite(distance):
            self._add(confidence=confidence, offset=offset)
        return distance

    def confidence(self) -> Tensor:
        """LSE-C, higher is better; NaN where there is no LSE-D."""
        return self._mean("confidence")

    def offset(self) -> Tensor:
        """Mean shift in frames at which lips and voice fit best; above 0 the voice comes early."""
        return self._mean("offset")

    def _mean(self, name: str) -> Tensor:
        clips = self.state["clips"]
        return self.state[name] / clips if clips else torch.full((), torch.nan, dtype=torch.float64)


def features(network: Callable[[Tensor], Tensor], frames: np.ndarray) -> Tensor:
    """Features (N, D), on the CPU, of uint8 (N, H, W, 3) pictures, given to the network in [0, 1] on its device."""
    owner = getattr(network, "__self__", network)
    weight = next(owner.parameters(), None) if isinstance(owner, nn.Module) else None
    device = "cpu" if weight is None else weight.device
    found = []
    with evaluating(network):
        for start in range(0, len(frames), BATCH):
            pictures = torch.from_numpy(frames[start : start + BATCH]).movedim(-1, 1).to(device)
            found.append(network(pictures.float() / 255).cpu())
    return torch.cat(found)
