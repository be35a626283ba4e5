"""ARIG's network: understanding (IBU), conversational state (CSU), progressive motion prediction (PMP) -> z.

`forward` computes many frames at once from known motion (training), `step` one frame from bounded caches.
"""

from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor, nn

from baselines.arig.diffusion import DiffusionMLP
from baselines.arig.states import UNKNOWN, State
from baselines.arig.understanding import ChunkSummary, ContextLayer
from baselines.motion.renderer import DIRECTIONS
from dyads.errors import ConfigError
from echo_model.backbones.audio import AUDIO_DIM
from echo_model.model.layers import FFN, Attention


@dataclass(frozen=True)
class ModelOptions:
    """The paper's values in brackets."""

    d: int = 48  # width [512]
    heads: int = 2
    ratio: int = 2  # hidden width of the MLPs over d [4]
    chunk: int = 6  # c, frames of the chunk cache [6]
    bidirectional: int = 2  # layers of bidirectional learning [2]
    capacity: int = 32  # w, summaries in the context cache, the newest among them: 7.7 s [512]
    context: int = 2  # layers of the causal decoder
    voice: int = 3  # audio frames that the coarse prediction hears [3]
    past: int = 5  # past motions in the temporal layer [5]
    width: int = 96  # of the DiffusionMLP
    blocks: int = 3  # of the DiffusionMLP [3]
    dropout: float = 0.1  # of the behaviours that chunks are made of; ours: few people, known by heart otherwise

    def __post_init__(self) -> None:
        for name in ("d", "chunk", "bidirectional", "capacity", "context", "past", "blocks"):
            if getattr(self, name) < 1:
                raise ConfigError(f"model.{name} is {getattr(self, name)}; give at least 1.")
        if self.voice < 2:
            raise ConfigError(f"model.voice is {self.voice}; give at least 2, the frame before is heard in any case.")
        if self.d % self.heads:
            raise ConfigError(f"model.d is {self.d}; give a multiple of the {self.heads} heads.")

    @property
    def lead(self) -> int:
        """Frames before its first one that a window needs."""
        return max(self.chunk, self.past, self.voice - 1)


@dataclass
class Memory:
    """What `step` remembers of a dialogue; b dialogues side by side. Nothing here grows beyond the capacity."""

    voice: Tensor  # (b, voice, d) encoded audio of the avatar's latest frames
    past: Tensor  # (b, past, K) the avatar's latest motions
    agent: Tensor  # (b, c, d) chunk cache: the avatar's latest behaviours
    user: Tensor  # (b, c, d) the user's
    context: list[Tensor]  # per layer: (2, b, heads, m <= w - 1, d / heads) keys and values of finished chunks
    state: Tensor  # (b,) s_{T-1}
    phase: int = 0  # T modulo c


class Merge(nn.Sequential):
    """Audio and motion of one person's frame -> behaviour (d)."""

    def __init__(self, d: int):
        super().__init__(nn.Linear(2 * d, 2 * d), nn.GELU(approximate="tanh"), nn.Linear(2 * d, d), nn.LayerNorm(d))


class CrossBlock(nn.Module):
    """Cross-attention of one token on a few, then an MLP."""

    def __init__(self, d: int, heads: int, ratio: int):
        super().__init__()
        self.norm_q, self.norm_kv, self.norm = nn.LayerNorm(d), nn.LayerNorm(d), nn.LayerNorm(d)
        self.attention, self.ffn = Attention(d, heads), FFN(d, ratio)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """(rows, d) on (rows, n, d) -> (rows, d)."""
        x = x + self.attention(self.norm_q(x)[:, None], self.norm_kv(context))[:, 0]
        return x + self.ffn(self.norm(x))


