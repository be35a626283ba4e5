"""The understanding model Phi, small: a causal audio-visual transformer that recognises behaviour, then frozen."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from echo_model.backbones.audio import AUDIO_DIM
from echo_model.backbones.vae import CHANNELS, TOKENS
from echo_model.model.layers import FFN, Attention

PHI_DIM = 64  # width of S_usr
EMOTIONS = 5  # classes of the emotion head; used where the data set has labels
AGES = (1.0, 2.0, 4.0, 6.0)  # seconds since an emotion was last shown, upper ends of the memory head's bins
MEMORIES = 1 + (EMOTIONS - 1) * len(AGES)  # nothing in memory, or which emotion in which bin
SIGNALS = 3  # always there: log energy, voicing, motion of the next step


def steps_of(features: Tensor, stride: int) -> Tensor:
    """(T, ...) -> (T // stride, stride * ...): whole steps, their frames side by side."""
    whole = len(features) // stride * stride
    return rearrange(features[:whole].flatten(1), "(s k) c -> s (k c)", k=stride)


@dataclass(frozen=True)
class PhiOptions:
    layers: int = 2
    heads: int = 4
    stride: int = 4  # frames a step
    reach: int = 40  # steps a token looks back
    drop: float = 0.3  # share of training samples without one of the two modalities


class Phi(nn.Module):
    """(user audio, user video) of S steps -> S_usr (b, S, 64), its last layer's tokens; causal, of bounded reach.

    audio: (b, S, stride * 50), video: (b, S, stride * 17 * 8), both over whole steps of `stride` frames.
    """

    def __init__(self, options: PhiOptions):
        super().__init__()
        self.options = options
        self.audio_in = nn.Linear(options.stride * AUDIO_DIM, PHI_DIM)
        self.video_in = nn.Linear(options.stride * TOKENS * CHANNELS, PHI_DIM)
        self.order = nn.Conv1d(PHI_DIM, PHI_DIM, 5, groups=PHI_DIM)  # local order; further away, order matters less
        self.norms = nn.ModuleList(nn.LayerNorm(PHI_DIM) for _ in range(options.layers))
        self.attentions = nn.ModuleList(Attention(PHI_DIM, options.heads) for _ in range(options.layers))
        self.ffns = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(PHI_DIM), FFN(PHI_DIM, 2), nn.Dropout(0.2)) for _ in range(options.layers)
        )
        self.norm = nn.LayerNorm(PHI_DIM)
        self.emotion = nn.Linear(PHI_DIM, EMOTIONS)
        self.memory = nn.Linear(PHI_DIM, MEMORIES)
        self.signals = nn.Linear(PHI_DIM, SIGNALS)

    @property
    def reach(self) -> int:
        """Steps before its own that an output may depend on."""
        return self.options.layers * (self.options.reach - 1) + self.order.weight.shape[-1] - 1

    def forward(self, audio: Tensor, video: Tensor) -> Tensor:
        x = F.dropout(self.audio_in(audio) + self.video_in(video), 0.2, self.training)
        x = x + F.silu(self.order(F.pad(x.transpose(1, 2), (4, 0))).transpose(1, 2))
        step = torch.arange(x.shape[1], device=x.device)
        gap = step[:, None] - step
        mask = (gap >= 0) & (gap < self.options.reach)
        for norm, attention, ffn in zip(self.norms, self.attentions, self.ffns, strict=True):
            x = x + attention(norm(x), mask=mask)
            x = x + ffn(x)
        return self.norm(x)
