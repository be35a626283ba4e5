"""The dyadic network: two VQ-VAEs, an encoder for each party and for both, and one decoder of motion tokens."""

import torch
from torch import Tensor, nn

from baselines.dim.layers import Block, CausalConv, Past, in_pieces, place_of, sliding
from baselines.dim.options import ModelOptions
from baselines.dim.tokens import VQVAE, TokenHead
from baselines.motion.renderer import DIRECTIONS
from dyads.records import ROLES
from echo_model.backbones.audio import AUDIO_DIM

OTHER = dict(zip(ROLES, reversed(ROLES), strict=True))


class Encoder(nn.Module):
    """Transformer layers over frames: (B, n, d) -> (B, n, d)."""

    def __init__(self, options: ModelOptions):
        super().__init__()
        self.blocks = nn.ModuleList(Block(options.d, options.heads) for _ in range(options.encoder))

    def forward(self, x: Tensor, place: Tensor, mask: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x, place, mask)
        return x


class DyadicNetwork(nn.Module):
    """All networks of DIM. A party is "user" or "avatar"; its partner is the other."""

    def __init__(self, options: ModelOptions, beta: float = 0.25):
        super().__init__()
        self.options = options
        d = options.d
        self.codes = nn.ModuleDict({party: VQVAE(options, beta) for party in ROLES})
        self.enter = nn.ModuleDict({party: nn.Linear(DIRECTIONS, d) for party in ROLES})
        self.encoders = nn.ModuleDict({party: Encoder(options) for party in ROLES})
        self.joint, self.norm = Encoder(options), nn.LayerNorm(d)
        self.hear = nn.Sequential(CausalConv(AUDIO_DIM, d, options.audio), nn.GELU(), nn.Linear(d, 2 * d))
        self.mix = nn.ModuleDict({party: nn.Linear(2 * d, d) for party in ROLES})
        self.role = nn.Embedding(2, d)
        self.heads = nn.ModuleDict({party: TokenHead(options) for party in ROLES})
        self.decoder = nn.ModuleList(Block(d, options.heads, cross=True) for _ in range(options.decoder))
        self.last = nn.LayerNorm(d)

    def place(self, frames: int, device: torch.device, parties: int = 1) -> Tensor:
        """Positions of frames 0 .., for each party anew."""
        options = self.options
        return place_of(torch.arange(frames, device=device).repeat(parties), options.d // options.heads)

    def encode(self, party: str, motion: Tensor, mask: Tensor) -> Tensor:
        """One party's motion (B, n, 20) -> (B, n, d); `mask` broadcasts to (B, 1, n, n)."""
        return self.encoders[party](self.enter[party](motion), self.place(motion.shape[1], motion.device), mask)

    def join(self, parties: list[Tensor], mask: Tensor) -> list[Tensor]:
        """The joint encoder over one party (B, n, d) or over both as one sequence: as many, normalised."""
        count = len(parties)
        where = self.place(parties[0].shape[1], mask.device, count)
        x = self.joint(torch.cat(parties, 1), where, mask.repeat(*[1] * (mask.dim() - 2), count, count))
        return list(self.norm(x).chunk(count, 1))

    def context(self, partner: str, x: Tensor, audio: Tensor) -> Tensor:
        """What the decoder sees of the partner: encoded motion (B, n, d) and audio (B, n, 50) -> (B, n, d)."""
        return self.mix[partner](torch.cat([x, self.hear(audio)[..., : self.options.d]], -1))

    def voice(self, audio: Tensor, speaks: Tensor) -> tuple[Tensor, Tensor | None]:
        """The target's own voice and role, (B, n, d), and how far it sees its partner, (B, n, 1) or None: fully.

        `audio` is (B, n, 50), `speaks` (B, n) of bool.
        """
        heard, role = self.hear(audio)[..., self.options.d :], self.role(speaks.long())
        if self.options.switch == "soft":
            return heard + role, None
        speaks = speaks[..., None].to(heard)
        return heard * speaks + role, 1 - speaks

    def previous(self, target: str, tokens: Tensor, known: Tensor) -> Tensor:
        """Codes of the frames before (B, n, G c) from their tokens (B, n, G), zero where not known (B, n)."""
        return self.codes[target].quantiser.lookup(tokens) * known[..., None]

    def decode(self, x: Tensor, context: Tensor, see: Tensor | None, mask: Tensor, context_mask: Tensor) -> Tensor:
        """All frames at once: inputs and context (B, n, d) -> h (B, n, d)."""
        where = self.place(x.shape[1], x.device)
        for block in self.decoder:
            x = block(x, where, mask, block.cross.keys(context, where), see, context_mask=context_mask)
        return self.last(x)

    def logits(self, target: str, h: Tensor, tokens: Tensor, before: Tensor) -> Tensor:
        """h (..., d), the true tokens (..., G) and the codes of the frame before (..., G c) -> logits (..., G, K)."""
        quantiser = self.codes[target].quantiser
        return self.heads[target](h, quantiser.vectors(), quantiser.lookup(tokens), before)

    def seen(self, motion: Tensor) -> Tensor:
        """The user's whole motion (1, T, 20) as the listener sees it, (1, T, d): of past and present."""
        window = self.options.window

        def run(part: Tensor) -> Tensor:
            mask = sliding(part.shape[1], window, device=part.device)
            return self.join([self.encode("user", part, mask)], mask)[0]

        return in_pieces(run, motion, 2 * self.options.encoder * window)


class Stream:
    """The decoder frame by frame, over contexts (1, T, d) that are known as far as each frame needs."""

    def __init__(self, network: DyadicNetwork, context: Tensor):
        self.network, self.window = network, network.options.window
        self.place = network.place(context.shape[1], context.device)
        self.context = [block.cross.keys(context, self.place) for block in network.decoder]
        self.past = [Past(self.window) for _ in network.decoder]

    def step(self, t: int, x: Tensor, see: Tensor | None) -> Tensor:
        """Input (B, 1, d) of frame t, of B drafts on the same context -> h (B, 1, d)."""
        near = slice(max(0, t + 1 - self.window), t + 1)
        for block, keys, past in zip(self.network.decoder, self.context, self.past, strict=True):
            seen = keys[..., near, :].expand(-1, len(x), -1, -1, -1)
            x = block(x, self.place[:, t : t + 1], None, seen, see, past)
        return self.network.last(x)
