"""ARIG's interactive behaviour understanding: a chunk of both parties' frames -> summary, summaries -> cis-token."""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from echo_model.model.layers import FFN, modulate


class Modulation(nn.Sequential):
    """adaLN: a condition (rows, d) -> `parts` tensors (rows, d); zero at first, so that blocks start plain."""

    def __init__(self, d: int, parts: int):
        super().__init__(nn.SiLU(), nn.Linear(d, parts * d))
        self.parts = parts
        nn.init.zeros_(self[1].weight)
        nn.init.zeros_(self[1].bias)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return super().forward(x).chunk(self.parts, -1)


class Track(nn.Module):
    """One party's own weights in a bidirectional layer."""

    def __init__(self, d: int, ratio: int):
        super().__init__()
        self.norm_1, self.norm_2 = (nn.LayerNorm(d, elementwise_affine=False) for _ in range(2))
        self.modulation = Modulation(d, 6)
        self.qkv, self.out, self.ffn = nn.Linear(d, 3 * d), nn.Linear(d, d), FFN(d, ratio)

    def before(self, x: Tensor, audio: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        shift, scale, *rest = self.modulation(audio)
        return self.qkv(modulate(self.norm_1(x), shift, scale)), rest

    def after(self, x: Tensor, y: Tensor, rest: tuple[Tensor, ...]) -> Tensor:
        gate_1, shift, scale, gate_2 = rest
        x = x + (1 + gate_1[:, None]) * self.out(y)
        return x + (1 + gate_2[:, None]) * self.ffn(modulate(self.norm_2(x), shift, scale))


def attend(qkv: Tensor, heads: int, queries: int | None = None, bias: Tensor | None = None) -> Tensor:
    """Attention inside (rows, n, 3 d); only the first `queries` places ask. -> (rows, queries, d)."""
    q, k, v = rearrange(qkv, "r n (j h c) -> j r h n c", j=3, h=heads)
    y = F.scaled_dot_product_attention(q[:, :, :queries], k, v, attn_mask=bias)
    return rearrange(y, "r h n c -> r n (h c)")


class BidirectionalLayer(nn.Module):
    """Each party by weights of its own, modulated by its own newest audio; one attention over both (as in MMDiT)."""

    def __init__(self, d: int, heads: int, ratio: int):
        super().__init__()
        self.heads, self.agent, self.user = heads, Track(d, ratio), Track(d, ratio)

    def forward(self, agent: Tensor, user: Tensor, agent_audio: Tensor, user_audio: Tensor) -> tuple[Tensor, Tensor]:
        """Behaviours (rows, c, d) and newest audio (rows, d) of both -> behaviours."""
        qkv_a, rest_a = self.agent.before(agent, agent_audio)
        qkv_u, rest_u = self.user.before(user, user_audio)
        y_a, y_u = attend(torch.cat([qkv_a, qkv_u], 1), self.heads).chunk(2, 1)
        return self.agent.after(agent, y_a, rest_a), self.user.after(user, y_u, rest_u)


class IntegratedLayer(nn.Module):
    """Both parties as one sequence, attention beside MLP, modulated by both newest audios; the agent's part goes on."""

    def __init__(self, d: int, heads: int, ratio: int):
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(d, elementwise_affine=False)
        self.merge_audio, self.modulation = nn.Linear(2 * d, d), Modulation(d, 3)
        self.qkv, self.out, self.ffn = nn.Linear(d, 3 * d), nn.Linear(d, d), FFN(d, ratio)

    def forward(self, agent: Tensor, user: Tensor, agent_audio: Tensor, user_audio: Tensor) -> Tensor:
        """As above -> the agent's (rows, c, d)."""
        c = agent.shape[1]
        shift, scale, gate = self.modulation(self.merge_audio(torch.cat([agent_audio, user_audio], -1)))
        h = modulate(self.norm(torch.cat([agent, user], 1)), shift, scale)
        y = self.out(attend(self.qkv(h), self.heads, c)) + self.ffn(h[:, :c])
        return agent + (1 + gate[:, None]) * y


class ChunkSummary(nn.Module):
    """Short range: the latest c frames of both parties -> one token."""

    def __init__(self, d: int, heads: int, ratio: int, chunk: int, depth: int):
        super().__init__()
        self.place = nn.Parameter(0.02 * torch.randn(2, chunk, d))
        self.bidirectional = nn.ModuleList(BidirectionalLayer(d, heads, ratio) for _ in range(depth))
        self.integrated = IntegratedLayer(d, heads, ratio)
        self.norm, self.compress = nn.LayerNorm(d), nn.Linear(chunk * d, d)

    def forward(self, agent: Tensor, user: Tensor, agent_audio: Tensor, user_audio: Tensor) -> Tensor:
        """(rows, c, d) twice and (rows, d) twice -> (rows, d)."""
        agent, user = agent + self.place[0], user + self.place[1]
        for layer in self.bidirectional:
            agent, user = layer(agent, user, agent_audio, user_audio)
        agent = self.norm(self.integrated(agent, user, agent_audio, user_audio))
        return self.compress(agent.flatten(1))


class ContextLayer(nn.Module):
    """Causal attention over summaries, w of them with the newest; a learned bias tells how many chunks ago."""

    def __init__(self, d: int, heads: int, ratio: int, capacity: int):
        super().__init__()
        self.heads = heads
        self.bias = nn.Parameter(torch.zeros(heads, capacity))
        self.norm_1, self.norm_2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv, self.out, self.ffn = nn.Linear(d, 3 * d), nn.Linear(d, d), FFN(d, ratio)

    def forward(self, x: Tensor, distance: Tensor, seen: Tensor) -> Tensor:
        """All at once: (b, f, d), distance in chunks long (f, f), seen bool (f, f)."""
        bias = self.bias[:, distance.clamp(0, self.bias.shape[1] - 1)].masked_fill(~seen, -torch.inf)
        x = x + self.out(attend(self.qkv(self.norm_1(x)), self.heads, bias=bias))
        return x + self.ffn(self.norm_2(x))

    def step(self, x: Tensor, cache: Tensor) -> tuple[Tensor, Tensor]:
        """The newest token (b, 1, d) on the cache (2, b, h, m, c) of the m <= w - 1 chunks before -> (token, m + 1)."""
        q, *new = rearrange(self.qkv(self.norm_1(x)), "b n (j h c) -> j b h n c", j=3, h=self.heads)
        k, v = cache = torch.cat([cache, torch.stack(new)], 3)
        bias = self.bias[:, : k.shape[2]].flip(1)[:, None]
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        x = x + self.out(rearrange(y, "b h n c -> b n (h c)"))
        return x + self.ffn(self.norm_2(x)), cache
