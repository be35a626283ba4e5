"""What the metrics for training loops share: update, compute, reset, merge, and gathering from several processes."""

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np
import torch
from torch import Tensor, distributed

from dyads.errors import DataError
from evaluation.cards import OK
from evaluation.frechet import Moments, merge, sample_moments
from evaluation.metrics._series import Undefined

NOT_COMPUTED = "too_few_frames"  # of a metric that has seen nothing
CLIP_FAILURES = ("no_speech", "too_few_frames", "constant_series", "not_finite", "no_face", "silent")


class Metric(ABC):
    """What the classes share; a subclass says `empty`, `update`, `value` and `higher_is_better`."""

    higher_is_better: bool | None  # None: nearer to the truth's own value is better
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
        self.state = {name: join(self.state[name], other.state[name]) for name in self.state}
        return self

    merge_state = merge

    def gathered(self) -> "Metric":
        """A metric of what all processes of torch.distributed have seen, the same in each; a copy without them."""
        whole, states = copy.copy(self), [self.state]
        if distributed.is_available() and distributed.is_initialized():
            states = [None] * distributed.get_world_size()
            distributed.all_gather_object(states, self.state)
        whole.state = reduce(lambda a, b: {name: join(a[name], b[name]) for name in a}, states)
        return whole

    def _add(self, **amounts: float | Tensor) -> None:
        self.state |= {name: self.state[name] + amount for name, amount in amounts.items()}

    def forward(self, *batch: Any) -> Tensor:
        """Take in a batch and return the score of this batch alone."""
        before, self.state = self.state, self.empty()
        try:
            self.update(*batch)
            score = self.compute()
        finally:
            self.state = {name: join(before[name], self.state[name]) for name in before}
        return score

    __call__ = forward


class ClipMean(Metric):
    """Mean over clips of a function of their series. A clip without a value counts in `undefined`, not in the mean."""

    def empty(self) -> dict[str, Tensor]:
        return {
            "total": torch.zeros((), dtype=torch.float64),
            "clips": torch.zeros((), dtype=torch.int64),
            "failures": torch.zeros(len(CLIP_FAILURES), dtype=torch.int64),
        }

    @property
    def undefined(self) -> dict[str, int]:
        """How many clips have no value, by reason."""
        return {status: int(n) for status, n in zip(CLIP_FAILURES, self.state["failures"], strict=True) if n}

    def value(self) -> float:
        if not self.state["clips"]:
            raise Undefined(max(self.undefined, key=self.undefined.get, default=NOT_COMPUTED))
        return float(self.state["total"] / self.state["clips"])

    def count(self, function: Callable[..., float], *series: Any) -> None:
        """Take in one clip's value."""
        try:
            value = function(*series)
            if not math.isfinite(value):
                raise Undefined("not_finite")
            self._add(total=value, clips=1)
        except Undefined as failure:
            self._add(failures=torch.tensor([int(status == failure.status) for status in CLIP_FAILURES]))


def motion_clips(*series: Tensor) -> list[np.ndarray]:
    """Motion (T, D) of one clip or (clips, T, D) of several, all of one shape, as float64 (clips, T, D)."""
    for other in series[1:]:
        require_same_shape(series[0], other)
    if series[0].ndim not in (2, 3):
        raise DataError(f"motion of shape {tuple(series[0].shape)} is not (frames, D) or (clips, frames, D).")
    arrays = [x.detach().cpu().double().numpy() for x in series]
    return [x[None] if x.ndim == 2 else x for x in arrays]


def no_moments() -> Moments:
    """Of a stream that has not begun, and does not know its dimensions yet."""
    return Moments(0, torch.zeros(0, dtype=torch.float64), torch.zeros((0, 0), dtype=torch.float64))


def moments_of(samples: Tensor) -> Moments:
    """Moments of samples (N, D), N >= 0."""
    return sample_moments(samples.detach().double()) if len(samples) else no_moments()


def join(a: Tensor | Moments, b: Tensor | Moments) -> Tensor | Moments:
    """Both streams, on the first's device; an empty stream does not know its dimensions yet."""
    if isinstance(a, Tensor):
        return a + b.to(a.device)
    if not (a.count and b.count):
        return a if a.count else b
    return merge(a, Moments(b.count, b.mean.to(a.mean.device), b.m2.to(a.m2.device)))


def to_numpy(moments: Moments) -> Moments:
    """The same on the CPU as numpy arrays."""
    return Moments(moments.count, moments.mean.cpu().numpy(), moments.m2.cpu().numpy())


def require_same_shape(generated: Tensor, true: Tensor) -> None:
    """DataError unless the shapes are equal."""
    if generated.shape != true.shape:
        raise DataError(f"generated {tuple(generated.shape)} and true {tuple(true.shape)} differ in shape.")
