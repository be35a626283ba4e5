"""What the metrics for training loops share: update, compute, reset, merge, and gathering from several processes."""

import copy
import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import reduce
from typing import Any

import numpy as np
import torch
from torch import Tensor, distributed, nn

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
    only_computed: tuple[str, ...] = ()  # options that change nothing of what is accumulated

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
        """Add what another metric of the same class, options and network has seen, and return this one."""
        if type(other) is not type(self):
            raise DataError(f"{type(other).__name__} cannot be merged into {type(self).__name__}.")
        require_same(self.identity(), other.identity(), type(self).__name__)
        self.state = {name: join(self.state[name], other.state[name]) for name in self.state}
        return self

    merge_state = merge

    def identity(self) -> dict[str, str]:
        """What two metrics must agree in to be one: every option and network, each as a short text or hash."""
        left_out = {"state", "status", *self.only_computed}
        return {name: fingerprint(value) for name, value in vars(self).items() if name not in left_out}

    def gathered(self) -> "Metric":
        """A metric of what all processes of torch.distributed have seen, the same in each; a copy without them.

        DataError in every process where one of them has another class, options or network.
        """
        whole = copy.copy(self)
        whole.state = copy.deepcopy(self.state)
        if distributed.is_available() and distributed.is_initialized():
            own = (type(self).__name__, self.identity(), moved(self.state, "cpu"))
            found: list[Any] = [None] * distributed.get_world_size()
            distributed.all_gather_object(found, own)
            for name, identity, _ in found[1:]:
                require_same({"class": found[0][0]} | found[0][1], {"class": name} | identity, type(self).__name__)
            states = [state for *_, state in found]
            together = reduce(lambda a, b: {name: join(a[name], b[name]) for name in a}, states)
            whole.state = moved(together, self.device)
        return whole

    def clone(self) -> "Metric":
        """A copy that goes on by itself; its network is the same object."""
        other = copy.copy(self)
        other.state = copy.deepcopy(self.state)
        return other

    @property
    def device(self) -> torch.device:
        """Where the accumulators are."""
        parts = (part if isinstance(part, Tensor) else part.mean for part in self.state.values())
        return next((part.device for part in parts), torch.device("cpu"))

    def to(self, device: torch.device | str) -> "Metric":
        """Move the accumulators, and return this metric; the network stays where it is."""
        self.state = moved(self.state, device)
        return self

    def state_dict(self) -> dict[str, Tensor]:
        """The accumulators as tensors by name, for a checkpoint."""
        found = {}
        for name, part in self.state.items():
            moments = {"count": torch.tensor(part.count), "mean": part.mean, "m2": part.m2} if _is(part) else {}
            found |= {f"{name}.{key}": tensor.clone() for key, tensor in moments.items()} or {name: part.clone()}
        return found

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on where `state_dict` left off. DataError: it is of another kind of metric."""
        wanted, found = self.empty(), {}
        names = {f"{name}.{key}" for name, part in wanted.items() if _is(part) for key in ("count", "mean", "m2")}
        names |= {name for name, part in wanted.items() if not _is(part)}
        if set(state) != names:
            raise DataError(f"a state of {sorted(state)} is not one of {type(self).__name__}: {sorted(names)}.")
        for name, part in wanted.items():
            if _is(part):
                mean, m2 = (state[f"{name}.{key}"].clone() for key in ("mean", "m2"))
                found[name] = Moments(int(state[f"{name}.count"]), mean, m2)
            else:
                found[name] = state[name].clone()
        self.state, self.status = found, NOT_COMPUTED

    def _add(self, **amounts: float | Tensor) -> None:
        for name, amount in amounts.items():
            own = self.state[name]
            self.state[name] = own + (amount.to(own.device) if isinstance(amount, Tensor) else amount)

    def forward(self, *batch: Any, **named: Any) -> Tensor:
        """Take in a batch, as `update` does, and return the score of this batch alone."""
        before, self.state = self.state, self.empty()
        try:
            self.update(*batch, **named)
            score = self.compute()
        finally:
            self.state = {name: join(before[name], self.state[name]) for name in before}
        return score

    __call__ = forward


class ClipMean(Metric):
    """Mean over clips of a function of their series. A clip without a value counts in `undefined`, not in the mean.

    Unless it holds what is not finite: that is a fault, and there is no mean of what is left.
    """

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
        if "not_finite" in self.undefined:
            raise Undefined("not_finite")
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


def _is(part: Tensor | Moments) -> bool:
    return isinstance(part, Moments)


def moved(state: dict[str, Tensor | Moments], device: torch.device | str) -> dict[str, Tensor | Moments]:
    """Accumulators on a device."""
    return {
        name: Moments(part.count, part.mean.to(device), part.m2.to(device)) if _is(part) else part.to(device)
        for name, part in state.items()
    }


def fingerprint(value: Any) -> str:
    """An option or network as text: equal where they are the same, in another process too."""
    if isinstance(value, Tensor):
        data = value.detach().cpu().contiguous()
        return hashlib.sha256(str((data.dtype, tuple(data.shape))).encode() + data.numpy().tobytes()).hexdigest()[:16]
    owner = getattr(value, "__self__", None)
    if isinstance(value, nn.Module):
        return f"{type(value).__qualname__} " + fingerprint_of(value.state_dict())
    if isinstance(owner, nn.Module):
        return f"{value.__name__} of {fingerprint(owner)}"
    if callable(value) or not isinstance(value, (bool, int, float, str, tuple, type(None))):
        return getattr(value, "__qualname__", type(value).__qualname__)
    return repr(value)


def fingerprint_of(tensors: Mapping[str, Tensor]) -> str:
    return hashlib.sha256("".join(name + fingerprint(tensor) for name, tensor in tensors.items()).encode()).hexdigest()[
        :16
    ]


def require_same(one: dict[str, str], other: dict[str, str], name: str) -> None:
    """DataError unless two metrics agree in all that `identity` tells."""
    differ = [key for key in {**one, **other} if one.get(key) != other.get(key)]
    if differ:
        raise DataError(f"two {name} of different {', '.join(differ)} cannot be merged; make both alike.")


@contextmanager
def evaluating(function: Any) -> Iterator[None]:
    """The module behind a feature function in evaluation mode without gradients, and as it was afterwards."""
    owner = getattr(function, "__self__", function)
    modules = [m for m in owner.modules() if m.training] if isinstance(owner, nn.Module) else []
    for module in modules:
        module.training = False
    try:
        with torch.no_grad():
            yield
    finally:
        for module in modules:
            module.training = True


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
