"""SDCM, spatial-aware decoupled cross-attention, and the entangled fusion that replaces it in the ablation."""

import torch
from einops import rearrange, repeat
from torch import Tensor, nn

from echo_model.model.layers import Attention


def per_frame(attention: Attention, h: Tensor, audio: Tensor) -> Tensor:
    """Each latent frame attends to its own frames' audio windows: h (b, f, s, d), audio (b, f, n, d)."""
    b = len(h)
    y = attention(rearrange(h, "b f s d -> (b f) s d"), rearrange(audio, "b f n d -> (b f) n d"))
    return rearrange(y, "(b f) s d -> b f s d", b=b)


class SDCM(nn.Module):
    """Spatial-aware Decoupled Cross-attention Module (ECHO, section 'SDCM').

        h_usr  = CrossAttn_1(h, f_pu)          h_avt = CrossAttn_2(h, A_avt)
        g      = sigmoid(f_g([f_conv1(h_usr); f_conv2(h_avt)]))
        h_lip  = h_avt * M_lip                 h_face = (g * h_avt + (1 - g) * h_usr) * M_face
        h_out  = h + h_lip + h_face

    Here h is (batch, frames, tokens, d): 16 tokens of the face grid and the pose token, which counts as face. The
    convolutions are 1 x 1, for the paper gives no kernel. Without f_pu (stage 1) the gate is one: audio alone.
    """

    def __init__(self, d: int, heads: int):
        super().__init__()
        self.cross_usr = Attention(d, heads)
        self.cross_avt = Attention(d, heads)
        self.conv_usr = nn.Linear(d, d // 2)
        self.conv_avt = nn.Linear(d, d // 2)
        self.gate = nn.Linear(d, d)

    def forward(self, h: Tensor, audio: Tensor, f_pu: Tensor | None, m_lip: Tensor, m_face: Tensor) -> Tensor:
        h_avt = per_frame(self.cross_avt, h, audio)
        if f_pu is None:
            return h_avt * (m_lip + m_face)
        h_usr = self.cross_usr(rearrange(h, "b f s d -> b (f s) d"), f_pu)
        h_usr = rearrange(h_usr, "b (f s) d -> b f s d", f=h.shape[1])
        g = torch.sigmoid(self.gate(torch.cat([self.conv_usr(h_usr), self.conv_avt(h_avt)], -1)))
        return h_avt * m_lip + (g * h_avt + (1 - g) * h_usr) * m_face


class EntangledFusion(nn.Module):
    """w/o SDCM: user and avatar-audio tokens become one conditioning sequence, one cross-attention injects it.

    No masks and no gate; the fusion MLP is as wide as SDCM's second attention and gate together.
    """

    def __init__(self, d: int, heads: int):
        super().__init__()
        self.fuse = nn.Sequential(nn.Linear(d, 3 * d), nn.GELU(approximate="tanh"), nn.Linear(3 * d, d))
        self.source = nn.Parameter(torch.zeros(2, d))
        self.cross = Attention(d, heads)

    def forward(self, h: Tensor, audio: Tensor, f_pu: Tensor | None, m_lip: Tensor, m_face: Tensor) -> Tensor:
        sequence = audio + self.source[0]
        if f_pu is not None:
            user = repeat(f_pu + self.source[1], "b n d -> b f n d", f=audio.shape[1])
            sequence = torch.cat([sequence, user], 2)
        return per_frame(self.cross, h, self.fuse(sequence))
