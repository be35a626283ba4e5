"""The two training stages of ECHO as tasks of the engine: talking, then interactive with LCU, SDCM and HFA."""

import copy

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from echo_model.backbones.vae import FaceVAE
from echo_model.clips import Dialogue, clip_inputs, clip_latents, stack, unpack
from echo_model.model.flow import flow_loss, interpolate, sample_times
from echo_model.model.generator import EchoGenerator
from echo_model.model.lcu import LCU
from echo_model.model.lora import add_lora
from echo_model.model.options import ModelOptions, StageOptions

GATES = ("alpha", "beta")  # of GCA: learn ten times as fast, a few hundred steps must open them


def keep(batch: int, drop: float, generator: torch.Generator) -> Tensor:
    """(batch,) of ones, zero with probability `drop`."""
    return (torch.rand(batch, generator=generator) >= drop).float()


def token_weights(options: StageOptions, m_lip: Tensor) -> Tensor:
    """Weight of each token in L_flow, (17, 1), mean one."""
    weight = 1 + (options.lip_weight - 1) * m_lip.flatten()
    weight[-1] = options.pose_weight
    return (weight / weight.mean())[:, None]


class ClipTask:
    """Random clips of random dialogues; what both stages share."""

    user = False

    def __init__(self, dialogues: list[Dialogue], options: ModelOptions, stage: StageOptions, batch_size: int):
        self.dialogues = [d for d in dialogues if d.frames >= options.clip + options.stride]
        self.options, self.stage, self.batch_size = options, stage, batch_size

    def batch(self, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        clips = []
        for pick in torch.randint(len(self.dialogues), (self.batch_size,), generator=generator).tolist():
            dialogue = self.dialogues[pick]
            last = (dialogue.frames - self.options.clip) // self.options.stride
            start = int(torch.randint(last + 1, (), generator=generator)) * self.options.stride
            clip = clip_inputs(dialogue, start, self.options, self.user) | clip_latents(dialogue, start, self.options)
            clips.append(clip | {"image": dialogue.reference_image})
        return stack(clips)

    @property
    def network(self) -> EchoGenerator:
        return self.module["generator"] if self.user else self.module

    def noised(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[dict[str, Tensor], Tensor]:
        """Arguments of the generator at a random flow time, and that time."""
        x_1 = batch["x_1"]
        t = sample_times(len(x_1), generator, self.stage.time_shift)
        x_0 = torch.randn(x_1.shape, generator=generator)
        dropped = keep(len(x_1), self.stage.drop_previous, generator)
        heard = keep(len(x_1), self.stage.drop_audio, generator)
        moved = [value.to(x_1) for value in (t, x_0, dropped, heard)]
        arguments = {
            "x_t": interpolate(x_1, self.network.coloured(moved[1]), moved[0]),
            "t": moved[0],
            "previous": batch["previous"],
            "keep_previous": moved[2],
            "audio": batch["audio"],
            "keep_audio": moved[3],
            "reference": batch["reference"],
        }
        return arguments, moved[0]

    def errors(self, x_hat: Tensor, x_1: Tensor) -> dict[str, Tensor]:
        """Mean squared error of the estimate, of lip tokens and of the rest of the face: the learning curves."""
        error = (x_hat.detach() - x_1).square().mean((0, 1, 3))[:-1]
        lips = self.m_lip[:-1].to(error)
        return {
            "lips": (error * lips).sum() / lips.sum().clamp_min(1e-6),
            "face": (error * (1 - lips)).sum() / (1 - lips).sum().clamp_min(1e-6),
        }


class TalkingTask(ClipTask):
    """Stage 1: I_ref and A_avt only; L_flow + lambda * L_pixel."""

    def __init__(self, generator: EchoGenerator, vae: FaceVAE, *rest):
        super().__init__(*rest)
        self.module, self.vae = generator, vae
        self.weights, self.m_lip = token_weights(self.stage, generator.m_lip), generator.m_lip.flatten()

    def loss(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        arguments, t = self.noised(batch, generator)
        x_hat = self.module(**arguments)
        flow = flow_loss(x_hat, batch["x_1"], t, self.weights.to(t), self.stage.sharpest).mean()
        if not self.stage.pixel_weight:
            return flow, {"flow": flow.detach(), **self.errors(x_hat, batch["x_1"])}
        pixel = self.pixel_loss(x_hat, batch, t, generator)
        return flow + self.stage.pixel_weight * pixel, {
            "flow": flow.detach(),
            "pixel": pixel.detach(),
            **self.errors(x_hat, batch["x_1"]),
        }

    def pixel_loss(self, x_hat: Tensor, batch: dict[str, Tensor], t: Tensor, generator: torch.Generator) -> Tensor:
        """L_pixel: L1 between decoded estimate and decoded truth on a few random frames, weighted by the flow time."""
        count = min(self.stage.pixel_frames, len(x_hat))
        rows = torch.randperm(len(x_hat), generator=generator)[:count]
        frame = torch.randint(self.options.clip, (count,), generator=generator)
        estimate = torch.stack([unpack(x_hat[row], self.options.patch)[f] for row, f in zip(rows, frame, strict=True)])
        truth = torch.stack(
            [unpack(batch["x_1"][row], self.options.patch)[f] for row, f in zip(rows, frame, strict=True)]
        )
        image = batch["image"][rows].to(x_hat) / 255.0
        with torch.no_grad():
            target = self.vae.decode(truth, image)
        return ((self.vae.decode(estimate, image) - target).abs().flatten(1).mean(1) * t[rows]).mean()


class InteractiveTask(ClipTask):
    """Stage 2: LCU and SDCM on top of stage 1; L_flow + gamma * L_align against the frozen stage-1 generator f_ref.

    A small study has a few hundred steps where the paper has thousands, so f_pu and c_emo are also
    read out linearly (`context_weight`, ours): without it the gates of GCA hardly open in that time.
    """

    user = True

    def __init__(self, generator: EchoGenerator, lcu: LCU, *rest):
        super().__init__(*rest)
        self.module = nn.ModuleDict({"generator": generator, "lcu": lcu})
        self.f_ref = copy.deepcopy(generator).eval().requires_grad_(False) if self.stage.align_weight else None
        if self.stage.lora_rank:
            add_lora(generator, self.stage.lora_rank)
        self.weights, self.m_lip = token_weights(self.stage, generator.m_lip), generator.m_lip.flatten()

    def parameter_groups(self) -> list[dict]:
        named = dict(self.module["lcu"].named_parameters())
        gates = [p for name, p in named.items() if name.endswith(GATES)]
        rest = [p for name, p in named.items() if not name.endswith(GATES)]
        return [{"params": gates, "lr_scale": 10.0}, {"params": rest, "lr_scale": self.stage.context_rate}]

    def loss(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        arguments, t = self.noised(batch, generator)
        there = keep(len(t), self.stage.drop_user, generator)
        seen = (there * keep(len(t), self.stage.drop_perception, generator)).to(t)
        felt = (there * keep(len(t), self.stage.drop_emotion, generator)).to(t)
        user = (batch[name] for name in ("user_audio", "user_video", "s_usr", "text"))
        f_pu, c_emo = self.module["lcu"](*user, seen, felt)
        features = self.module["generator"].hidden(**arguments, f_pu=f_pu, c_emo=c_emo)
        x_hat = self.module["generator"].estimate(features[-1], arguments["x_t"], arguments["t"])
        flow = flow_loss(x_hat, batch["x_1"], t, self.weights.to(t), self.stage.sharpest).mean()
        told = self.module["lcu"].told(f_pu, c_emo)
        mean = rearrange(batch["x_1"], "b f n (k c) -> b (f k) n c", k=self.options.patch).mean(1).flatten(1)
        there = there.to(t)
        context = ((told - mean).square().mean(1) * there).sum() / there.sum().clamp_min(1.0)
        loss = flow + self.stage.context_weight * context
        logs = {"flow": flow.detach(), "context": context.detach(), **self.errors(x_hat, batch["x_1"])}
        if self.f_ref is None:
            return loss, logs
        align = self.align_loss(features, arguments, batch["energy"], generator)
        return loss + self.stage.align_weight * align, logs | {"align": align.detach()}

    def align_loss(self, features: list[Tensor], arguments: dict, energy: Tensor, generator: torch.Generator) -> Tensor:
        """L_align = 1/|S| sum_{l in S} sum_i w(i) mean_space d(h_l(i), h_ref_l(i)); d after layer norm."""
        self.f_ref.to(energy.device)
        subset = torch.randperm(len(features), generator=generator)[: self.stage.align_blocks].tolist()
        with torch.no_grad():
            reference = self.f_ref.hidden(**arguments, depth=max(subset) + 1)
        w = energy / energy.sum(1, keepdim=True).clamp_min(1e-3)
        first, total = self.module["generator"].previous, 0.0
        for block in subset:
            h, h_ref = (F.layer_norm(x[block][:, first:], x[block].shape[-1:]) for x in (features, reference))
            total = total + (w * (h - h_ref).square().mean((2, 3))).sum(1).mean()
        return total / len(subset)
