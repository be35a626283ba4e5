"""LCU, long-range contextual understanding: LPE -> P_usr, HBCU -> f_pu, LAU -> c_emo."""

from typing import NamedTuple

import torch
from einops import rearrange, repeat
from torch import Tensor, nn

from echo_model.model.latent import UserSizes
from echo_model.model.layers import FFN, Attention, position_embedding
from echo_model.model.options import ModelOptions
from echo_model.model.ssm import Mamba, ScanState


class MambaStack(nn.Module):
    """x_k = x_{k-1} + Mamba_k(LayerNorm(x_{k-1})), k = 1 .. K."""

    def __init__(self, d: int, layers: int):
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(d) for _ in range(layers))
        self.mixers = nn.ModuleList(Mamba(d) for _ in range(layers))

    def forward(self, x: Tensor) -> Tensor:
        return self.advance(x, None)[0]

    def advance(self, x: Tensor, states: tuple[ScanState, ...] | None) -> tuple[Tensor, tuple[ScanState, ...]]:
        """The outputs of steps that follow on `states`, and the states after them."""
        after = []
        for k, (norm, mixer) in enumerate(zip(self.norms, self.mixers, strict=True)):
            y, state = mixer.advance(norm(x), states[k] if states else None)
            x = x + y
            after.append(state)
        return x, tuple(after)


