"""DIM as a row of the tables."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from baselines.dim.model import DyadicNetwork
from baselines.dim.options import LeakOptions, ModelOptions, SamplingOptions, StageOptions
from baselines.dim.sampling import distance, rollouts
from baselines.dim.stages import CodesTask, ListenerTask, PretrainTask, record
from baselines.motion.method import MotionDialogue, MotionMethod
from dyads.contract import Dyad
from dyads.errors import ConfigError
from training.engine.loop import Task, TrainOptions


class DIM(MotionMethod):
    """DIM: Tran, Chang, Siniukov, Soleymani 2024, "Dyadic Interaction Modeling for Social Behavior Generation"
    (ECCV 2024, arXiv 2403.09069), after its released code.

    The same: a VQ-VAE of each party's motion (linear, convolution of 5, LeakyReLU 0.2, transformer; no downsampling in
    time; L1 + L_VQ, beta 0.25). Pre-training: an encoder for each party and a joint one see motion with 15 % of the
    frames zeroed; one autoregressive decoder with cross-attention tells the hidden tokens of each party from the other
    and the audio; CE + L_cont of both, and NCE of mean embeddings (temperature 0.05, one direction). Then the listener:
    causal masks, the user's motion and audio, and the frozen VQ-VAE makes motion of the tokens.

    Different, and why:
    - The benchmark's motion latent and renderer stand for EMOCA's coefficients and PIRender, its audio features for
      HuBERT.
    - Small, for the study's budget: widths 64 and 48 instead of 384, one or two layers instead of four to six. A frame
      is 4 tokens of 256 unit codes, predicted one after the other, not one of 512, which cannot hold lips and head
      together. Logits are products with the codes and start from the frame before, so that few steps teach much. The
      codes begin at latents and their L1 also covers motion's differences.
    - L_cont decodes the expected code; the released one decodes the likeliest and so has no gradient.
    - A frame depends on no later input: the released cross-attention sees the whole recording and its VQ-VAEs look
      ahead. Here both are causal and reach back a fixed way, with layer norm for instance norm.
    - The released listener hears the user only, and talking is another model. Here the decoder's input also holds the
      avatar's own voice (a frame and the four before) and a role told by voice activity; `model.switch` hard cuts off
      what the other role would hear.
    - Nine of ten windows hide all tokens before, else the decoder copies them and does not listen (released: 15 %).
    - It starts from the reference and draws one sample, among the likeliest tenth of codes. The released evaluation
      starts from the true first token and keeps the best of ten samples by distance to the truth: `leaks` does that,
      the only options under which the avatar's truth is read in sampling; the card names them. Nor is a checkpoint
      chosen by its distance to the test split, as there: the last weights count.
    """

    sections = {"model": ModelOptions, "stages": StageOptions, "sampling": SamplingOptions, "leaks": LeakOptions}

    def build(self) -> DyadicNetwork:
        return DyadicNetwork(self.settings["model"], self.settings["stages"].beta)

    def tasks(self, module: DyadicNetwork, dialogues: list[MotionDialogue]) -> Iterator[tuple[str, Task, TrainOptions]]:
        """Codes, pre-training, listener; each is made when the one before is trained, for it needs its tokens."""
        stages, steps = self.settings["stages"], self.schedule.steps
        codes, pretrain = (max(1, round(share * steps)) for share in (stages.codes_share, stages.pretrain_share))
        if codes + pretrain >= steps:
            raise ConfigError(f"train.steps is {steps}, too few for DIM's three stages; give at least 3.")
        parts = {"codes": codes, "pretrain": pretrain, "listener": steps - codes - pretrain}
        recordings = [record(dialogue) for dialogue in dialogues]
        for (name, part), kind in zip(parts.items(), (CodesTask, PretrainTask, ListenerTask), strict=True):
            schedule = replace(self.schedule, steps=part, warmup_steps=min(self.schedule.warmup_steps, part // 2))
            yield name, kind(module, recordings, stages, schedule.batch_size), schedule

    def task(self, module: DyadicNetwork, dialogues: list[MotionDialogue]) -> Task:
        """The last stage."""
        recordings = [record(dialogue) for dialogue in dialogues]
        return ListenerTask(module, recordings, self.settings["stages"], self.schedule.batch_size)

    def dialogue(self, dyad: Dyad, training: bool = False) -> MotionDialogue:
        """With a leak, the truth too."""
        return super().dialogue(dyad, training or bool(self.settings["leaks"].names()))

    def sample(self, module: DyadicNetwork, dialogue: MotionDialogue, generator: torch.Generator) -> Tensor:
        leaks, codes = self.settings["leaks"], module.codes["avatar"]
        device, first = module.role.weight.device, None
        if leaks.first_token:
            first = codes.to_tokens(dialogue.avatar_motion[:1].to(device))[0]
        drafts = rollouts(module, dialogue, self.settings["sampling"], generator, leaks.best_of, first)
        motions = [codes.to_motion(tokens) for tokens in drafts]
        if leaks.best_of == 1:
            return motions[0]
        return min(motions, key=lambda motion: float(distance(motion.cpu(), dialogue.avatar_motion)))

    def card(self) -> dict[str, Any]:
        return super().card() | {"leaks": ", ".join(self.settings["leaks"].names()) or "none"}
