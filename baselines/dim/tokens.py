"""Motion as tokens: a causal VQ-VAE of one person's motion, and the head that reads and predicts its tokens."""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from baselines.dim.layers import Block, CausalConv, in_pieces, place_of, sliding
from baselines.dim.options import ModelOptions
from baselines.motion.renderer import DIRECTIONS

SHARP = 10.0  # scale of the logits: codes are unit vectors, and a head starts near zero


class Quantiser(nn.Module):
    """G codebooks of K unit vectors (c,); a latent (..., G c) becomes G tokens."""

    def __init__(self, groups: int, codes: int, code: int, beta: float = 0.25):
        super().__init__()
        self.groups, self.beta = groups, beta
        self.codebooks = nn.Parameter(F.normalize(torch.randn(groups, codes, code), dim=-1))

    def vectors(self) -> Tensor:
        """(G, K, c), unit length."""
        return F.normalize(self.codebooks, dim=-1)

    def parts(self, z: Tensor) -> Tensor:
        """(..., G c) -> (..., G, c), unit length."""
        return F.normalize(rearrange(z, "... (g c) -> ... g c", g=self.groups), dim=-1)

    def tokens(self, z: Tensor) -> Tensor:
        """(..., G c) -> indices of the nearest codes (..., G)."""
        return torch.einsum("...gc,gkc->...gk", self.parts(z), self.vectors()).argmax(-1)

    def lookup(self, tokens: Tensor) -> Tensor:
        """(..., G) -> (..., G c)."""
        return self.vectors()[torch.arange(self.groups, device=tokens.device), tokens].flatten(-2)

    def expected(self, p: Tensor) -> Tensor:
        """Probabilities (..., G, K) -> the mean code (..., G c), through which gradients flow."""
        return torch.einsum("...gk,gkc->...gc", p, self.vectors()).flatten(-2)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Latent (..., G c) -> codes with the latent's gradient, tokens (..., G), and the loss of both (...,)."""
        tokens, z = self.tokens(z), self.parts(z).flatten(-2)
        e = self.lookup(tokens)
        moved, committed = (e - z.detach()).square().sum(-1), (z - e.detach()).square().sum(-1)
        return z + (e - z).detach(), tokens, (moved + self.beta * committed) / self.groups

    @torch.no_grad()
    def start_at(self, z: Tensor) -> None:
        """Codes begin at K latents of (n, G c), evenly apart: random ones would mostly stay unused."""
        count = min(len(z), self.codebooks.shape[1])
        chosen = self.parts(z[torch.linspace(0, len(z) - 1, count).long()])
        self.codebooks[:, :count] = rearrange(chosen, "k g c -> g k c")


class VQVAE(nn.Module):
    """Motion (B, n, 20) <-> tokens (B, n, G), one set a frame; neither way looks ahead."""

    def __init__(self, options: ModelOptions, beta: float):
        super().__init__()
        d, self.window, self.head_width = options.vq_d, options.vq_window, options.vq_d // options.heads
        self.reach = 4 + self.window  # frames that a latent, or a decoded frame, may look back

        def stack() -> nn.ModuleList:
            convolve = nn.Sequential(CausalConv(d, d, 5), nn.LeakyReLU(0.2), nn.LayerNorm(d))
            return nn.ModuleList([convolve, Block(d, options.heads)])

        self.enter, self.encoder = nn.Linear(DIRECTIONS, d), stack()
        self.squeeze = nn.Linear(d, options.groups * options.code)
        self.quantiser = Quantiser(options.groups, options.codes, options.code, beta)
        self.widen, self.decoder = nn.Linear(options.groups * options.code, d), stack()
        self.leave = nn.Sequential(nn.LayerNorm(d), nn.Linear(d, DIRECTIONS))

    def through(self, layers: nn.ModuleList, x: Tensor) -> Tensor:
        convolve, block = layers
        x = x + convolve(x)
        frames = torch.arange(x.shape[1], device=x.device)
        return block(x, place_of(frames, self.head_width), sliding(len(frames), self.window, device=x.device))

    def latent(self, motion: Tensor) -> Tensor:
        """(B, n, 20) -> (B, n, G c), not yet quantised."""
        return self.squeeze(self.through(self.encoder, self.enter(motion)))

    def decode(self, e: Tensor) -> Tensor:
        """Codes (B, n, G c) -> motion (B, n, 20)."""
        return self.leave(self.through(self.decoder, self.widen(e)))

    def forward(self, motion: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, n, 20) -> reconstruction, tokens (B, n, G), loss of the quantiser (B, n)."""
        e, tokens, loss = self.quantiser(self.latent(motion))
        return self.decode(e), tokens, loss

    @torch.no_grad()
    def to_tokens(self, motion: Tensor) -> Tensor:
        """A whole recording (T, 20) -> (T, G)."""
        return in_pieces(lambda x: self.quantiser.tokens(self.latent(x)), motion[None], self.reach)[0]

    @torch.no_grad()
    def to_motion(self, tokens: Tensor) -> Tensor:
        """A whole recording (T, G) -> (T, 20)."""
        return in_pieces(lambda x: self.decode(self.quantiser.lookup(x)), tokens[None], self.reach)[0]


class TokenHead(nn.Module):
    """Reads a frame's tokens into the decoder's width and predicts the next frame's, one group after the other.

    A code's logit is its product with a vector that the head aims at, so that near codes get near odds; the aim starts
    from the frame before, for tokens last several frames.
    """

    def __init__(self, options: ModelOptions):
        super().__init__()
        d, c = options.d, options.code
        self.read = nn.Linear(options.groups * c, d)
        self.unknown = nn.Parameter(torch.zeros(d))  # stands for a hidden frame
        self.aims = nn.ModuleList(
            nn.Sequential(nn.Linear(d + group * c, d), nn.GELU(), nn.Linear(d, c)) for group in range(options.groups)
        )
        self.stay = nn.Parameter(torch.full((options.groups,), 0.5))
        self.bias = nn.Parameter(torch.zeros(options.groups, options.codes))

    def previous(self, before: Tensor, known: Tensor) -> Tensor:
        """Codes of the frames before (B, n, G c), known or not (B, n) -> (B, n, d)."""
        return torch.where(known[..., None], self.read(before), self.unknown)

    def group(self, h: Tensor, vectors: Tensor, earlier: Tensor, before: Tensor, group: int) -> Tensor:
        """Logits (..., K) of one group from h (..., d), the codes of the groups before it (..., group c) and of the
        frame before (..., G c), zero if hidden."""
        own = before[..., group * vectors.shape[-1] : (group + 1) * vectors.shape[-1]]
        aim = self.aims[group](torch.cat([h, earlier], -1)) + self.stay[group] * own
        return SHARP * aim @ vectors[group].T + self.bias[group]

    def forward(self, h: Tensor, vectors: Tensor, e: Tensor, before: Tensor) -> Tensor:
        """Logits (..., G, K) of all groups, each given the true codes e (..., G c) of those before it."""
        c = vectors.shape[-1]
        return torch.stack([self.group(h, vectors, e[..., : g * c], before, g) for g in range(len(self.aims))], -2)
