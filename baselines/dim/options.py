"""Options of DIM: networks, the three stages, sampling, and the two leaks of the released evaluation."""

from dataclasses import dataclass
from typing import Literal

from dyads.errors import ConfigError


@dataclass(frozen=True)
class ModelOptions:
    """Sizes; the released ones in brackets."""

    d: int = 64  # width of the encoders and of the decoder [384]
    heads: int = 4  # [12]
    encoder: int = 1  # layers of the user's, the avatar's and the joint encoder, each [4]
    decoder: int = 2  # layers [4]
    window: int = 64  # frames an attention reaches back [the whole sequence]
    audio: int = 5  # latest frames of sound a frame hears directly [1, of HuBERT]
    groups: int = 4  # codebooks of one frame [1]
    codes: int = 256  # K of each codebook [512]
    code: int = 8  # width of a codebook vector [128]
    vq_d: int = 48  # width of a VQ-VAE [384]
    vq_window: int = 16  # frames its attention reaches back [the whole sequence]
    switch: Literal["soft", "hard"] = "soft"  # hard: a speaking avatar does not see the user, a listening one is deaf
    # to its own voice, as two models of two roles would be; soft: the role is a mere input

    def __post_init__(self) -> None:
        for name in ("d", "vq_d"):
            if getattr(self, name) % (2 * self.heads):
                raise ConfigError(f"model.{name} is {getattr(self, name)}; it must be a multiple of twice the heads.")
        for name in ("encoder", "decoder", "window", "audio", "groups", "code", "vq_window"):
            if getattr(self, name) < 1:
                raise ConfigError(f"model.{name} is {getattr(self, name)}; give at least 1.")
        if self.codes < 2:
            raise ConfigError(f"model.codes is {self.codes}; a codebook needs at least 2.")


@dataclass(frozen=True)
class StageOptions:
    """The three stages; what two shares leave of `train.steps` is the listener's."""

    codes_share: float = 0.15  # of train.steps, for the VQ-VAEs
    pretrain_share: float = 0.05  # of train.steps, for dyadic pre-training
    clip: int = 80  # frames of a training window
    beta: float = 0.25  # commitment
    velocity_weight: float = 0.5  # codes: of L1 between motion's differences [0]
    mask: float = 0.15  # share of frames hidden, and predicted, in pre-training
    temperature: float = 0.05  # of the contrastive loss
    cont_weight: float = 1.0  # of the loss on decoded motion
    drop_previous: float = 0.9  # listener: share of windows without any previous token [0]
    mask_previous: float = 0.15  # listener: share of previous tokens hidden in the other windows

    def __post_init__(self) -> None:
        shares = (self.codes_share, self.pretrain_share)
        if min(shares) <= 0 or sum(shares) >= 1:
            raise ConfigError(
                f"stages: shares {shares} of the steps leave a stage without any; keep their sum below 1."
            )
        if self.clip < 2:
            raise ConfigError(f"stages.clip is {self.clip}; a window needs at least 2 frames.")
        for name in ("mask", "drop_previous", "mask_previous"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"stages.{name} is {getattr(self, name)}; give a share between 0 and 1.")
        if not self.mask:
            raise ConfigError("stages.mask is 0, so pre-training predicts nothing; give a share above 0.")


@dataclass(frozen=True)
class SamplingOptions:
    """How tokens are drawn."""

    temperature: float = 1.0
    top: float = 0.1  # share of the likeliest codes among which one is drawn

    def __post_init__(self) -> None:
        if self.temperature <= 0:
            raise ConfigError(f"sampling.temperature is {self.temperature}; give a number above 0.")
        if not 0 < self.top <= 1:
            raise ConfigError(f"sampling.top is {self.top}; give a share above 0, at most 1.")


@dataclass(frozen=True)
class LeakOptions:
    """What the released evaluation takes from the truth; with any of it a result is no generation."""

    first_token: bool = False  # frame 0 is the true one
    best_of: int = 1  # samples, of which the one nearest to the truth is kept [10]

    def __post_init__(self) -> None:
        if self.best_of < 1:
            raise ConfigError(f"leaks.best_of is {self.best_of}; give 1 (no leak) or more.")

    def names(self) -> list[str]:
        """The leaks that are on."""
        best = [f"best of {self.best_of}"] if self.best_of > 1 else []
        return ["first token"] * self.first_token + best
