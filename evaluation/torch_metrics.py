"""Metrics for anyone's training loop, used like torchmetrics but without it: update, compute, reset, merge.

Every class streams into float64 accumulators, so memory does not grow with the data, and two metrics of the same
class, from two processes or two halves of a data set, `merge` into what one would have found. They pickle where
their feature function does. `compute` never returns a score for a failure: it returns NaN, and `status` says why in
the words of `evaluation.cards.STATUSES`.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dyads.errors import DataError
from evaluation.cards import OK
from evaluation.frechet import Moments, merge, moments_distance, sample_moments
from evaluation.metrics import mouth, psnr, ssim
from evaluation.metrics._series import Undefined, pearson, require_frames
from evaluation.metrics.motion_fd import MINIMUM_PER_DIMENSION

NOT_COMPUTED = "too_few_frames"  # of a metric that has seen nothing
CLIP_FAILURES = ("no_speech", "too_few_frames", "constant_series", "not_finite")


class Metric(ABC):
    """What the classes share; a subclass says `empty`, `update`, `value` and `higher_is_better`."""

    higher_is_better: bool
    is_differentiable = False

    def __init__(self) -> None:
        self.reset()

    @abstractmethod
    def empty(self) -> dict[str, Tensor | Moments]:
        """The accumulators before any data: tensors that add up, or moments that merge."""

    @abstractmethod
    def update(self, *batch: Any) -> None:
        """Take in a batch."""

    @abstractmethod
    def value(self) -> float:
        """The score of everything so far; raises Undefined with the status where there is none."""

    def reset(self) -> None:
        """Forget every batch."""
        self.state = self.empty()
        self.status = NOT_COMPUTED

    def compute(self) -> Tensor:
        """The score so far, a float64 scalar; NaN where there is none, and `status` says why until the next call."""
        try:
            value = self.value()
            self.status = OK if math.isfinite(value) else "not_finite"
        except Undefined as failure:
            self.status = failure.status
        return torch.tensor(value if self.status == OK else math.nan, dtype=torch.float64)

    def merge(self, other: "Metric") -> "Metric":
        """Add what another metric of the same class has seen, and return this one."""
        if type(other) is not type(self):
            raise DataError(f"{type(other).__name__} cannot be merged into {type(self).__name__}.")
        self.state = {name: _join(self.state[name], other.state[name]) for name in self.state}
        return self

    merge_state = merge

    def _add(self, **amounts: float | Tensor) -> None:
        self.state |= {name: self.state[name] + amount for name, amount in amounts.items()}

    def forward(self, *batch: Any) -> Tensor:
        """Take in a batch and return the score of this batch alone."""
        before, self.state = self.state, self.empty()
        try:
            self.update(*batch)
            score = self.compute()
        finally:
            self.state = {name: _join(before[name], self.state[name]) for name in before}
        return score

    __call__ = forward


class FrechetDistance(Metric):
    """Frechet distance of features of generated and of true samples; with Inception's features it is FID.

    `features` maps a batch of samples to (N, D); the unit is the feature's, squared. Counts must be equal unless
    `unequal_counts`, because the bias depends on them; a distance of fewer than D + 1 samples is exact but says little.
    """

    higher_is_better = False

    def __init__(self, features: Callable[[Any], Tensor], *, unequal_counts: bool = False) -> None:
        self.features = features
        self.unequal_counts = unequal_counts
        super().__init__()

    def empty(self) -> dict[str, Moments]:
        return {"true": _nothing(), "generated": _nothing()}

    def update(self, samples: Any, real: bool) -> None:
        """A batch of samples as `features` wants it; `real` tells true samples from generated ones."""
        with torch.no_grad():
            self._take("true" if real else "generated", self.features(samples))

    @property
    def counts(self) -> tuple[int, int]:
        """How many generated and how many true samples were seen."""
        return self.state["generated"].count, self.state["true"].count

    def value(self) -> float:
        return self._distance(2)

    def _take(self, side: str, features: Tensor) -> None:
        if features.ndim != 2:
            raise DataError(f"features of shape {tuple(features.shape)} are not (samples, dimensions).")
        for moments in self.state.values():
            if moments.count and moments.mean.shape != features.shape[1:]:
                raise DataError(f"features have {features.shape[1]} dimensions now, {len(moments.mean)} before.")
        self.state[side] = _join(self.state[side], _moments(features))

    def _distance(self, minimum: int) -> float:
        generated, true = self.state["generated"], self.state["true"]
        require_frames(min(self.counts), minimum)
        if generated.count != true.count and not self.unequal_counts:
            raise Undefined("length_mismatch")
        try:
            return moments_distance(_to_numpy(generated), _to_numpy(true), unequal_counts=True)
        except DataError as error:  # shapes and counts are right already
            raise Undefined("not_finite") from error


class MotionFD(FrechetDistance):
    """Frechet distance of generated and true motion coefficients, all frames pooled: `motion_fd_pooled` of the tables.

    In coefficient²; undefined below 2 D frames.
    """

    def __init__(self) -> None:
        super().__init__(features=_frames_of_motion)

    def update(self, generated: Tensor, true: Tensor) -> None:
        """Motion (T, D) or (clips, T, D) of the same shape."""
        _require_same_shape(generated, true)
        self._take("generated", self.features(generated))
        self._take("true", self.features(true))

    def value(self) -> float:
        return self._distance(MINIMUM_PER_DIMENSION * max(len(self.state["true"].mean), 1))


class _PictureMetric(Metric):
    """Mean over frames of a function of two pictures, which is computed on 8-bit RGB as in the tables."""

    higher_is_better = True
    per_frame: Callable[[np.ndarray, np.ndarray], np.ndarray]

    def __init__(self, *, channels_last: bool = False) -> None:
        self.channels_last = channels_last
        super().__init__()

    def empty(self) -> dict[str, Tensor]:
        return {"total": torch.zeros((), dtype=torch.float64), "frames": torch.zeros((), dtype=torch.int64)}

    def update(self, generated: Tensor, true: Tensor) -> None:
        """Frames (N, 3, H, W), with `channels_last` (N, H, W, 3): uint8, or floats in [0, 1], rounded to 8 bits."""
        _require_same_shape(generated, true)
        scores = self.per_frame(self._pictures(generated), self._pictures(true))
        self._add(total=float(np.sum(scores, dtype=np.float64)), frames=len(scores))

    def value(self) -> float:
        require_frames(int(self.state["frames"]), 1)
        return float(self.state["total"] / self.state["frames"])

    def _pictures(self, frames: Tensor) -> np.ndarray:
        """uint8 (N, H, W, 3)."""
        if frames.ndim != 4 or frames.shape[-1 if self.channels_last else 1] != 3:
            wanted = "(N, H, W, 3)" if self.channels_last else "(N, 3, H, W)"
            raise DataError(f"frames of shape {tuple(frames.shape)} are not {wanted}.")
        frames = frames.detach()
        if frames.is_floating_point():
            if not bool(((frames >= 0) & (frames <= 1)).all()):
                raise DataError("pictures in floating point must lie in [0, 1]; rescale or clamp them.")
            frames = (frames.float() * 255).round().to(torch.uint8)
        if frames.dtype != torch.uint8:
            raise DataError(f"pictures are uint8 or floats in [0, 1], not {frames.dtype}.")
        return (frames if self.channels_last else frames.movedim(1, -1)).cpu().numpy()


class SSIM(_PictureMetric):
    """Structural similarity, -1 to 1, Gaussian window of 11 pixels: `evaluation.metrics.ssim`."""

    per_frame = staticmethod(ssim.ssim)


class PSNR(_PictureMetric):
    """Peak signal-to-noise ratio in dB, per frame and then averaged, at most 100: `evaluation.metrics.psnr`."""

    per_frame = staticmethod(psnr.psnr)


class PairedCorrelation(Metric):
    """Pearson r of a generated with a true series, the opening of the mouth, per clip and then averaged over clips.

    `mouth_opening_correlation` of the tables. A clip whose r does not exist counts in `undefined`, not in the mean.
    """

    higher_is_better = True

    def empty(self) -> dict[str, Tensor]:
        return {
            "total": torch.zeros((), dtype=torch.float64),
            "clips": torch.zeros((), dtype=torch.int64),
            "failures": torch.zeros(len(CLIP_FAILURES), dtype=torch.int64),
        }

    def update(self, generated: Tensor, true: Tensor, speaking: Tensor | None = None) -> None:
        """Series (T,) of one clip, or (clips, T) of several; `speaking`, of bools, keeps the frames that count."""
        _require_same_shape(generated, true)
        if generated.ndim not in (1, 2) or (speaking is not None and speaking.shape != true.shape):
            raise DataError("series and speaking are (frames,) or (clips, frames), all of the same shape.")
        given = [generated, true] if speaking is None else [generated, true, speaking.bool()]
        arrays = [x.detach().cpu().reshape(-1, x.shape[-1]) for x in given]
        for clip in zip(*arrays, strict=True):
            try:
                r = _clip_correlation(*(x.double().numpy() for x in clip[:2]), *clip[2:])
                self._add(total=r, clips=1)
            except Undefined as failure:
                self._add(failures=torch.tensor([int(status == failure.status) for status in CLIP_FAILURES]))

    @property
    def undefined(self) -> dict[str, int]:
        """How many clips have no correlation, by reason."""
        return {status: int(n) for status, n in zip(CLIP_FAILURES, self.state["failures"], strict=True) if n}

    def value(self) -> float:
        if not self.state["clips"]:
            raise Undefined(max(self.undefined, key=self.undefined.get, default=NOT_COMPUTED))
        return float(self.state["total"] / self.state["clips"])


def _clip_correlation(generated: np.ndarray, true: np.ndarray, speaking: Tensor | None = None) -> float:
    counted = slice(None) if speaking is None else speaking.numpy()
    if not (np.isfinite(generated[counted]).all() and np.isfinite(true[counted]).all()):
        raise Undefined("not_finite")
    if speaking is not None:
        return mouth.mouth_opening_correlation(generated, true, speaking.numpy())
    require_frames(len(true), mouth.MINIMUM_FRAMES)
    return pearson(generated, true, constant_sd=mouth.CONSTANT_SD)


def _frames_of_motion(motion: Tensor) -> Tensor:
    if motion.ndim not in (2, 3):
        raise DataError(f"motion of shape {tuple(motion.shape)} is not (frames, D) or (clips, frames, D).")
    return motion.reshape(-1, motion.shape[-1])


def _nothing() -> Moments:
    return Moments(0, torch.zeros(0, dtype=torch.float64), torch.zeros((0, 0), dtype=torch.float64))


def _moments(features: Tensor) -> Moments:
    return sample_moments(features.detach().double()) if len(features) else _nothing()


def _join(a: Tensor | Moments, b: Tensor | Moments) -> Tensor | Moments:
    """Both streams, on the first's device; an empty stream does not know its dimensions yet."""
    if isinstance(a, Tensor):
        return a + b.to(a.device)
    if not (a.count and b.count):
        return a if a.count else b
    return merge(a, Moments(b.count, b.mean.to(a.mean.device), b.m2.to(a.m2.device)))


def _to_numpy(moments: Moments) -> Moments:
    return Moments(moments.count, moments.mean.cpu().numpy(), moments.m2.cpu().numpy())


def _require_same_shape(generated: Tensor, true: Tensor) -> None:
    if generated.shape != true.shape:
        raise DataError(f"generated {tuple(generated.shape)} and true {tuple(true.shape)} differ in shape.")
