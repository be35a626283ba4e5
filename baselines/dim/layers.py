"""Layers of DIM: attention over a sliding window, causal convolution, and a block that also runs frame by frame."""

from collections.abc import Callable

import torch
from einops import rearrange
from torch import Tensor, nn

from baselines.motion.attention import RotaryAttention, rotation
from echo_model.model.layers import FFN


def sliding(frames: int, window: int, causal: bool = True, device: torch.device | None = None) -> Tensor:
    """What each frame sees, (n, n) of bool: `window` frames, itself included; as many ahead if not causal."""
    at = torch.arange(frames, device=device)
    back = at[:, None] - at
    return (back < window) & (back >= 0 if causal else back > -window)


def place_of(frames: Tensor, width: int) -> Tensor:
    """Rotary positions of frames (n,) for heads of this width."""
    half = width // 2
    return rotation(frames, torch.exp(-6.0 * torch.arange(half, device=frames.device) / half))


class Past:
    """Keys and values of one layer's earlier frames, the latest `window` of them."""

    def __init__(self, window: int):
        self.window, self.kept = window, None

    def extend(self, keys: Tensor) -> Tensor:
        if self.kept is not None:
            keys = torch.cat([self.kept, keys], 3)
        self.kept = keys[..., -self.window :, :]
        return self.kept


class Block(nn.Module):
    """Pre-norm transformer layer, with cross-attention if asked for."""

    def __init__(self, d: int, heads: int, cross: bool = False):
        super().__init__()
        self.norm, self.attention = nn.LayerNorm(d), RotaryAttention(d, heads, bias=False)
        self.cross_norm, self.cross = (
            (nn.LayerNorm(d), RotaryAttention(d, heads, bias=False)) if cross else (None, None)
        )
        self.ffn_norm, self.ffn = nn.LayerNorm(d), FFN(d)

    def forward(
        self,
        x: Tensor,
        place: Tensor,
        mask: Tensor | None = None,
        context: Tensor | None = None,
        see: Tensor | None = None,
        past: Past | None = None,
        context_mask: Tensor | None = None,
    ) -> Tensor:
        """(B, n, d) at `place` -> (B, n, d).

        `context` is of `cross.keys`, and `see` (B, n, 1) weighs what is seen of it. In a stream n is 1, there are no
        masks, `past` holds the frames before, and `context` those within reach.
        """
        y = self.norm(x)
        keys = self.attention.keys(y, place)
        x = x + self.attention(y, place, keys if past is None else past.extend(keys), mask)
        if self.cross is not None:
            y = self.cross(self.cross_norm(x), place, context, context_mask)
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
