"""Attention, modulation and feed-forward layers shared by LCU, SDCM and the generator."""

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn


class Attention(nn.Module):
    """Multi-head attention of `x` on `context` (on itself when None)."""

    def __init__(self, d: int, heads: int, context: int | None = None):
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(d, d, bias=False)
        self.kv = nn.Linear(context or d, 2 * d, bias=False)
        self.out = nn.Linear(d, d)

    def forward(self, x: Tensor, context: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        q = rearrange(self.q(x), "b n (h c) -> b h n c", h=self.heads)
        k, v = rearrange(self.kv(x if context is None else context), "b n (j h c) -> j b h n c", j=2, h=self.heads)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.out(rearrange(y, "b h n c -> b n (h c)"))


class FFN(nn.Sequential):
    """Two linear layers with a GELU between."""

    def __init__(self, d: int, ratio: int = 3):
        super().__init__(nn.Linear(d, ratio * d), nn.GELU(approximate="tanh"), nn.Linear(ratio * d, d))


class TemporalMixing(nn.Module):
    """A depthwise convolution over time of every token on its own, after a norm: (b, f, s, d) -> (b, f, s, d).

    Zero at first, zeros beyond the ends. Sums of shifted products, not a convolution of the library: over some seven
    steps that is faster, and needs no other layout.
    """

    def __init__(self, d: int, kernel: int):
        super().__init__()
        self.norm = nn.LayerNorm(d)
        self.weight = nn.Parameter(torch.zeros(kernel, d))

    def forward(self, h: Tensor) -> Tensor:
        kernel, frames = len(self.weight), h.shape[1]
        padded = F.pad(self.norm(h), (0, 0, 0, 0, kernel // 2, kernel // 2))
        return sum(self.weight[k] * padded[:, k : k + frames] for k in range(kernel))


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """adaLN of (batch, tokens, d): `shift` and `scale` are (batch, d), or (batch, tokens, d) for each token its own."""
    if scale.dim() < x.dim():
        shift, scale = shift[:, None], scale[:, None]
    return x * (1 + scale) + shift


def time_embedding(t: Tensor, d: int) -> Tensor:
    """Sinusoidal embedding of times in [0, 1], (batch,) -> (batch, d)."""
    frequencies = torch.exp(-math.log(1000.0) * torch.arange(d // 2, device=t.device) / (d // 2))
    angles = 1000.0 * t[:, None] * frequencies / 10.0
    return torch.cat([angles.cos(), angles.sin()], -1)


def position_embedding(length: int, d: int) -> Tensor:
    """Sinusoidal embedding of positions 0 .. length-1: (length, d)."""
    frequencies = torch.exp(-math.log(200.0) * torch.arange(d // 2) / (d // 2))
    angles = torch.arange(length)[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], -1)
