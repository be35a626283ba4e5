"""INFP's networks: the interactive motion guider with its two memory banks, the style encoder and the denoiser."""

import torch
from torch import Tensor, nn

from baselines.infp.options import ModelOptions
from baselines.motion.renderer import DIRECTIONS
from echo_model.backbones.audio import AUDIO_DIM
from echo_model.model.layers import FFN, Attention, position_embedding, time_embedding


class MemoryBank(nn.Module):
    """K learnable embeddings that a voice queries by cross-attention (K and V are the bank); a style edits them first.

    The editing is StyleGAN2's weight modulation: each channel is scaled by 1 + A s_m, then each embedding is brought
    back to unit scale. The null style s_m = 0 scales nothing.
    """

    def __init__(self, options: ModelOptions):
        super().__init__()
        d = options.d
        self.entries = nn.Parameter(torch.randn(options.entries, d))
        self.affine = nn.Linear(options.style, d, bias=False)  # A
        self.attention = Attention(d, options.heads)
        self.attention.q.weight.data.mul_(4.0)  # a softmax over K that starts flat would tell nothing for long

    def styled(self, s_m: Tensor) -> Tensor:
        """Style (B, style) -> the edited bank (B, K, d)."""
        edited = self.entries * (1 + self.affine(s_m))[:, None]
        return edited * torch.rsqrt(edited.square().mean(-1, keepdim=True) + 1e-6)

    def forward(self, query: Tensor, s_m: Tensor) -> Tensor:
        """Queries (B, N, d) -> what they retrieve, (B, N, d)."""
        return self.attention(query, self.styled(s_m))


class MotionGuider(nn.Module):
    """The interactive motion guider: own voice -> M_v, other voice -> M_nv, sum, MLP -> f_m.

    Nobody tells it who speaks: a silent voice retrieves what its bank holds for silence.
    """

    def __init__(self, options: ModelOptions):
        super().__init__()
        d = options.d
        self.hear_self, self.hear_other = (
            nn.Sequential(nn.Linear(options.hear * AUDIO_DIM, d), nn.SiLU(), nn.Linear(d, d), nn.LayerNorm(d))
            for _ in range(2)
        )
        self.m_v, self.m_nv = MemoryBank(options), MemoryBank(options)
        self.fuse = nn.Sequential(nn.LayerNorm(d), FFN(d, 2))

    def forward(self, a_self: Tensor, a_other: Tensor, s_m: Tensor) -> Tensor:
        """Audio windows (B, N, hear * 50) twice and style (B, style) -> f_m (B, N, d)."""
        return self.fuse(self.m_v(self.hear_self(a_self), s_m) + self.m_nv(self.hear_other(a_other), s_m))


class StyleEncoder(nn.Module):
    """Motion (B, n, K) of some clip -> s_m (B, style): convolutions, then the mean over time."""

    def __init__(self, options: ModelOptions):
        super().__init__()
        d = options.d
        self.frames = nn.Sequential(nn.Conv1d(DIRECTIONS, d, 5, 2, 2), nn.SiLU(), nn.Conv1d(d, d, 5, 2, 2), nn.SiLU())
        self.out = nn.Linear(d, options.style)

    def forward(self, motion: Tensor) -> Tensor:
        return self.out(self.frames(motion.transpose(1, 2)).mean(-1))


class Block(nn.Module):
    """Self-attention -> motion attention (K and V are f_m) -> temporal attention (K and V are the frames before)."""

    def __init__(self, options: ModelOptions):
        super().__init__()
        d, heads = options.d, options.heads
        self.norms = nn.ModuleList(nn.LayerNorm(d) for _ in range(4))
        self.self_attention, self.motion_attention, self.temporal_attention = (Attention(d, heads) for _ in range(3))
        self.ffn = FFN(d, 2)

    def forward(self, h: Tensor, f_m: Tensor, previous: Tensor, near: Tensor) -> Tensor:
        """`h` (B, 1 + N, d) begins with the token of the time t; `near` is added to the attention's logits."""
        h = h + self.self_attention(self.norms[0](h), mask=near)
        h = h + self.motion_attention(self.norms[1](h), f_m, near[..., 1:])
        h = h + self.temporal_attention(self.norms[2](h), previous)
        return h + self.ffn(self.norms[3](h))


def nearness(length: int, heads: int) -> Tensor:
    """Logits (heads, 1 + N, 1 + N) that fall with the distance of two frames, at another slope in each head (ALiBi).

    With them a frame finds its own f_m from the first step on. The time token, first, is equally near to all.
    """
    place = torch.arange(length, dtype=torch.float32)
    slopes = 2.0 * 4.0 ** -torch.arange(heads, dtype=torch.float32)
    near = torch.zeros(heads, 1 + length, 1 + length)
    near[:, 1:, 1:] = -slopes[:, None, None] * (place[:, None] - place[None]).abs()
    return near


class Denoiser(nn.Module):
    """Estimates clean motion from noisy motion, f_m and the last frames of the window before."""

    def __init__(self, options: ModelOptions):
        super().__init__()
        d, self.previous = options.d, options.previous
        self.embed, self.embed_previous = nn.Linear(DIRECTIONS, d), nn.Linear(DIRECTIONS, d)
        self.time_in = nn.Sequential(nn.Linear(d, d), nn.SiLU(), nn.Linear(d, d))
        self.null_motion = nn.Parameter(0.02 * torch.randn(d))  # in place of every frame's f_m
        self.null_previous = nn.Parameter(0.02 * torch.randn(d))
        self.register_buffer("place", position_embedding(options.previous + options.window, d), persistent=False)
        self.register_buffer("near", nearness(options.window, options.heads), persistent=False)
        self.blocks = nn.ModuleList(Block(options) for _ in range(options.blocks))
        self.out = nn.Sequential(nn.LayerNorm(d), nn.Linear(d, DIRECTIONS))

    def forward(
        self,
        x_t: Tensor,
        t: Tensor,
        f_m: Tensor,
        previous: Tensor,
        keep_motion: Tensor,
        keep_previous: Tensor,
        valid: Tensor | None = None,
    ) -> Tensor:
        """Noisy motion (B, n, K), n <= N, at times t (B,) -> clean motion (B, n, K).

        `f_m` is (B, n, d), `previous` (B, 10, K), `keep_*` (B,) of ones and zeros; `valid` (B, n) is false for frames
        after a dialogue's end, which nothing attends to.
        """
        frames = x_t.shape[1]
        place = self.place[self.previous :][:frames]
        f_m = torch.where(keep_motion[:, None, None] > 0, f_m, self.null_motion) + place
        previous = torch.where(keep_previous[:, None, None] > 0, self.embed_previous(previous), self.null_previous)
        near = self.near[:, : 1 + frames, : 1 + frames]
        if valid is not None:
            shown = torch.cat([torch.ones_like(valid[:, :1]), valid], 1)
            near = near.masked_fill(~shown[:, None, None], -torch.inf)
        time = self.time_in(time_embedding(t, self.place.shape[1]))
        h = torch.cat([time[:, None], self.embed(x_t) + place], 1)
        for block in self.blocks:
            h = block(h, f_m, previous + self.place[: self.previous], near)
        return self.out(h[:, 1:])


class INFPNetwork(nn.Module):
    """Guider, style encoder and denoiser under one roof."""

    def __init__(self, options: ModelOptions):
        super().__init__()
        self.options = options
        self.guider = MotionGuider(options)
        self.style = StyleEncoder(options)
        self.denoiser = Denoiser(options)

    def null_style(self, batch: int) -> Tensor:
        return torch.zeros(batch, self.options.style).to(self.denoiser.place)
