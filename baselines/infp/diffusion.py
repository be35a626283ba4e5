"""Diffusion with a network that estimates clean motion: DDIM, and guidance by several conditions."""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from baselines.motion.noise import levels


def noise_of(x_hat: Tensor, x_t: Tensor, t: float) -> Tensor:
    """The noise estimate that belongs to an estimate of clean motion at time t > 0."""
    signal, noise = levels(t)
    return (x_t - signal * x_hat) / noise


@torch.no_grad()
def ddim(predict: Callable[[Tensor, float], Tensor], x_t: Tensor, steps: int) -> Tensor:
    """Carry noise `x_t` to data by `steps` deterministic steps (DDIM, eta = 0); `predict(x_t, t) -> x_hat`.

    The last step lands on the estimate itself.
    """
    for t, s in pairwise(k / steps for k in range(steps, -1, -1)):
        x_hat, (signal, noise) = predict(x_t, t), levels(s)
        x_t = signal * x_hat + noise * noise_of(x_hat, x_t, t)
    return x_t


def branches(guide_motion: float, guide_previous: float) -> tuple[Tensor, list[float]]:
    """Which conditions each evaluation keeps, (n, 2) of motion and previous, and the scales of all but the first.

    A condition whose scale is 1 needs no evaluation of its own.
    """
    dropped = [(guide_motion, (0.0, 1.0)), (guide_previous, (1.0, 0.0))]
    kept = [(scale, row) for scale, row in dropped if scale != 1.0]
    return torch.tensor([(1.0, 1.0), *(row for _, row in kept)]), [scale for scale, _ in kept]


def guided(estimates: Tensor, scales: list[float]) -> Tensor:
    """Estimates (n, ...) of `branches` -> all + sum over dropped conditions of (w - 1) (all - all but this one).

    Guiding the noise estimate is the same: it is affine in x_hat at one x_t, and the weights add up to one.
    """
    full, *others = estimates.unbind(0)
    result = full
    for w, other in zip(scales, others, strict=True):
        result = result + (w - 1) * (full - other)
    return result
