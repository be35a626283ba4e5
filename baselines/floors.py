"""Classical floors: rows without learning that a method must beat before its reading of the user means anything."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from baselines.controls import WithVAE
from dyads.contract import Dyad, read_manifest
from dyads.errors import ConfigError, DataError
from dyads.seeding import rng
from echo_model.commands.encode import load_inputs, load_targets
from training.method import Resources
from training.options import from_dict

QUIET = 0.2  # how much an offset of the whole window counts beside its course


@dataclass(frozen=True)
class MirrorOptions:
    """How late the mirror is, in frames (25 a second)."""

    delay: int = 12

    def __post_init__(self) -> None:
        if self.delay < 0:
            raise ConfigError(f"a mirror {self.delay} frames late would know the future; give 0 or more.")


class MirrorOfUser(WithVAE):
    """The user's own motion on the avatar's face, `delay` frames later: all mimicry and no understanding.

    Causal: frame t shows the user at t - delay; before that the reference stands.
    """

    def __init__(self, options: dict[str, Any], resources: Resources):
        super().__init__({}, resources)
        self.settings = from_dict(MirrorOptions, options, "options")

    def generate(self, dyad: Dyad, seed: int) -> np.ndarray:
        user = load_inputs(self.resources.features, dyad.dyad_id)["user_latents"]
        delay = min(self.settings.delay, len(user))
        return self.decode(torch.cat([torch.zeros_like(user[:delay]), user[: len(user) - delay]]), dyad)


class RandomTrainingClip(WithVAE):
    """True motion of a random training dialogue: right in distribution, deaf and blind.

    Unlike `ShuffledPartner` it takes nothing from the test split. Mirrored in time where it is too short.
    """

    def generate(self, dyad: Dyad, seed: int) -> np.ndarray:
        train = training_split(self.resources)
        other = train[int(rng(seed, "random-clip", dyad.dyad_id).integers(len(train)))]
        return self.borrowed(other, dyad)


@dataclass(frozen=True)
class NeighbourOptions:
    """What is compared, over how long, and how long an answer is shown; frames at 25 a second."""

    by: str = "audio"  # audio | motion, of the user
    window: int = 24
    clip: int = 24
    stride: int = 4  # of the candidates

    def __post_init__(self) -> None:
        if self.by not in ("audio", "motion"):
            raise ConfigError(f"options.by is {self.by!r}; give audio or motion.")
        if min(self.window, self.clip, self.stride) < 1:
            raise ConfigError("options.window, clip and stride count frames; give 1 or more.")


class NearestNeighbour(WithVAE):
    """For each clip: the motion that followed, in training, on what is most like what the user has just done.

    What counts are the `window` frames that end before the clip (Learning2Listen's baseline), in standard
    deviations of the training split; the answer's own `clip` frames are shown. `by` names the user's audio features
    or motion. Deterministic: every seed gives the same.
    """

    def __init__(self, options: dict[str, Any], resources: Resources):
        super().__init__({}, resources)
        self.settings = from_dict(NeighbourOptions, options, "options")

    def heard_or_seen(self, dyad_id: str) -> Tensor:
        inputs = load_inputs(self.resources.features, dyad_id)
        return inputs["user_audio"] if self.settings.by == "audio" else inputs["user_latents"].flatten(1)

    def key(self, signal: Tensor, start: int) -> Tensor:
        """The window that ends before frame `start`, every fourth frame; zeros before the dialogue."""
        before = signal[max(start - self.settings.window, 0) : start]
        missing = self.settings.window - len(before)
        before = torch.cat([signal.new_zeros(missing, signal.shape[1]), before])
        mean = before.mean(0, keepdim=True)
        return torch.cat([(before - mean)[::4], QUIET * mean]).flatten()

    @cached_property
    def memory(self) -> tuple[Tensor, Tensor, Tensor, list[tuple[str, int]]]:
        """Keys (N, k) in standard deviations, mean and deviation of a frame, and where each answer is found."""
        train = training_split(self.resources)
        signals = {dyad.dyad_id: self.heard_or_seen(dyad.dyad_id) for dyad in train}
        together = torch.cat(list(signals.values()))
        mean, deviation = together.mean(0), together.std(0).clamp_min(1e-6)
        keys, places = [], []
        for name, signal in signals.items():
            for start in range(0, len(signal) - self.settings.clip + 1, self.settings.stride):
                keys.append(self.key((signal - mean) / deviation, start))
                places.append((name, start))
        if not keys:
            raise DataError(f"no training dialogue has {self.settings.clip} frames; give a smaller options.clip.")
        return torch.stack(keys), mean, deviation, places

    @property
    def clip_frames(self) -> int:
        return self.settings.clip

    def generate(self, dyad: Dyad, seed: int) -> np.ndarray:
        keys, mean, deviation, places = self.memory
        signal = (self.heard_or_seen(dyad.dyad_id) - mean) / deviation
        parts = []
        for start in range(0, len(signal), self.settings.clip):
            name, found = places[int((keys - self.key(signal, start)).square().sum(1).argmin())]
            parts.append(load_targets(self.resources.features, name)[found : found + self.settings.clip])
        return self.decode(torch.cat(parts)[: len(signal)], dyad)


def training_split(resources: Resources) -> list[Dyad]:
    """Dyads of the training split; DataError if there are none."""
    train = read_manifest(resources.data, "train")
    if not train:
        raise DataError(f"{resources.data}: the train split has no dyads, so there is nothing to copy from.")
    return train
