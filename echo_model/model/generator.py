"""The avatar generator: a flow-matching DiT over video latents with SDCM in every block."""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from echo_model.backbones.audio import AUDIO_DIM
from echo_model.backbones.vae import CHANNELS, TOKENS, small_layout
from echo_model.model.flow import Preconditioning, preconditioning
from echo_model.model.layers import FFN, Attention, TemporalMixing, modulate, position_embedding, time_embedding
from echo_model.model.noise import MotionNoise, Span
from echo_model.model.options import ModelOptions, SamplingOptions, check_span
from echo_model.model.sdcm import SDCM, EntangledFusion

REFERENCE_DIM = 32  # width of the reference tokens the VAE gives


class EchoBlock(nn.Module):
    """Self-attention -> cross-attention (I_ref, c_emo) -> SDCM -> FFN, modulated by the flow time.

    Ours: before them, each token is mixed with itself in the steps around it; attention alone is slow to learn what is
    near in time.
    """

    def __init__(self, options: ModelOptions):
        super().__init__()
        d, heads = options.d, options.heads
        self.norm_1, self.norm_2, self.norm_3, self.norm_4 = (
            nn.LayerNorm(d, elementwise_affine=False) for _ in range(4)
        )
        self.self_attention = Attention(d, heads)
        self.cross_attention = Attention(d, heads)
        self.mixing = TemporalMixing(d, options.mixing) if options.mixing else None
        self.sdcm = SDCM(d, heads) if options.use_sdcm else EntangledFusion(d, heads)
        self.ffn = FFN(d)
        self.modulation = nn.Sequential(nn.SiLU(), nn.Linear(d, 6 * d))
        nn.init.zeros_(self.modulation[-1].weight)
        nn.init.zeros_(self.modulation[-1].bias)

    def forward(self, h, time, appearance, audio, f_pu, m_lip, m_face):
        """h: (b, frames, tokens, d)."""
        frames = h.shape[1]
        shift_1, scale_1, gate_1, shift_2, scale_2, gate_2 = self.modulation(time).chunk(6, -1)
        if self.mixing is not None:
            h = h + self.mixing(h)
        x = rearrange(h, "b f s d -> b (f s) d")
        x = x + (1 + gate_1[:, None]) * self.self_attention(modulate(self.norm_1(x), shift_1, scale_1))
        x = x + self.cross_attention(self.norm_2(x), appearance)
        h = rearrange(x, "b (f s) d -> b f s d", f=frames)
        h = h + self.sdcm(self.norm_3(h), audio, f_pu, m_lip, m_face)
        x = rearrange(h, "b f s d -> b (f s) d")
        x = x + (1 + gate_2[:, None]) * self.ffn(modulate(self.norm_4(x), shift_2, scale_2))
        return rearrange(x, "b (f s) d -> b f s d", f=frames)