class ARIGNetwork(nn.Module):
    """Everything that is learned. T is the frame to make; of the user it knows frames before T only."""

    def __init__(self, options: ModelOptions):
        super().__init__()
        self.options = o = options
        d = o.d
        self.audio_in = nn.Sequential(nn.Linear(AUDIO_DIM, 2 * d), nn.GELU(approximate="tanh"), nn.Linear(2 * d, d))
        self.agent_motion, self.user_motion = nn.Linear(DIRECTIONS, d), nn.Linear(DIRECTIONS, d)
        self.dropped_agent = nn.Parameter(torch.zeros(d))
        self.merge_agent, self.merge_user = Merge(d), Merge(d)
        self.dropout = nn.Dropout(o.dropout)
        self.summary = ChunkSummary(d, o.heads, o.ratio, o.chunk, o.bidirectional)
        self.context = nn.ModuleList(ContextLayer(d, o.heads, o.ratio, o.capacity) for _ in range(o.context))
        self.cis_norm = nn.LayerNorm(d)
        self.state_in, self.active_in = nn.Embedding(len(State) + 1, d), nn.Parameter(0.5 * torch.randn(2, 2, d))
        self.state_attention, self.state_norm = Attention(d, o.heads), nn.LayerNorm(d)
        self.state_out = nn.Linear(d, len(State))
        self.past_in, self.past_place = nn.Linear(DIRECTIONS, d), nn.Parameter(0.02 * torch.randn(o.past + 1, d))
        self.dropped_past = nn.Parameter(torch.zeros(d))
        self.voice_place, self.kind = (nn.Parameter(0.5 * torch.randn(n, d)) for n in (o.voice, 3))
        self.coarse, self.fine, self.temporal = (CrossBlock(d, o.heads, o.ratio) for _ in range(3))
        self.z_norm = nn.LayerNorm(d)
        self.head = DiffusionMLP(DIRECTIONS, d, o.width, o.blocks)

    def behaviour(self, audio: Tensor, motion: Tensor, role: str, keep: Tensor | None = None) -> Tensor:
        """Encoded audio (..., d) and motion (..., K) of one frame -> (..., d); `keep` 0 hides the motion."""
        moved = self.agent_motion(motion) if role == "agent" else self.user_motion(motion)
        if keep is not None:
            moved = torch.lerp(self.dropped_agent.expand_as(moved), moved, keep)
        merge = self.merge_agent if role == "agent" else self.merge_user
        return self.dropout(merge(torch.cat([audio, moved], -1)))

    def react(self, cis: Tensor, active: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """CSU: cis-token (rows, d), voice activity long (rows, 2) of avatar and user, s_{T-1} -> S_T, logits."""
        avatar, user = self.active_in[0][active[:, 0]], self.active_in[1][active[:, 1]]
        s = self.state_in(state)
        s = s + self.state_attention(s[:, None], torch.stack([avatar, user, cis], 1))[:, 0]
        return s, self.state_out(self.state_norm(s))

    def predict(self, past: Tensor, voice: Tensor, cis: Tensor, s: Tensor, keep: Tensor | None = None) -> Tensor:
        """PMP: past motions (rows, past, K), encoded audio (rows, voice, d) up to T, cis-token, S_T -> z (rows, d)."""
        moved = self.past_in(past)
        if keep is not None:
            moved = torch.lerp(self.dropped_past.expand_as(moved), moved, keep[:, None, None])
        x = self.coarse(moved[:, -1], voice + self.voice_place)
        x = self.fine(x, torch.stack([cis, s, voice[:, -1]], 1) + self.kind)
        x = self.temporal(x, torch.cat([moved, x[:, None]], 1) + self.past_place)
        return self.z_norm(x)

    def forward(
        self,
        window: dict[str, Tensor],
        frames: Tensor,
        keep_agent: Tensor | None = None,
        keep_past: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Conditions z (b, f, d) and logits of the state (b, f, 7) of the frames asked for.

        `window` has `lead` frames before frame 0 of the window, and n after it: agent_audio, user_audio (b, l + n, 50),
        agent_motion, user_motion (b, l + n, K), active (b, l + n, 2) long, state (b, l + n) long, each at its own
        frame; what frame T must not see is not read. `frames` (f,) sorted, with every multiple of c below its largest
        (at these a summary is finished). keep_agent (b,), keep_past (b, f): 0 hides the avatar's own past motion from
        the chunks, from PMP.
        """
        o = self.options
        count, now = len(frames), frames + o.lead
        agent_voice, user_voice = self.audio_in(window["agent_audio"]), self.audio_in(window["user_audio"])
        keep = None if keep_agent is None else keep_agent[:, None, None]
        agent = self.behaviour(agent_voice, window["agent_motion"], "agent", keep)
        user = self.behaviour(user_voice, window["user_motion"], "user")

        def latest(x: Tensor, length: int, last: Tensor) -> Tensor:
            """The `length` frames that end with `last`, as rows."""
            return x[:, last[:, None] + torch.arange(1 - length, 1, device=x.device)].flatten(0, 1)

        chunks = latest(agent, o.chunk, now - 1), latest(user, o.chunk, now - 1)
        newest = agent_voice[:, now].flatten(0, 1), user_voice[:, now - 1].flatten(0, 1)
        x = rearrange(self.summary(*chunks, *newest), "(b f) d -> b f d", f=count)
        number = -(-frames // o.chunk)  # of the chunk that frame T - 1 is in; chunk 0 lies before the window
        distance = number[:, None] - number[None]
        finished = (frames % o.chunk == 0)[None] & (distance > 0) & (distance < o.capacity)
        seen = finished | torch.eye(count, dtype=torch.bool, device=x.device)
        for layer in self.context:
            x = layer(x, distance, seen)
        cis = self.cis_norm(x).flatten(0, 1)
        active = torch.stack([window["active"][:, now, 0], window["active"][:, now - 1, 1]], -1).flatten(0, 1)
        s, logits = self.react(cis, active, window["state"][:, now - 1].flatten())
        past = latest(window["agent_motion"], o.past, now - 1)
        keep = None if keep_past is None else keep_past.flatten()
        z = self.predict(past, latest(agent_voice, o.voice, now), cis, s, keep)
        return z.unflatten(0, (-1, count)), logits.unflatten(0, (-1, count))

    def start(self, audio: Tensor, keep: Tensor | None = None) -> Memory:
        """Memory before frame 0, from the avatar's audio of frame 0 (b, 50): that and the reference repeat.

        The user's first frame is not known yet, so zeros stand for it. keep (b,): as for `step`.
        """
        o, b = self.options, len(audio)
        voice, silence = self.audio_in(audio), self.audio_in(torch.zeros_like(audio))
        still, shown = audio.new_zeros(b, DIRECTIONS), None if keep is None else keep[:, None]
        agent, user = self.behaviour(voice, still, "agent", shown), self.behaviour(silence, still, "user")
        nothing = audio.new_zeros(2, b, o.heads, 0, o.d // o.heads)
        return Memory(
            voice=voice[:, None].repeat(1, o.voice, 1),
            past=still[:, None].repeat(1, o.past, 1),
            agent=agent[:, None].repeat(1, o.chunk, 1),
            user=user[:, None].repeat(1, o.chunk, 1),
            context=[nothing] * o.context,
            state=torch.full((b,), UNKNOWN, device=audio.device),
        )

    def step(
        self,
        memory: Memory,
        agent_audio: Tensor,
        user_audio: Tensor,
        agent_motion: Tensor,
        user_motion: Tensor,
        active: Tensor,
        keep: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Memory]:
        """One frame: A_a[T], A_u[T-1] (b, 50), M_a[T-1], M_u[T-1] (b, K), voice activity (b, 2) of the same frames.

        keep (b,): 0 hides the avatar's own past motion, as training does.

        -> z (b, d), logits of s_T, and the memory for T + 1, whose state is the likeliest s_T.
        """
        o = self.options
        voice = torch.cat([memory.voice[:, 1:], self.audio_in(agent_audio)[:, None]], 1)
        user_voice = self.audio_in(user_audio)
        past = torch.cat([memory.past[:, 1:], agent_motion[:, None]], 1)
        agent = self.behaviour(voice[:, -2], agent_motion, "agent", None if keep is None else keep[:, None])
        agent = torch.cat([memory.agent[:, 1:], agent[:, None]], 1)
        user = self.behaviour(user_voice, user_motion, "user")
        user = torch.cat([memory.user[:, 1:], user[:, None]], 1)
        x = self.summary(agent, user, voice[:, -1], user_voice)[:, None]
        context = []
        for layer, cache in zip(self.context, memory.context, strict=True):
            x, grown = layer.step(x, cache)
            # A chunk in the making is refreshed: its keys and values are not kept.
            context.append(grown[..., max(grown.shape[3] - o.capacity + 1, 0) :, :] if memory.phase == 0 else cache)
        cis = self.cis_norm(x)[:, 0]
        s, logits = self.react(cis, active, memory.state)
        z = self.predict(past, voice, cis, s, keep)
        phase = (memory.phase + 1) % o.chunk
        return z, logits, Memory(voice, past, agent, user, context, logits.argmax(-1), phase)
