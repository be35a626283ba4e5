"""Attention with rotary positions whose keys and values are made apart, so that a rollout can keep them."""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn


def rotation(frames: Tensor, speeds: Tensor) -> Tensor:
    """Cosines and sines at frames (n,) for angular speeds (width / 2,): (2, n, width / 2).

    The speeds are each method's own: they decide over how many frames places are told apart.
    """
    angles = frames[:, None] * speeds
    return torch.stack([angles.cos(), angles.sin()])


def rotate(x: Tensor, place: Tensor) -> Tensor:
    """RoPE (Su et al. 2021) of (b, heads, n, width) by `rotation`: products then depend on distances only."""
    (cos, sin), (a, b) = place, x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1).to(x)


class RotaryAttention(nn.Module):
    """Multi-head attention with RoPE of width `d`; `bias` is that of queries, keys and values."""

    def __init__(self, d: int, heads: int, bias: bool = True):
        super().__init__()
        self.heads = heads
        self.q, self.kv, self.out = nn.Linear(d, d, bias=bias), nn.Linear(d, 2 * d, bias=bias), nn.Linear(d, d)

    def keys(self, context: Tensor, place: Tensor) -> Tensor:
        """Keys and values of `context` (b, n, d): (2, b, heads, n, width)."""
        k, v = rearrange(self.kv(context), "b n (j h c) -> j b h n c", j=2, h=self.heads)
        return torch.stack([rotate(k, place), v])

    def forward(self, x: Tensor, place: Tensor, kv: Tensor, mask: Tensor | None = None) -> Tensor:
        """(b, n, d) on `keys` of m frames, as far as the mask, broadcast to (b, heads, n, m), lets it -> (b, n, d)."""
        q = rotate(rearrange(self.q(x), "b n (h c) -> b h n c", h=self.heads), place)
        y = F.scaled_dot_product_attention(q, kv[0], kv[1], attn_mask=mask)
        return self.out(rearrange(y, "b h n c -> b n (h c)"))