class EchoGenerator(nn.Module):
    """DiT over (T_prev + T_cur) frames of latents; estimates the clean latents of the current clip.

    A latent step holds `patch` frames, as a video VAE with temporal compression would; tokens are embedded by a map
    of their own for the face grid and for the pose. The T_prev frames enter clean, ahead of the noisy clip.
    With `precondition` the network reads and answers at unit scale, whatever a token's `spread` and the flow time
    (`flow.preconditioning`); `fit_spread` measures that before training, and a checkpoint keeps it; likewise `colour`.
    """

    def __init__(self, options: ModelOptions, m_lip: Tensor, m_face: Tensor):
        super().__init__()
        d, self.options = options.d, options
        self.layout = small_layout(options.patch)
        channels = options.patch * CHANNELS
        self.current, self.previous = options.clip // options.patch, options.previous // options.patch
        beside = (1 + 2 * options.neighbours) * channels
        self.embed_grid, self.embed_pose = nn.Linear(beside, d), nn.Linear(beside, d)
        self.register_buffer("spread", torch.ones(TOKENS, 1))  # s: root mean square of a token's latents
        self.colour = MotionNoise(TOKENS, CHANNELS, options.clip) if options.colour else None
        self.place = nn.Parameter(0.02 * torch.randn(TOKENS, d))
        self.is_previous = nn.Parameter(0.02 * torch.randn(2, d))  # the T_prev frames: given, or dropped
        self.register_buffer("frame_position", position_embedding(self.previous + self.current, d))
        windows = options.patch * options.window  # each place in the window has a map of its own
        self.audio_in = nn.Parameter(torch.randn(windows, AUDIO_DIM, d) / AUDIO_DIM**0.5)
        self.audio_place = nn.Parameter(0.02 * torch.randn(windows, d))
        self.null_audio = nn.Parameter(0.02 * torch.randn(d))
        self.reference_in = nn.Linear(REFERENCE_DIM, d)
        self.reference_place = nn.Parameter(0.02 * torch.randn(TOKENS - 1, d))
        self.time_in = nn.Sequential(nn.Linear(d, d), nn.SiLU(), nn.Linear(d, d))
        self.blocks = nn.ModuleList(EchoBlock(options) for _ in range(options.blocks))
        self.norm_out = nn.LayerNorm(d)
        self.grid_out, self.pose_out = nn.Linear(d, channels), nn.Linear(d, channels)
        lip, face = m_lip.clone(), m_face.clone()
        if options.masks == "binary":
            lip = (lip > 0.5).float()
            face = 1 - lip
        self.register_buffer("m_lip", lip[:, None])
        self.register_buffer("m_face", face[:, None])

    def forward(self, **kwargs) -> Tensor:
        """Estimate x_1, the clean latents, from what `hidden` takes."""
        return self.estimate(self.hidden(**kwargs)[-1], kwargs["x_t"], kwargs["t"])

    def estimate(self, h: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """The last block's output -> x_1 (b, current, 17, patch * 8)."""
        h = self.norm_out(h[:, self.previous :])
        answer = torch.cat([self.grid_out(h[:, :, :-1]), self.pose_out(h[:, :, -1:])], 2)
        if not self.options.precondition:
            return answer
        if self.colour is not None:  # of the pose alone: lips answer a voice that changes faster
            pose = self.colour.even_pose(rearrange(answer[:, :, -1], "b f (k c) -> b (f k) c", c=CHANNELS))
            pose = rearrange(pose, "b (f k) c -> b f 1 (k c)", k=self.options.patch)
            answer = torch.cat([answer[:, :, :-1], pose], 2)
        c = self.scales(t)
        return c.skip * x_t + c.out * answer

    def scales(self, t: Tensor) -> Preconditioning:
        """c_in, c_skip and c_out of flow times (b,): (b, 1, 17, 1) each."""
        noise = torch.ones_like(self.spread) if self.colour is None else self.spread
        return preconditioning(t.view(-1, 1, 1, 1), self.spread, noise)

    @torch.no_grad()
    def fit_spread(self, latents: list[Tensor]) -> None:
        """Set `spread` from true latents, (T, 17, 8) each: about zero, which is the reference image."""
        squares = sum(x.double().square().mean(2).sum(0) for x in latents) / sum(len(x) for x in latents)
        self.spread.copy_(squares.sqrt().clamp_min(1e-3)[:, None])
        if self.colour is not None:
            self.colour.fit(latents)

    def coloured(self, noise: Tensor) -> Tensor:
        """White noise (..., current, 17, patch * 8) -> noise that moves as true latents do (`noise.MotionNoise`), each
        token at its spread; without `colour`, as it is."""
        if self.colour is None:
            return noise
        frames = self.colour(rearrange(noise, "... f n (k c) -> ... (f k) n c", c=CHANNELS))
        return rearrange(frames, "... (f k) n c -> ... f n (k c)", k=self.options.patch)

    def span(self, sampling: SamplingOptions) -> Span | None:
        """`MotionNoise.span` of the options' shares; None where both are 1, ConfigError where nothing was measured."""
        check_span(self.options, sampling)
        whole = sampling.span == sampling.span_time == 1
        return None if whole else self.colour.span(sampling.span, sampling.span_time)

    def hidden(
        self,
        x_t,
        t,
        previous,
        keep_previous,
        audio,
        keep_audio,
        reference,
        f_pu=None,
        c_emo=None,
        depth=None,
    ) -> list[Tensor]:
        """Outputs of the first `depth` blocks (None: of all), each (b, previous + current, 17, d).

        x_t: (b, current, 17, patch * 8) noisy latents; t: (b,) flow times; previous: (b, previous, 17, patch * 8);
        keep_previous, keep_audio: (b,) 0 where dropped; audio: (b, previous + current, patch * L_w, D) windows of the
        avatar's voice; reference: (b, 16, 32); f_pu: (b, n, d) or None (stage 1); c_emo: (b, words, d) or None.
        """
        keep = keep_previous[:, None, None, None]
        if self.options.precondition:
            previous, x_t = previous / self.spread, self.scales(t).within * x_t
        x = beside(torch.cat([previous * keep, x_t], 1), self.options.neighbours)
        h = torch.cat([self.embed_grid(x[:, :, :-1]), self.embed_pose(x[:, :, -1:])], 2)
        h = h + self.place + self.frame_position[:, None]
        given = keep * self.is_previous[0] + (1 - keep) * self.is_previous[1]
        h = torch.cat([h[:, : self.previous] + given, h[:, self.previous :]], 1)
        keep = keep_audio[:, None, None, None]
        voice = torch.einsum("bfwa,wad->bfwd", audio, self.audio_in)
        voice = keep * voice + (1 - keep) * self.null_audio + self.audio_place
        appearance = self.reference_in(reference) + self.reference_place
        if c_emo is not None:
            appearance = torch.cat([appearance, c_emo], 1)
        time = self.time_in(time_embedding(t, h.shape[-1]))
        features = []
        for block in self.blocks[:depth]:
            h = block(h, time, appearance, voice, f_pu, self.m_lip, self.m_face)
            features.append(h)
        return features


def beside(x: Tensor, neighbours: int) -> Tensor:
    """(b, f, n, c) -> (b, f, n, (1 + 2 neighbours) c): each step with those around it, zeros beyond the ends."""
    if not neighbours:
        return x
    padded = F.pad(x, (0, 0, 0, 0, neighbours, neighbours))
    return torch.cat([padded[:, k : k + x.shape[1]] for k in range(1 + 2 * neighbours)], -1)
