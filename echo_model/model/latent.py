"""What a generator must know of a latent space: a step's shape, its clock, and the grid that masks lie on."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from torch import Tensor

from dyads.errors import DataError


@dataclass(frozen=True)
class LatentLayout:
    """Shape and clock of a latent space.

    A step is a tensor of shape `step`: (tokens, channels), or (channels, rows, cols). The first one of a video holds
    `lead` frames, every later one `stride`; a causal video autoencoder has a lead of 1 and a stride of 4, so that
    only videos of 4n + 1 frames come back whole.
    """

    step: tuple[int, ...]
    stride: int
    lead: int

    def steps(self, frames: int, name: str = "a video") -> int:
        """Latent steps of `frames` frames; DataError for a length of which a tail would be lost."""
        rest = frames - self.lead
        if rest < 0 or rest % self.stride:
            kind = f"{self.stride}n + {self.lead}" if self.lead != self.stride else f"a multiple of {self.stride}"
            raise DataError(
                f"{name} has {frames} frames, but this autoencoder keeps {kind} of them and would drop the rest; "
                f"cut it to {self.lead + max(rest, 0) // self.stride * self.stride} or repeat its last frame."
            )
        return 1 + rest // self.stride

    def frames(self, steps: int) -> int:
        """Frames that `steps` latent steps decode to."""
        return self.lead + (steps - 1) * self.stride if steps else 0


@dataclass(frozen=True)
class UserSizes:
    """Widths of what LCU reads of the user, as the encoders give it."""

    audio: int  # D of an audio feature
    tokens: int  # of a frame's video
    video: int  # channels of a token over one tubelet
    project_text: bool = True  # off: the generator reads E_txt's tokens as they are
    told: int = 0  # numbers that f_pu and c_emo are asked to tell in training (StageOptions.context_weight); 0: none


class LatentSpace(Protocol):
    """A video autoencoder, normalised as a generator sees it.

    `small` (backbones.vae.SmallLatents) codes each frame against a reference, `wan` (wan.latents.WanLatents) a
    video alone.
    """

    layout: LatentLayout
    size: int  # side of a frame in pixels

    def encode(self, frames: np.ndarray, reference: np.ndarray) -> Tensor:
        """uint8 (T, H, W, 3) and I_ref (H, W, 3) -> latent steps (n, *step), about zero mean and unit scale."""

    def decode(self, steps: Tensor, reference: np.ndarray) -> np.ndarray:
        """Latent steps (n, *step) and I_ref -> uint8 (T, H, W, 3)."""
