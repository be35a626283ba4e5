"""SDCM between the cross-attention and the FFN of a pretrained block, and the entangled fusion of the ablation."""

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor, nn


class NarrowAttention(nn.Module):
    """Attention of (b, n, d) on (b, m, c) that gives `width` channels: no map back up, so that masks and gate act on
    what was attended to. Queries and keys are normalised, as in the base.
    """

    def __init__(self, d: int, context: int, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(d, width, bias=False)
        self.kv = nn.Linear(context, 2 * width, bias=False)
        self.norm_q, self.norm_k = nn.RMSNorm(width // heads, eps=1e-6), nn.RMSNorm(width // heads, eps=1e-6)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        q = rearrange(self.q(x), "b n (h c) -> b h n c", h=self.heads)
        k, v = rearrange(self.kv(context), "b n (j h c) -> j b h n c", j=2, h=self.heads)
        q, k = self.norm_q(q).type_as(v), self.norm_k(k).type_as(v)
        return rearrange(F.scaled_dot_product_attention(q, k, v), "b h n c -> b n (h c)")


def per_frame(attention: NarrowAttention, h: Tensor, audio: Tensor) -> Tensor:
    """Each latent step attends to its own frames' audio: h (b, f, s, d), audio (b, f, n, c)."""
    b = len(h)
    y = attention(rearrange(h, "b f s d -> (b f) s d"), rearrange(audio, "b f n c -> (b f) n c"))
    return rearrange(y, "(b f) s d -> b f s d", b=b)


class SDCM(nn.Module):
    """Spatial-aware Decoupled Cross-attention Module (ECHO), of `width` channels inside a block of `d`.

        h_usr  = CrossAttn_1(h, f_pu)          h_avt = CrossAttn_2(h, A_avt)
        g      = sigmoid(f_g([f_conv1(h_usr); f_conv2(h_avt)]))
        h_lip  = h_avt * M_lip                 h_face = (g * h_avt + (1 - g) * h_usr) * M_face
        h_out  = h + W (h_lip + h_face)

    The equations hold in `width` channels; W, one map for both parts without a bias, carries them into the block, so a
    token outside both masks gets nothing. W starts at zero: the block starts as the pretrained one. Without f_pu
    (stage 1) the gate is one: audio alone. Convolutions are 1 x 1, for the paper gives no kernel.
    """

    def __init__(self, d: int, width: int, heads: int, voice: int, user: int):
        super().__init__()
        self.norm = nn.LayerNorm(d, elementwise_affine=False, eps=1e-6)
        self.cross_usr = NarrowAttention(d, user, width, heads)
        self.cross_avt = NarrowAttention(d, voice, width, heads)
        self.conv_usr, self.conv_avt = nn.Linear(width, width // 2), nn.Linear(width, width // 2)
        self.gate = nn.Linear(width // 2 * 2, width)
        self.out = nn.Linear(width, d, bias=False)
        nn.init.zeros_(self.out.weight)

    def forward(self, h: Tensor, audio: Tensor, f_pu: Tensor | None, m_lip: Tensor, m_face: Tensor) -> Tensor:
        """h (b, f, s, d), audio (b, f, n, voice), f_pu (b, m, user) or None; masks (b, 1, s, 1) -> (b, f, s, d)."""
        x = self.norm(h.float()).type_as(self.out.weight)
        h_avt = per_frame(self.cross_avt, x, audio)
        if f_pu is None:
            return self.out(h_avt * (m_lip + m_face))
        h_usr = self.cross_usr(rearrange(x, "b f s d -> b (f s) d"), f_pu)
        h_usr = rearrange(h_usr, "b (f s) c -> b f s c", f=h.shape[1])
        g = torch.sigmoid(self.gate(torch.cat([self.conv_usr(h_usr), self.conv_avt(h_avt)], -1)))
        return self.out(h_avt * m_lip + (g * h_avt + (1 - g) * h_usr) * m_face)


class EntangledFusion(nn.Module):
    """w/o SDCM: voice and user become one conditioning sequence, one cross-attention injects it; no masks, no gate.

    The fusion MLP is as wide as SDCM's second attention and gate together.
    """

    def __init__(self, d: int, width: int, heads: int, voice: int, user: int):
        super().__init__()
        self.norm = nn.LayerNorm(d, elementwise_affine=False, eps=1e-6)
        self.voice_in, self.user_in = nn.Linear(voice, width), nn.Linear(user, width)
        hidden = (d + voice + user) // 2  # as many parameters as SDCM
        self.fuse = nn.Sequential(nn.Linear(width, hidden), nn.GELU(approximate="tanh"), nn.Linear(hidden, width))
        self.cross = NarrowAttention(d, width, width, heads)
        self.out = nn.Linear(width, d, bias=False)
        nn.init.zeros_(self.out.weight)

    def forward(self, h: Tensor, audio: Tensor, f_pu: Tensor | None, m_lip: Tensor, m_face: Tensor) -> Tensor:
        sequence = self.voice_in(audio)
        if f_pu is not None:
            user = repeat(self.user_in(f_pu), "b n c -> b f n c", f=audio.shape[1])
            sequence = torch.cat([sequence, user], 2)
        x = self.norm(h.float()).type_as(self.out.weight)
        return self.out(per_frame(self.cross, x, self.fuse(sequence)))
