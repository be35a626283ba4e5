"""LCU, long-range contextual understanding: LPE -> P_usr, HBCU -> f_pu, LAU -> c_emo."""

import torch
from einops import rearrange, repeat
from torch import Tensor, nn

from echo_model.backbones.audio import AUDIO_DIM
from echo_model.backbones.phi import PHI_DIM
from echo_model.backbones.text import TEXT_DIM
from echo_model.backbones.vae import CHANNELS, TOKENS
from echo_model.layers import FFN, Attention, position_embedding
from echo_model.options import ModelOptions
from echo_model.ssm import Mamba


class MambaStack(nn.Module):
    """x_k = x_{k-1} + Mamba_k(LayerNorm(x_{k-1})), k = 1 .. K."""

    def __init__(self, d: int, layers: int):
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(d) for _ in range(layers))
        self.mixers = nn.ModuleList(Mamba(d) for _ in range(layers))

    def forward(self, x: Tensor) -> Tensor:
        for norm, mixer in zip(self.norms, self.mixers, strict=True):
            x = x + mixer(norm(x))
        return x


class GatedModulation(nn.Module):
    """F_gm: A_hat = A + g_usr * tanh(f_proj(A_bar)), g_usr from a gated multimodal unit (Arevalo et al. 2017)."""

    def __init__(self, d: int):
        super().__init__()
        self.project = nn.Linear(d, AUDIO_DIM)
        self.gate = nn.Linear(AUDIO_DIM + d, AUDIO_DIM)

    def forward(self, a: Tensor, a_bar: Tensor) -> Tensor:
        """a: (b, steps, L_w, D) windows of the current clip; a_bar: (b, steps, d) Mamba outputs."""
        a_bar = repeat(a_bar, "b s d -> b s w d", w=a.shape[2])
        gate = torch.sigmoid(self.gate(torch.cat([a, a_bar], -1)))
        return a + gate * torch.tanh(self.project(a_bar))


class LPE(nn.Module):
    """Low-level perception encoding: windowed audio and masked video tokens of the user -> P_usr.

    Audio is (b, S, L_w, D) and video (b, S, 17, stride * 8) over the S steps of the context; P_usr is
    (b, S_cur, d) over the steps of the current clip. M_v scans step after step and, inside a step, the face tokens
    in raster order, so a state only ever depends on the past.
    """

    def __init__(self, options: ModelOptions, face: Tensor):
        super().__init__()
        d, self.options = options.d, options
        self.current = options.clip // options.stride
        self.query = nn.Linear(options.window * AUDIO_DIM, d)
        self.register_buffer("steps", position_embedding(options.context // options.stride, d).flip(0))
        if options.use_lcu:
            self.f_audio = nn.Linear(options.window * AUDIO_DIM, d)
            self.m_a = MambaStack(d, options.mamba_layers)
            self.f_gm = GatedModulation(d)
        if options.use_lcu and options.use_lpe:
            self.register_buffer("face", face.nonzero()[:, 0])  # Mask(.): tokens outside M_face are dropped
            self.f_video = nn.Linear(options.stride * CHANNELS, d)
            self.place = nn.Parameter(0.02 * torch.randn(TOKENS, d))
            self.m_v = MambaStack(d, 1)
            self.f_int = Attention(d, options.heads)
            self.norm = nn.LayerNorm(d)

    def forward(self, audio: Tensor, video: Tensor) -> Tensor:
        a = audio[:, -self.current :]
        if not self.options.use_lcu:
            return self.query(a.flatten(2)) + self.steps[-self.current :]
        a_bar = self.m_a(self.f_audio(audio.flatten(2)))[:, -self.current :]
        p_usr = self.query(self.f_gm(a, a_bar).flatten(2)) + self.steps[-self.current :]
        if self.options.use_lpe:
            v = self.f_video(video[:, :, self.face]) + self.place[self.face]
            v = self.m_v(rearrange(v, "b s n d -> b (s n) d"))
            v = v + self.steps.repeat_interleave(len(self.face), 0)
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
        self.f_align = nn.Sequential(nn.Linear(PHI_DIM, d), nn.GELU(approximate="tanh"), nn.Linear(d, d))
        self.register_buffer("steps", position_embedding(options.context // options.stride, d).flip(0))
        self.norm = nn.LayerNorm(d)
        self.cross = Attention(d, options.heads)
        self.ffn = nn.Sequential(nn.LayerNorm(d), FFN(d, 2))
        self.alpha = nn.Parameter(torch.zeros(()))
        self.beta = nn.Parameter(torch.zeros(()))

    def forward(self, p_usr: Tensor, s_usr: Tensor) -> Tensor:
        f_m = self.cross(self.norm(p_usr), self.f_align(s_usr) + self.steps) * torch.tanh(self.alpha) + p_usr
        return self.ffn(f_m) * torch.tanh(self.beta) + f_m


class LCU(nn.Module):
    """LPE, HBCU and LAU together: (user audio, user video, S_usr, E_txt(y_emo)) -> (f_pu, c_emo)."""

    def __init__(self, options: ModelOptions, face: Tensor):
        super().__init__()
        self.options = options
        self.lpe = LPE(options, face)
        self.hbcu = HBCU(options) if options.use_lcu and options.use_hbcu else None
        self.f_emo = nn.Linear(TEXT_DIM, options.d) if options.use_lcu and options.use_lau else None
        self.tell = nn.Linear(options.d, TOKENS * CHANNELS)  # only in training: see StageOptions.context_weight
        self.null_user = nn.Parameter(0.02 * torch.randn(options.clip // options.stride, options.d))
        self.null_emotion = nn.Parameter(0.02 * torch.randn(options.d))

    def forward(
        self, audio: Tensor, video: Tensor, s_usr: Tensor, text: Tensor, keep: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """`keep` (b,) is 0 where the user is dropped for guidance; text is (b, words, TEXT_DIM)."""
        f_pu = self.lpe(audio, video)
        if self.hbcu is not None:
            f_pu = self.hbcu(f_pu, s_usr)
        keep = keep[:, None, None]
        f_pu = keep * f_pu + (1 - keep) * self.null_user
        if self.f_emo is None:
            return f_pu, None
        return f_pu, keep * self.f_emo(text) + (1 - keep) * self.null_emotion
