"""The networks of Avatar Forcing: dual motion encoder and causal diffusion-forcing transformer."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from baselines.avatar_forcing.options import ModelOptions
from baselines.motion.attention import RotaryAttention, rotation
from baselines.motion.renderer import DIRECTIONS
from echo_model.backbones.audio import AUDIO_DIM
from echo_model.model.layers import FFN, modulate, time_embedding

ROPE_BASE = 200.0  # theirs 10,000; a window has 50 frames


def look_ahead_mask(q: Tensor, k: Tensor, options: ModelOptions) -> Tensor:
    """Which frames `k` the frames `q` may attend to in self-attention, bool (len q, len k).

    The released code's rule: every frame of an earlier block, else up to l frames ahead of the query. The paper's
    equation would let a query see l whole blocks ahead.
    """
    q, k = q[:, None], k[None]
    return (k // options.block < q // options.block) | (k <= q + options.look)


def near_mask(q: Tensor, k: Tensor, reach: int) -> Tensor:
    """Cross-attention's sliding window, bool (len q, len k)."""
    return (q[:, None] - k[None]).abs() <= reach


def place_of(frames: Tensor, options: ModelOptions) -> Tensor:
    """Rotary positions of `frames` (n,)."""
    half = options.d // options.heads // 2
    return rotation(frames, ROPE_BASE ** (-torch.arange(half, device=frames.device) / half))


def feature(inputs: int, d: int) -> list[nn.Module]:
    return [nn.Linear(inputs, d), nn.LayerNorm(d), nn.SiLU()]


class DualMotionEncoder(nn.Module):
    """User motion asks user audio, avatar audio asks the answer: one condition c per frame."""

    def __init__(self, options: ModelOptions):
        super().__init__()
        d, self.options = options.d, options
        self.motion = nn.Sequential(*feature(DIRECTIONS, d), *feature(d, d))
        self.audio = nn.Sequential(*feature(AUDIO_DIM, d))  # one for both parties
        self.user, self.both = RotaryAttention(d, options.heads), RotaryAttention(d, options.heads)
        self.norm_user, self.norm_both = nn.LayerNorm(d), nn.LayerNorm(d)
        self.out = nn.Linear(d, d)

    def forward(self, avatar_audio: Tensor, user_audio: Tensor, user_motion: Tensor, keep: Tensor) -> Tensor:
        """(b, n, 50), (b, n, 50), (b, n, 20), keep (b, 3) of the three in this order -> c (b, n, d), n <= N."""
        given = rearrange(keep, "b c -> c b 1 1")
        voice, heard = self.audio(avatar_audio) * given[0], self.audio(user_audio) * given[1]
        moved = self.motion(user_motion) * given[2]
        frames = torch.arange(moved.shape[1], device=moved.device)
        place = place_of(frames, self.options)
        block = frames // self.options.block
        mask = block[None] <= block[:, None]
        moved = F.silu(self.norm_user(moved + self.user(moved, place, self.user.keys(heard, place), mask)))
        voice = F.silu(self.norm_both(voice + self.both(voice, place, self.both.keys(moved, place), mask)))
        return self.out(voice)


class Timing(NamedTuple):
    """adaLN of every layer and of the output, at the flow time of each frame."""

    shared: tuple[Tensor, ...]  # shift, scale, gate of self-attention, then of the MLP
    final: tuple[Tensor, ...]  # shift, scale


class DFoTLayer(nn.Module):
    """Self-attention (gated), cross-attention (not gated), MLP (gated)."""

    def __init__(self, options: ModelOptions):
        super().__init__()
        d = options.d
        self.norm_1, self.norm_2, self.norm_3 = (nn.LayerNorm(d, elementwise_affine=False) for _ in range(3))
        self.self_attention, self.cross_attention = (RotaryAttention(d, options.heads) for _ in range(2))
        self.mlp = FFN(d, options.ratio)

    def forward(self, x, timing: Timing, place, mask, cross, cross_mask, past: Tensor | None):
        """x (b, n, d) -> the same, and the layer's own keys and values of these n frames."""
        shift_1, scale_1, gate_1, shift_2, scale_2, gate_2 = timing.shared
        h = modulate(self.norm_1(x), shift_1, scale_1)
        kv = self.self_attention.keys(h, place)
        x = x + gate_1 * self.self_attention(h, place, kv if past is None else torch.cat([past, kv], 3), mask)
        x = x + self.cross_attention(self.norm_2(x), place, cross, cross_mask)
        return x + gate_2 * self.mlp(modulate(self.norm_3(x), shift_2, scale_2)), kv


class CausalDFoT(nn.Module):
    """Estimates clean motion from motion whose blocks carry noise levels of their own."""

    def __init__(self, options: ModelOptions):
        super().__init__()
        d, self.options = options.d, options
        self.encoder = DualMotionEncoder(options)
        self.embed = nn.Linear(DIRECTIONS, d)
        self.time_in = nn.Sequential(nn.Linear(d, d), nn.SiLU(), nn.Linear(d, d), nn.SiLU())
        self.modulation, self.modulation_out = nn.Linear(d, 6 * d), nn.Linear(d, 2 * d)
        self.layers = nn.ModuleList(DFoTLayer(options) for _ in range(options.layers))
        self.norm_out = nn.LayerNorm(d, elementwise_affine=False)
        self.out = nn.Linear(d, DIRECTIONS)
        for linear in (self.modulation, self.modulation_out, self.out):
            nn.init.zeros_(linear.weight)
            nn.init.zeros_(linear.bias)

    def timing(self, t: Tensor) -> Timing:
        """Flow times (b, n) -> adaLN; gates start at one, a short training need not open them first."""
        hidden = self.time_in(time_embedding(t.flatten(), self.options.d).unflatten(0, t.shape))
        shared = list(self.modulation(hidden).chunk(6, -1))
        shared[2], shared[5] = 1 + shared[2], 1 + shared[5]
        return Timing(tuple(shared), self.modulation_out(hidden).chunk(2, -1))

    def place(self, frames: Tensor) -> Tensor:
        return place_of(frames, self.options)

    def cross_keys(self, c: Tensor, place: Tensor) -> list[Tensor]:
        """Cross-attention's keys and values in every layer."""
        return [layer.cross_attention.keys(c, place) for layer in self.layers]

    def advance(self, x_t, t, place, mask, cross, cross_mask, past=None) -> tuple[Tensor, list[Tensor]]:
        """Noisy frames (b, n, 20) -> their estimate x_hat (b, n, 20), and self-attention's keys and values.

        t: (b or 1, n) flow times, 1 = clean; place: of these frames; mask: (n, past + n); cross: of `cross_keys`;
        past: a layer's keys and values of earlier frames, for every layer.
        """
        timing, x, kept = self.timing(t), self.embed(x_t), []
        for k, layer in enumerate(self.layers):
            x, kv = layer(x, timing, place, mask, cross[k], cross_mask, past[k] if past else None)
            kept.append(kv)
        return self.out(modulate(self.norm_out(x), *timing.final)), kept

    def forward(self, x_t: Tensor, t: Tensor, c: Tensor) -> Tensor:
        """One training window: x_t (b, n, 20), t (b, n), conditions c (b, n, d) -> x_hat (b, n, 20)."""
        frames = torch.arange(x_t.shape[1], device=x_t.device)
        place, mask = self.place(frames), look_ahead_mask(frames, frames, self.options)
        near = near_mask(frames, frames, self.options.reach)
        return self.advance(x_t, t, place, mask, self.cross_keys(c, place), near)[0]
