"""The two training stages of Avatar Forcing: diffusion forcing, then preference of true over unaware motion."""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor

from baselines.avatar_forcing.model import CausalDFoT
from baselines.avatar_forcing.options import PreferenceOptions, StageOptions
from baselines.avatar_forcing.sampling import guidance, rollout
from baselines.motion.method import MotionDialogue
from baselines.motion.renderer import DIRECTIONS
from dyads.seeding import torch_generator

INPUTS = ("avatar_audio", "user_audio", "user_motion")


def window(x: Tensor, start: int, frames: int) -> Tensor:
    """x[start : start + frames], its last frame repeated where it ends early."""
    part = x[start : start + frames]
    return torch.cat([part, part[-1:].expand(frames - len(part), -1)])


def start_of(total: int, frames: int, generator: torch.Generator) -> int:
    """A random place for a window of `frames` in `total` frames; 0 if it does not fit."""
    return int(torch.randint(max(1, total - frames + 1), (), generator=generator))


def kept(batch: int, options: StageOptions, generator: torch.Generator) -> Tensor:
    """Which of avatar audio, user audio and user motion each sample keeps, (batch, 3) of 0 and 1."""
    draws = torch.rand(batch, 5, generator=generator)
    keep = (draws[:, :3] >= options.drop).float()
    keep[:, 1:] *= (draws[:, 3:4] >= options.drop_user).float()
    return keep * (draws[:, 4:] >= options.drop_all).float()


def errors(x_hat: Tensor, x_1: Tensor, t: Tensor, there: Tensor, options: StageOptions) -> Tensor:
    """||v_hat - v|| per sample, (b,), of estimates (b, n, 20) at times t (b, n); `there` (b, n) is 0 past the end.

    ||v_hat - v||_1 = ||x_hat - x_1||_1 / (1 - t), its weight capped at `sharpest`;
    see `echo_model.model.flow.flow_loss`.
    """
    error = (x_hat - x_1).abs() if options.norm == "l1" else (x_hat - x_1).square()
    error = error.mean(-1) / (1 - t.clamp_max(options.sharpest)) ** (1 if options.norm == "l1" else 2)
    return (error * there).sum(1) / there.sum(1)


def dpo_loss(e_w: Tensor, e_l: Tensor, e_w_ref: Tensor, e_l_ref: Tensor, beta: float) -> Tensor:
    """-log sigmoid(-beta ((e_w - e_w_ref) - (e_l - e_l_ref))) per sample; w: winner, l: loser, ref: frozen copy."""
    return -F.logsigmoid(-beta * ((e_w - e_w_ref) - (e_l - e_l_ref)))