class Perceived(NamedTuple):
    """What the scans made of the user: A_bar (b, S, d) and V_hat (b, S_v, face tokens, d); None where off."""

    a_bar: Tensor | None = None
    v_hat: Tensor | None = None

    def part(self, frames: slice, options: ModelOptions) -> "Perceived":
        """The steps of some of the frames."""
        strides = (options.stride, options.tubelet)
        cut = (slice(frames.start // k, frames.stop // k) for k in strides)
        return Perceived(*(None if x is None else x[:, c] for x, c in zip(self, cut, strict=True)))

    def last(self, frames: int, options: ModelOptions) -> "Perceived":
        strides = (options.stride, options.tubelet)
        return Perceived(*(None if x is None else x[:, -(frames // k) :] for x, k in zip(self, strides, strict=True)))

    def then(self, later: "Perceived") -> "Perceived":
        return Perceived(*(y if x is None else torch.cat([x, y], 1) for x, y in zip(self, later, strict=True)))


class PerceptionState(NamedTuple):
    """States of M_a and M_v after the steps seen so far."""

    m_a: tuple[ScanState, ...] | None = None
    m_v: tuple[ScanState, ...] | None = None


class GatedModulation(nn.Module):
    """F_gm: A_hat = A + g_usr * tanh(f_proj(A_bar)), g_usr from a gated multimodal unit (Arevalo et al. 2017)."""

    def __init__(self, d: int, audio: int):
        super().__init__()
        self.project = nn.Linear(d, audio)
        self.gate = nn.Linear(audio + d, audio)

    def forward(self, a: Tensor, a_bar: Tensor) -> Tensor:
        """a: (b, steps, L_w, D) windows of the current clip; a_bar: (b, steps, d) Mamba outputs."""
        a_bar = repeat(a_bar, "b s d -> b s w d", w=a.shape[2])
        gate = torch.sigmoid(self.gate(torch.cat([a, a_bar], -1)))
        return a + gate * torch.tanh(self.project(a_bar))


class LPE(nn.Module):
    """Low-level perception encoding: windowed audio and masked video tokens of the user -> P_usr.

    Audio is (b, S, L_w, D) over the S steps of the context, video (b, S_v, tokens, channels of a tubelet); P_usr is
    (b, S_cur, d) over the steps of the current clip. M_v scans tubelet after tubelet and, inside one, the face tokens
    in raster order, so a state only ever depends on the past.
    """

    def __init__(self, options: ModelOptions, face: Tensor, sizes: UserSizes):
        super().__init__()
        d, self.options = options.d, options
        self.current = options.clip // options.stride
        self.query = nn.Linear(options.window * sizes.audio, d)
        self.dropout = nn.Dropout(options.dropout)
        self.register_buffer("steps", position_embedding(options.context // options.stride, d).flip(0))
        if options.use_lcu:
            self.f_audio = nn.Linear(options.window * sizes.audio, d)
            self.m_a = MambaStack(d, options.mamba_layers)
            self.f_gm = GatedModulation(d, sizes.audio)
        if options.use_lcu and options.use_lpe:
            self.register_buffer("face", face.nonzero()[:, 0])  # Mask(.): tokens outside M_face are dropped
            self.f_video = nn.Linear(sizes.video, d)
            self.register_buffer("tubelets", position_embedding(options.context // options.tubelet, d).flip(0))
            self.place = nn.Parameter(0.02 * torch.randn(sizes.tokens, d))
            self.m_v = MambaStack(d, 1)
            self.f_int = Attention(d, options.heads)
            self.norm = nn.LayerNorm(d)

    def forward(self, audio: Tensor, video: Tensor) -> Tensor:
        return self.fuse(audio[:, -self.current :], self.scan(audio, video)[0])

    def scan(
        self, audio: Tensor, video: Tensor, state: PerceptionState | None = None
    ) -> tuple[Perceived, PerceptionState]:
        """Scan further steps of the user, audio (b, n, L_w, D) and video (b, m, tokens, channels), after `state`."""
        state, a_bar, v = state or PerceptionState(), None, None
        m_a, m_v = state
        if self.options.use_lcu:
            a_bar, m_a = self.m_a.advance(self.dropout(self.f_audio(audio.flatten(2))), m_a)
        if self.options.use_lcu and self.options.use_lpe:
            v = self.dropout(self.f_video(video[:, :, self.face])) + self.place[self.face]
            v, m_v = self.m_v.advance(rearrange(v, "b s n d -> b (s n) d"), m_v)
            v = rearrange(v, "b (s n) d -> b s n d", n=len(self.face))
        return Perceived(a_bar, v), PerceptionState(m_a, m_v)

    def fuse(self, a: Tensor, perceived: Perceived) -> Tensor:
        """P_usr of the current clip from its audio windows `a` and what the scans made of T frames."""
        if perceived.a_bar is not None:
            a = self.f_gm(a, perceived.a_bar[:, -self.current :])
        p_usr = self.dropout(self.query(a.flatten(2))) + self.steps[-self.current :]
        if perceived.v_hat is not None:
            v = rearrange(perceived.v_hat + self.tubelets[:, None], "b s n d -> b (s n) d")
            p_usr = p_usr + self.f_int(self.norm(p_usr), v)
        return p_usr


class HBCU(nn.Module):
    """High-level behaviour-grounded context understanding: gated cross-attention of P_usr on Phi's tokens S_usr.

    f_m = CrossAttn(P_usr, f_align(S_usr)) * tanh(alpha) + P_usr;  f_pu = FFN(f_m) * tanh(beta) + f_m.
    alpha and beta are scalars that start at zero, so the module starts as the identity.
    """

    def __init__(self, options: ModelOptions):
        super().__init__()
        d = options.d
        self.f_align = nn.Sequential(nn.Linear(options.phi_width, d), nn.GELU(approximate="tanh"), nn.Linear(d, d))
        self.register_buffer("steps", position_embedding(options.context // options.stride, d).flip(0))
        self.dropout = nn.Dropout(options.dropout)
        self.norm = nn.LayerNorm(d)
        self.cross = Attention(d, options.heads)
        self.ffn = nn.Sequential(nn.LayerNorm(d), FFN(d, 2))
        self.alpha = nn.Parameter(torch.zeros(()))
        self.beta = nn.Parameter(torch.zeros(()))

    def forward(self, p_usr: Tensor, s_usr: Tensor) -> Tensor:
        s_usr = self.dropout(self.f_align(s_usr)) + self.steps
        f_m = self.cross(self.norm(p_usr), s_usr) * torch.tanh(self.alpha) + p_usr
        return self.ffn(f_m) * torch.tanh(self.beta) + f_m


class LCU(nn.Module):
    """LPE, HBCU and LAU together: (user audio, user video, S_usr, E_txt(y_emo)) -> (f_pu, c_emo).

    `face` (tokens,) tells which tokens of the user's video lie in M_face; `sizes` what the encoders give.
    """

    def __init__(self, options: ModelOptions, face: Tensor, sizes: UserSizes):
        super().__init__()
        self.options = options
        self.lpe = LPE(options, face, sizes)
        self.hbcu = HBCU(options) if options.use_lcu and options.use_hbcu else None
        projected = options.use_lcu and options.use_lau and sizes.project_text
        self.f_emo = nn.Linear(options.text_width, options.d) if projected else None
        told = sizes.told  # only in training: see StageOptions.context_weight
        self.tell = nn.Linear(options.d, told) if told else None
        self.tell_emotion = nn.Linear(options.d, told, bias=False) if told and self.f_emo else None
        self.null_user = nn.Parameter(0.02 * torch.randn(options.clip // options.stride, options.d))
        self.null_emotion = nn.Parameter(0.02 * torch.randn(options.d)) if sizes.project_text else None

    def forward(
        self, audio: Tensor, video: Tensor, s_usr: Tensor, text: Tensor, keep: Tensor, feel: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """(f_pu, c_emo) of clips from the S steps of user that end with each; see `understand`."""
        return self.understand(audio[:, -self.lpe.current :], self.lpe.scan(audio, video)[0], s_usr, text, keep, feel)

    def told(self, f_pu: Tensor, c_emo: Tensor | None) -> Tensor:
        """What f_pu and c_emo, read linearly, say of the clip's mean latent: (b, told)."""
        mean = self.tell(f_pu.mean(1))
        return mean if c_emo is None else mean + self.tell_emotion(c_emo.mean(1))

    def understand(
        self, a: Tensor, perceived: Perceived, s_usr: Tensor, text: Tensor, keep: Tensor, feel: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """(f_pu, c_emo) from what the scans perceived.

        `a` holds the current clip's audio windows; text is (b, words, text_width). `keep` (b,) is 0 where f_pu is
        dropped for guidance, `feel` (b,) where c_emo is.
        """
        f_pu = self.lpe.fuse(a, perceived)
        if self.hbcu is not None:
            f_pu = self.hbcu(f_pu, s_usr)
        keep, feel = keep[:, None, None], feel[:, None, None]
        f_pu = keep * f_pu + (1 - keep) * self.null_user
        if self.f_emo is None:
            return f_pu, None
        return f_pu, feel * self.f_emo(text) + (1 - feel) * self.null_emotion
