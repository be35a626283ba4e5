"""Layers of DIM: attention over a sliding window, causal convolution, and a block that also runs frame by frame."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from echo_model.layers import FFN

Keys = tuple[Tensor, Tensor]  # keys and values, (B, heads, n, c) each


def sliding(frames: int, window: int, causal: bool = True, device: torch.device | None = None) -> Tensor:
    """What each frame sees, (n, n) of bool: `window` frames, itself included; as many ahead if not causal."""
    at = torch.arange(frames, device=device)
    back = at[:, None] - at
    return (back < window) & (back >= 0 if causal else back > -window)


def turn(x: Tensor, at: Tensor) -> Tensor:
    """Rotary positions: (B, heads, n, c) at frames `at` (n,); products then depend on distances only."""
    half = x.shape[-1] // 2
    frequencies = torch.exp(-6.0 * torch.arange(half, device=x.device) / half)
    angles = at[:, None] * frequencies
    a, b = x.chunk(2, -1)
    cos, sin = angles.cos().to(x), angles.sin().to(x)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)


class Attention(nn.Module):
    """Multi-head attention whose keys can be kept between frames."""

    def __init__(self, d: int, heads: int):
        super().__init__()
        self.heads = heads
        self.q, self.kv, self.out = nn.Linear(d, d, bias=False), nn.Linear(d, 2 * d, bias=False), nn.Linear(d, d)

    def keys(self, x: Tensor, at: Tensor) -> Keys:
        """Keys and values of (B, n, d) at frames `at` (n,)."""
        k, v = rearrange(self.kv(x), "b n (j h c) -> j b h n c", j=2, h=self.heads)
        return turn(k, at), v

    def forward(self, x: Tensor, at: Tensor, keys: Keys, mask: Tensor | None = None) -> Tensor:
        q = turn(rearrange(self.q(x), "b n (h c) -> b h n c", h=self.heads), at)
        y = F.scaled_dot_product_attention(q, *keys, attn_mask=mask)
        return self.out(rearrange(y, "b h n c -> b n (h c)"))


class Past:
    """Keys and values of one layer's earlier frames, the latest `window` of them."""

    def __init__(self, window: int):
        self.window, self.kept = window, None

    def extend(self, keys: Keys) -> Keys:
        if self.kept is not None:
            keys = tuple(torch.cat([old, new], 2) for old, new in zip(self.kept, keys, strict=True))
        self.kept = tuple(x[:, :, -self.window :] for x in keys)
        return self.kept


class Block(nn.Module):
    """Pre-norm transformer layer, with cross-attention if asked for."""

    def __init__(self, d: int, heads: int, cross: bool = False):
        super().__init__()
        self.norm, self.attention = nn.LayerNorm(d), Attention(d, heads)
        self.cross_norm, self.cross = (nn.LayerNorm(d), Attention(d, heads)) if cross else (None, None)
        self.ffn_norm, self.ffn = nn.LayerNorm(d), FFN(d)

    def forward(
        self,
        x: Tensor,
        at: Tensor,
        mask: Tensor | None = None,
        context: Keys | None = None,
        see: Tensor | None = None,
        past: Past | None = None,
        context_mask: Tensor | None = None,
    ) -> Tensor:
        """(B, n, d) at frames `at` (n,) -> (B, n, d).

        `see` (B, n, 1) weighs what is seen of `context`. In a stream n is 1, there are no masks, `past` holds the
        frames before, and `context` those within reach.
        """
        y = self.norm(x)
        keys = self.attention.keys(y, at)
        x = x + self.attention(y, at, keys if past is None else past.extend(keys), mask)
        if self.cross is not None:
            y = self.cross(self.cross_norm(x), at, context, context_mask)
            x = x + (y if see is None else see * y)
        return x + self.ffn(self.ffn_norm(x))


class CausalConv(nn.Module):
    """A convolution over each frame and the `kernel` - 1 before it: (B, n, c) -> (B, n, d).

    Before the first frame stands that frame: zero is no silence in our audio features.
    """

    def __init__(self, c: int, d: int, kernel: int):
        super().__init__()
        self.before, self.conv = kernel - 1, nn.Conv1d(c, d, kernel)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([x[:, :1].expand(-1, self.before, -1), x], 1)
        return rearrange(self.conv(rearrange(x, "b n c -> b c n")), "b d n -> b n d")


def in_pieces(run: Callable[[Tensor], Tensor], x: Tensor, reach: int, piece: int = 1024) -> Tensor:
    """`run` over a long (B, n, ...) piece by piece; it may look back by `reach` frames, and not ahead."""
    parts = []
    for start in range(0, x.shape[1], piece):
        before = min(start, reach)
        parts.append(run(x[:, start - before : start + piece])[:, before:])
    return torch.cat(parts, 1)
