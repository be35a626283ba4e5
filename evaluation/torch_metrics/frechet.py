"""Frechet distances for training loops: of any network's features, of motion, of both people's motion."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from dyads.errors import DataError
from evaluation.frechet import Moments, moments_distance
from evaluation.metrics._series import Undefined, require_frames
from evaluation.metrics.motion.motion_fd import MINIMUM_PER_DIMENSION
from evaluation.torch_metrics.base import Metric, evaluating, join, moments_of, no_moments, require_same_shape, to_numpy


class FrechetDistance(Metric):
    """Frechet distance of features of generated and of true samples; with Inception's features it is FID.

    `features` maps a batch of samples to (N, D); the unit is the feature's, squared. Counts must be equal unless
    `unequal_counts`, because the bias depends on them; a distance of fewer than D + 1 samples is exact but says little.
    """

    higher_is_better = False
    only_computed = ("unequal_counts",)

    def __init__(self, features: Callable[[Any], Tensor], *, unequal_counts: bool = False) -> None:
        self.features = features
        self.unequal_counts = unequal_counts
        super().__init__()

    def empty(self) -> dict[str, Moments]:
        return {"true": no_moments(), "generated": no_moments()}

    def update(self, samples: Any, real: bool) -> None:
        """A batch of samples as `features` wants it; `real` tells true samples from generated ones."""
        with evaluating(self.features):
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
        self.state[side] = join(self.state[side], moments_of(features))

    def _distance(self, minimum: int) -> float:
        generated, true = self.state["generated"], self.state["true"]
        require_frames(min(self.counts), minimum)
        if generated.count != true.count and not self.unequal_counts:
            raise Undefined("length_mismatch")
        try:
            return moments_distance(to_numpy(generated), to_numpy(true), unequal_counts=True)
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
        require_same_shape(generated, true)
        self._take("generated", self.features(generated))
        self._take("true", self.features(true))

    def value(self) -> float:
        return self._distance(MINIMUM_PER_DIMENSION * max(len(self.state["true"].mean), 1))


class PairedFD(MotionFD):
    """Frechet distance of [user; generated] and [user; true] motion, all frames pooled: `paired_fd_pooled`."""

    def update(self, generated: Tensor, true: Tensor, user: Tensor) -> None:
        """Motion (T, D) or (clips, T, D), all three of the same shape."""
        require_same_shape(generated, true)
        require_same_shape(generated, user)
        super().update(torch.cat([user, generated], -1), torch.cat([user, true], -1))


def _frames_of_motion(motion: Tensor) -> Tensor:
    if motion.ndim not in (2, 3):
        raise DataError(f"motion of shape {tuple(motion.shape)} is not (frames, D) or (clips, frames, D).")
    return motion.reshape(-1, motion.shape[-1])