class ForcingTask:
    """Windows of N frames in which every block of B frames has a noise level of its own: L_DF."""

    def __init__(self, network: CausalDFoT, dialogues: list[MotionDialogue], stage: StageOptions, batch_size: int):
        self.module, self.dialogues, self.stage, self.batch_size = network, dialogues, stage, batch_size

    def excerpt(self, dialogue: MotionDialogue, start: int) -> dict[str, Tensor]:
        frames = self.module.options.window
        there = (torch.arange(start, start + frames) < dialogue.frames).float()
        sample = {name: window(getattr(dialogue, name), start, frames) for name in INPUTS}
        return sample | {"x_1": window(dialogue.avatar_motion, start, frames), "there": there}

    def one(self, generator: torch.Generator) -> dict[str, Tensor]:
        dialogue = self.dialogues[int(torch.randint(len(self.dialogues), (), generator=generator))]
        return self.excerpt(dialogue, start_of(dialogue.frames, self.module.options.window, generator))

    def batch(self, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        samples = [self.one(generator) for _ in range(self.batch_size)]
        return {name: torch.stack([sample[name] for sample in samples]) for name in samples[0]}

    def draws(self, x_1: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Noise x_0 (b, n, 20), times t (b, n) shared by the frames of a block, and what is kept (b, 3)."""
        block = self.module.options.block
        x_0 = torch.randn(x_1.shape, generator=generator)
        t = torch.rand(len(x_1), x_1.shape[1] // block, generator=generator)
        joint = torch.rand(len(x_1), 1, generator=generator) < self.stage.joint
        t = torch.where(joint, t[:, :1], t).repeat_interleave(block, 1)
        return tuple(x.to(x_1) for x in (x_0, t, kept(len(x_1), self.stage, generator)))

    def loss(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        x_0, t, keep = self.draws(batch["x_1"], generator)
        c = self.module.encoder(*(batch[name] for name in INPUTS), keep)
        x_t = torch.lerp(x_0, batch["x_1"], t[..., None])
        forcing = errors(self.module(x_t, t, c), batch["x_1"], t, batch["there"], self.stage).mean()
        return forcing, {"forcing": forcing.detach()}


@torch.no_grad()
def make_losers(
    network: CausalDFoT, dialogues: list[MotionDialogue], options: PreferenceOptions, steps: int
) -> list[tuple[int, Tensor]]:
    """For every dialogue a place and motion (frames, 20) made from there on without the user."""
    losers, device = [], next(network.parameters()).device
    for at in range(0, len(dialogues), options.batch):
        part = dialogues[at : at + options.batch]
        draws = [torch_generator(0, "losers", dialogue.dyad_id) for dialogue in part]
        starts = [start_of(d.frames, options.frames, draw) for d, draw in zip(part, draws, strict=True)]
        inputs = tuple(
            torch.stack([window(getattr(d, name), s, options.frames) for d, s in zip(part, starts, strict=True)])
            for name in INPUTS
        )

        def noise(frames: int, draws=draws) -> Tensor:
            return torch.stack([torch.randn(frames, DIRECTIONS, generator=draw) for draw in draws])

        motion = rollout(network, tuple(x.to(device) for x in inputs), guidance(1.0, 0.0), steps, noise).cpu()
        losers += [(s, m[: d.frames - s]) for s, m, d in zip(starts, motion, part, strict=True)]
    return losers


class PreferenceTask(ForcingTask):
    """L_DF + 0.1 L_DPO against a frozen copy: the true motion wins over motion that does not know the user."""

    def __init__(
        self,
        network: CausalDFoT,
        dialogues: list[MotionDialogue],
        losers: list[tuple[int, Tensor]],
        stage: StageOptions,
        preference: PreferenceOptions,
        batch_size: int,
    ):
        super().__init__(network, dialogues, stage, batch_size)
        self.losers, self.preference = losers, preference
        self.reference = copy.deepcopy(network).eval().requires_grad_(False)

    def one(self, generator: torch.Generator) -> dict[str, Tensor]:
        pick = int(torch.randint(len(self.dialogues), (), generator=generator))
        (first, motion), frames = self.losers[pick], self.module.options.window
        start = start_of(len(motion), frames, generator)
        return self.excerpt(self.dialogues[pick], first + start) | {"x_l": window(motion, start, frames)}

    def loss(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        self.reference.to(batch["x_1"].device)
        x_0, t, keep = self.draws(batch["x_1"], generator)  # winner and loser share noise and times
        inputs = [batch[name] for name in INPUTS]

        def error(network: CausalDFoT, c: Tensor, x_1: Tensor) -> Tensor:
            x_t = torch.lerp(x_0, x_1, t[..., None])
            return errors(network(x_t, t, c), x_1, t, batch["there"], self.stage)

        c = self.module.encoder(*inputs, keep)
        e_w, e_l = error(self.module, c, batch["x_1"]), error(self.module, c, batch["x_l"])
        with torch.no_grad():
            c = self.reference.encoder(*inputs, keep)
            e_w_ref, e_l_ref = error(self.reference, c, batch["x_1"]), error(self.reference, c, batch["x_l"])
        loss = dpo_loss(e_w, e_l, e_w_ref, e_l_ref, self.preference.beta)
        aware = keep[:, 1:].amin(1)  # without the user the loser is no worse: guidance must not unlearn it
        preference = (loss * aware).sum() / aware.sum().clamp_min(1.0)
        margin = ((e_l - e_l_ref) - (e_w - e_w_ref)).mean()
        logs = {"forcing": e_w.mean(), "preference": preference, "margin": margin}
        return e_w.mean() + self.preference.weight * preference, {name: x.detach() for name, x in logs.items()}
