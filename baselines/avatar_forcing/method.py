"""Avatar Forcing as a row of the tables."""

from collections.abc import Iterator
from dataclasses import replace

import torch
from einops import rearrange
from torch import Tensor, nn

from baselines.avatar_forcing.model import CausalDFoT
from baselines.avatar_forcing.options import ModelOptions, PreferenceOptions, SamplingOptions, StageOptions
from baselines.avatar_forcing.sampling import Cached, Uncached, guidance, rollout
from baselines.avatar_forcing.stages import INPUTS, ForcingTask, PreferenceTask, make_losers
from baselines.motion.method import MotionDialogue, MotionMethod
from baselines.motion.renderer import DIRECTIONS
from training.device import pick_device
from training.engine.loop import Task, TrainOptions


class AvatarForcing(MotionMethod):
    """Avatar Forcing: Ki, Jang, Jo, Yoon, Hwang 2026, "Avatar Forcing: Real-Time Interactive Head Avatar Generation for
    Natural Conversation" (arXiv 2601.00664), from the paper and its inference code; training code is not public.

    The same: motion latent of 20 orthogonal directions; dual motion encoder (user motion through an MLP asks user
    audio, avatar audio asks the result, then a linear map); transformer of self-attention (gated), cross-attention
    over +-2 frames (not gated) and MLP (gated) with one adaLN for all layers, driven by each frame's flow time, and
    RoPE; windows of 50 frames in blocks of 10, each with a noise level of its own; the released mask; flow matching
    with the L1 norm; each condition dropped in 10 % of the samples; guidance v_0 + w_a (v_a - v_0) + w_u (v_u - v_0);
    a first window at once, then blocks of 10 from 38 kept frames and the last 2 entered again; L_DF + 0.1 L_DPO with
    beta = 1000.

    Different, and why. Small, for the study's budget: width 96 and 3 layers instead of 1024 and 8, 6 Euler steps
    instead of 10. The benchmark's motion latent, 20 numbers a frame, and its audio features in place of a 512-wide code
    and wav2vec 2.0, so that all rows share one renderer. Our times run from noise (0) to motion (1), theirs back. The
    network estimates clean motion and its loss is not weighed by 1 / (1 - t): a small training learns it sooner than
    velocity. RoPE also in cross-attention and in the encoder: our audio features do not know their place, and +-2
    frames without order would blur the lips. The encoder's attention has no mask in their code (50 frames in training,
    12 in the rollout); here it reads its block and the 40 frames before, in both. In a part of the windows all blocks
    have one noise level, as in the rollout's first. A null condition is zero after its embedding; the user is also
    dropped as a whole, and all three at once, because guidance evaluates just these and separate drops hardly ever show
    them. Gates start at one. No reference motion among the inputs: it is zero here. The preference stage has a share of
    the steps at a low rate, theirs is 5,000 steps after two million. DPO's losers come from the same network with the
    user dropped, so talking only (as the abstract has it; the text trains a model of its own for that), unguided, one
    excerpt of each training dialogue; winner and loser share noise and times; samples without the user do not count in
    L_DPO.

    The future: an avatar frame depends on no input after the end of its block of 10 frames (in the first window, of
    its 50). Inside a block the network looks 2 frames ahead in every layer.
    """

    sections = {
        "model": ModelOptions,
        "stage": StageOptions,
        "preference": PreferenceOptions,
        "sampling": SamplingOptions,
    }

    @property
    def clip_frames(self) -> int:
        return self.settings["model"].block

    def build(self) -> nn.Module:
        return CausalDFoT(self.settings["model"])

    def task(self, module: nn.Module, dialogues: list[MotionDialogue]) -> Task:
        return ForcingTask(module, dialogues, self.settings["stage"], self.schedule.batch_size)

    def tasks(self, module: nn.Module, dialogues: list[MotionDialogue]) -> Iterator[tuple[str, Task, TrainOptions]]:
        """Both stages, `train.steps` in all; the second is made only when the first has trained `module`."""
        preference, steps = self.settings["preference"], self.schedule.steps
        last = min(steps - 1, max(1, round(preference.share * steps))) if preference.share else 0
        yield "forcing", self.task(module, dialogues), replace(self.schedule, steps=steps - last)
        if last:
            rate = preference.rate * self.schedule.learning_rate
            module.to(pick_device(self.resources.device)).eval()
            losers = make_losers(module, dialogues, preference, self.settings["sampling"].steps)
            task = PreferenceTask(
                module.cpu(), dialogues, losers, self.settings["stage"], preference, self.schedule.batch_size
            )
            yield "preference", task, replace(self.schedule, steps=last, learning_rate=rate, warmup_steps=0)

    @torch.no_grad()
    def sample(self, module: nn.Module, dialogue: MotionDialogue, generator: torch.Generator) -> Tensor:
        options, device = self.settings["sampling"], next(module.parameters()).device
        inputs = tuple(rearrange(getattr(dialogue, name), "t c -> 1 t c").to(device) for name in INPUTS)

        def noise(frames: int) -> Tensor:
            return torch.randn(1, frames, DIRECTIONS, generator=generator)

        branches = guidance(options.guide_audio, options.guide_user)
        return rollout(module, inputs, branches, options.steps, noise, Cached if options.cache else Uncached)[0]
