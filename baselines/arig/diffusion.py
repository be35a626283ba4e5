"""DiffusionMLP: one frame's motion from its condition z, denoised by adaLN MLP blocks."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.motion.noise import levels
from echo_model.model.layers import time_embedding


class MLPBlock(nn.Module):
    """Modulated norm, two layers, gate."""

    def __init__(self, width: int):
        super().__init__()
        self.up, self.down = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x: Tensor, shift: Tensor, scale: Tensor, gate: Tensor) -> Tensor:
        h = torch.addcmul(shift, F.layer_norm(x, x.shape[-1:]), scale)
        return torch.addcmul(x, gate, self.down(F.silu(self.up(h))))


class DiffusionMLP(nn.Module):
    """p(M | z): estimates the clean motion, M_hat = signal * M_t + noise * F(M_t, t, z).

    The paper's epsilon_theta is (M_t - signal * M_hat) / noise. Where there is little noise, M_hat copies its input
    without having to learn that.
    """

    def __init__(self, motion: int, d: int, width: int, blocks: int):
        super().__init__()
        self.width = width
        self.motion_in, self.condition = nn.Linear(motion, width), nn.Linear(d, width)
        self.time_in = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.blocks = nn.ModuleList(MLPBlock(width) for _ in range(blocks))
        self.modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, (3 * blocks + 2) * width))
        plain = torch.tensor([0.0, 1.0, 1.0] * blocks + [0.0, 1.0])  # shift, scale, gate; at last no gate
        self.modulation[1].bias.data = plain.repeat_interleave(width)
        nn.init.zeros_(self.modulation[1].weight)
        self.out = nn.Linear(width, motion)

    def modulate(self, z: Tensor, t: Tensor) -> Tensor:
        """What z (rows, d) and times (rows,) do to the blocks: (rows, 3 * blocks + 2, width)."""
        condition = self.condition(z) + self.time_in(time_embedding(t, self.width))
        return self.modulation(condition).unflatten(-1, (-1, self.width))

    def denoise(self, x: Tensor, level: tuple, modulation: tuple[Tensor, ...]) -> Tensor:
        """Noisy motion (rows, K), its signal and noise, the parts of `modulate` (rows, width) each -> M_hat."""
        h = self.motion_in(x)
        for number, block in enumerate(self.blocks):
            h = block(h, *modulation[3 * number : 3 * number + 3])
        shift, scale = modulation[-2:]
        signal, noise = level
        return signal * x + noise * self.out(torch.addcmul(shift, F.layer_norm(h, h.shape[-1:]), scale))

    def loss(self, z: Tensor, motion: Tensor, generator: torch.Generator) -> Tensor:
        """Squared error of the estimate, (rows, K), at random times."""
        t = torch.rand(len(z), generator=generator).to(z)
        epsilon = torch.randn(motion.shape, generator=generator).to(z)
        signal, noise = levels(t[:, None])
        noisy = signal * motion + noise * epsilon
        return (self.denoise(noisy, (signal, noise), self.modulate(z, t).unbind(1)) - motion).square()

    def sample(self, z: Tensor, weights: Tensor, noise: Tensor, temperature: float = 1.0) -> Tensor:
        """Motion (1, K) by the paper's ancestral steps from noise (steps, K).

        z (n, d) are conditions of the same frame that know more or less; M_hat is the sum of their estimates, each
        times its weight (n, 1). `temperature` scales the noise added on the way.
        """
        steps, count = len(noise), len(z)
        t = torch.linspace(1.0, 0.0, steps + 1)
        times = t[:-1].repeat_interleave(count).to(z)
        modulation = self.modulate(z.repeat(steps, 1), times)  # of all steps at once: z stays
        a, s = (x.tolist() for x in levels(t))
        x = noise[:1]
        for k, parts in enumerate(modulation.split(count)):
            estimate = self.denoise(x, (a[k], s[k]), parts.unbind(1))
            if count > 1:
                estimate = (weights * estimate).sum(0, keepdim=True)
            if k + 1 == steps:
                return estimate
            # Posterior of level k + 1 given level k and the estimate.
            ratio = a[k] / a[k + 1]
            added = max(s[k] ** 2 - (ratio * s[k + 1]) ** 2, 0.0)
            kept, spread = ratio * (s[k + 1] / s[k]) ** 2, temperature * math.sqrt(added) * s[k + 1] / s[k]
            fresh = noise[k + 1 : k + 2]
            x = (kept * x).add_(estimate, alpha=a[k + 1] * added / s[k] ** 2).add_(fresh, alpha=spread)
