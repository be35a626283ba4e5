"""Swap tests: a trained ECHO sees or hears another dialogue's user; what changes in the lips, what in the face?"""

from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from dyads.contract import Dyad
from dyads.errors import ConfigError
from dyads.other_dialogues import SWAP, mirrored, other_dyad
from echo_model.clips import Dialogue
from echo_model.commands.encode import load_inputs
from echo_model.commands.understand import understand
from echo_model.method import Echo
from training.method import Resources, Run
from training.options import from_dict


@dataclass(frozen=True)
class SwapOptions:
    """What is exchanged: the whole user (face, voice and words), or only the sound of their voice."""

    what: Literal["user", "voice"] = "user"


def fitted(x: Tensor, frames: int) -> Tensor:
    """As long as wanted: cut, or continued by its mirror image in time."""
    return x[torch.from_numpy(mirrored(len(x), frames))]


class OtherUser(Echo):
    """ECHO with the weights of another row, the user exchanged; noise, voice and reference stay what they were.

    The other dialogue is of the same split, another one, and the same for every seed.
    """

    def __init__(self, options: dict[str, Any], resources: Resources):
        self.swap = from_dict(SwapOptions, options.get("swap", {}), "swap")
        super().__init__({key: value for key, value in options.items() if key != "swap"}, resources)
        if self.model.limit:
            raise ConfigError("a swap test needs a model whose Phi reads the whole dialogue; set model.limit to false.")

    def fit(self, dyads: list[Dyad], run: Run) -> None:
        raise ConfigError("a swap test trains nothing; name the row whose weights it takes under `weights`.")

    def dialogue(self, dyad: Dyad) -> Dialogue:
        other = other_dyad(self.resources.data, dyad, 0, SWAP)
        if other is None:
            return super().dialogue(dyad)
        own, theirs = (load_inputs(self.resources.features, one.dyad_id) for one in (dyad, other))
        names = ("user_audio", "user_latents") if self.swap.what == "user" else ("user_audio",)
        inputs = own | {name: fitted(theirs[name], len(own[name])) for name in names}
        turns = other.turns if self.swap.what == "user" else dyad.turns
        return Dialogue(dyad, inputs, understand(self.phi, replace(dyad, turns=turns), inputs)[0])
