"""Diffusion with a network that estimates clean motion: cosine path, DDIM, and guidance by several conditions."""

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor


def noised(x: Tensor, noise: Tensor, t: Tensor) -> Tensor:
    """x_t = cos(t pi / 2) x + sin(t pi / 2) noise: data at t = 0, noise at t = 1; `t` is (batch,)."""
    angle = (t * math.pi / 2).view(-1, *[1] * (x.dim() - 1))
    return angle.cos() * x + angle.sin() * noise


def noise_of(x_hat: Tensor, x_t: Tensor, t: float) -> Tensor:
    """The noise estimate that belongs to an estimate of clean motion at time t > 0."""
    return (x_t - math.cos(t * math.pi / 2) * x_hat) / math.sin(t * math.pi / 2)


@torch.no_grad()
def ddim(predict: Callable[[Tensor, float], Tensor], x_t: Tensor, steps: int) -> Tensor:
    """Carry noise `x_t` to data by `steps` deterministic steps (DDIM, eta = 0); `predict(x_t, t) -> x_hat`.

    The last step lands on the estimate itself.
    """
    for t, s in pairwise(k / steps for k in range(steps, -1, -1)):
        x_hat = predict(x_t, t)
        x_t = math.cos(s * math.pi / 2) * x_hat + math.sin(s * math.pi / 2) * noise_of(x_hat, x_t, t)
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
