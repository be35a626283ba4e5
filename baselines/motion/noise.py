"""The cosine noise path on which INFP and ARIG diffuse: neither paper tells its own."""

import math

from torch import Tensor


def levels(t: Tensor | float) -> tuple:
    """Signal sqrt(alpha_bar) and noise sqrt(1 - alpha_bar), like t; times lie in [0, 1]: data at 0, noise at 1."""
    angle = t * math.pi / 2
    return (math.cos(angle), math.sin(angle)) if isinstance(angle, float) else (angle.cos(), angle.sin())


def noised(x: Tensor, noise: Tensor, t: Tensor) -> Tensor:
    """x_t of x (batch, ...) at times t (batch,)."""
    kept, added = levels(t.view(-1, *[1] * (x.dim() - 1)))
    return kept * x + added * noise
