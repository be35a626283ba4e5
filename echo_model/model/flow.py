"""Flow matching with a straight path and an x-predicting network: x_t = t x_1 + (1 - t) x_0, x_0 noise."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


def sample_times(batch: int, generator: torch.Generator, shift: float = 0.0) -> Tensor:
    """Logit-normal times in (0, 1), shape (batch,): most effort where structure is decided (Esser et al. 2024)."""
    return torch.sigmoid(torch.randn(batch, generator=generator) + shift)


def interpolate(x_1: Tensor, x_0: Tensor, t: Tensor) -> Tensor:
    """Point on the path; `t` is (batch,)."""
    t = t.view(-1, *[1] * (x_1.dim() - 1))
    return t * x_1 + (1 - t) * x_0


class Preconditioning(NamedTuple):
    """x_hat = skip x_t + out F(within x_t)."""

    within: Tensor
    skip: Tensor
    out: Tensor


def preconditioning(t: Tensor, spread: Tensor, noise: Tensor) -> Preconditioning:
    """EDM's scales (Karras et al. 2022) for the straight path, of flow times `t`, data of scale s and noise of scale n.

        c_in = 1 / sqrt(t^2 s^2 + (1 - t)^2 n^2)     c_skip = t s^2 c_in^2     c_out = s n (1 - t) c_in

    What the network reads, c_in x_t, and what it is asked for, (x_1 - c_skip x_t) / c_out, have unit variance at every
    t, and for Gaussian data of that scale F = 0 is the optimum. t = 0 reads pure noise, t = 1 keeps x_t as it is.
    """
    within = (t.square() * spread.square() + (1 - t).square() * noise.square()).rsqrt()
    return Preconditioning(within, t * spread.square() * within.square(), spread * noise * (1 - t) * within)


def velocity(x_hat: Tensor, x_t: Tensor, t: Tensor | float) -> Tensor:
    """Velocity of the path that ends in the estimate: v = (x_hat - x_t) / (1 - t)."""
    return (x_hat - x_t) / (1 - t)


def flow_loss(x_hat: Tensor, x_1: Tensor, t: Tensor, weight: Tensor | None = None, sharpest: float = 0.0) -> Tensor:
    """L_flow per sample, (batch,): squared velocity error of an x-prediction, its weight capped at t = `sharpest`.

    ||v_hat - v||^2 = ||x_hat - x_1||^2 / (1 - t)^2. The weight is large where x_t already shows the answer, and a
    small model then learns to copy x_t rather than to listen: at `sharpest` 0 every time weighs the same.
    `weight` broadcasts over the trailing dimensions (mean 1).
    """
    error = (x_hat - x_1).square()
    if weight is not None:
        error = error * weight
    return error.flatten(1).mean(1) / (1 - t.clamp_max(sharpest)).square()


def turned(x_hat: Tensor, x_t: Tensor, t: float, after: float) -> Tensor:
    """x at flow time `after`, from x_t and its estimate: a step in the angle between noise and data.

    With y = x_t / |(t, 1 - t)| and the angle phi = atan2(t, 1 - t), what the flow does to data and noise of one scale
    is dy / dphi = F, F the unit-variance answer of `preconditioning` (TrigFlow's coordinates: Lu and Song 2025). Where
    nothing is known F = 0 and y stands still in any step, so that what is drawn keeps its variance; a step straight
    along the velocity loses a fifth of its standard deviation in six, a third in three.
    """
    here, there = math.hypot(t, 1 - t), math.hypot(after, 1 - after)
    answer = (x_hat - t / here**2 * x_t) * (here / (1 - t))
    turn = math.atan2(after, 1 - after) - math.atan2(t, 1 - t)
    return there * (x_t / here + turn * answer)


SOLVERS = ("euler", "angular", "midpoint", "heun")


def shifted(t: float, shift: float) -> float:
    """A flow time moved towards noise as `shift` grows above 1: sigma = 1 - t becomes s sigma / (1 + (s - 1) sigma).

    The form of flow-matching schedulers (Esser et al. 2024), whose noise levels count the other way; 1 changes nothing.
    """
    sigma = 1.0 - t
    return 1.0 - shift * sigma / (1.0 + (shift - 1.0) * sigma)


@torch.no_grad()
def integrate(
    predict: Callable[[Tensor, float], Tensor], x_0: Tensor, steps: int, solver: str = "euler", shift: float = 1.0
) -> Tensor:
    """Carry noise `x_0` to data along the field of `predict(x_t, t) -> x_hat`, in `steps` steps.

    `solver` is euler, angular (`turned`; for data and noise of one scale), midpoint or heun. The steps are of equal
    length before they are `shifted`. The last Euler step lands on the estimate itself.
    """
    if solver not in SOLVERS:
        raise ValueError(f"The solver {solver!r} is unknown; use one of {', '.join(SOLVERS)}")
    x = x_0
    for k in range(steps):
        t, dt = k * (1.0 / steps), 1.0 / steps
        if shift != 1.0:
            t, after = shifted(t, shift), shifted((k + 1) / steps, shift)
            dt = after - t
        x_hat = predict(x, t)
        if solver == "angular":
            x = turned(x_hat, x, t, t + dt)
            continue
        v = velocity(x_hat, x, t)
        if solver == "midpoint":
            middle = x + 0.5 * dt * v
            v = velocity(predict(middle, t + 0.5 * dt), middle, t + 0.5 * dt)
        elif solver == "heun" and k + 1 < steps:  # at t = 1 the velocity is undefined: the last step is Euler's
            ahead = x + dt * v
            v = 0.5 * (v + velocity(predict(ahead, t + dt), ahead, t + dt))
        x = x + dt * v
    return x
