"""The two training stages of ECHO on the generator `wan`, as tasks of the engine."""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from echo_model.model.flow import interpolate, sample_times
from echo_model.model.lcu import LCU
from echo_model.model.options import StageOptions
from echo_model.stages import keep
from echo_model.wan.clips import TrainingClips
from echo_model.wan.encoders.latents import WanLatents
from echo_model.wan.transformer import TALKING, EchoWan
from training.engine.sharding import is_cut

USER = ("user_audio", "user_video", "s_usr")


def understand(lcu: LCU | None, batch: dict[str, Tensor], seen: Tensor, felt: Tensor) -> tuple[Tensor | None, Tensor]:
    """f_pu (b, m, d) or None, and the text tokens of c_emo, zeros where it is dropped or there is no LAU.

    c_emo goes through the base's own text path, which reads E_txt's tokens as they are.
    """
    text = batch["text"]
    if lcu is None:
        return None, text
    f_pu, _ = lcu(*(batch[name] for name in USER), text, seen, felt)
    told = felt[:, None, None] if lcu.options.use_lcu and lcu.options.use_lau else 0.0
    return f_pu, told * text


class WanTask:
    """Clips in the order of `TrainingClips`; what both stages share."""

    def __init__(self, generator: EchoWan, lcu: LCU | None, clips: TrainingClips, stage: StageOptions, batch_size: int):
        self.generator, self.lcu, self.clips, self.stage, self.batch_size = generator, lcu, clips, stage, batch_size
        self.module = nn.ModuleDict({"generator": generator} | ({"lcu": lcu} if lcu else {}))

    def parameter_groups(self) -> list[dict]:
        """LoRA at the full rate, all else at `context_rate` of it."""
        named = list(self.module.named_parameters())
        rest = [p for name, p in named if ".lora_" not in name]
        return [{"params": rest, "lr_scale": self.stage.context_rate}]

    def shard_units(self) -> list[nn.Module]:
        """Where FSDP may cut: block by block, then the rest of the generator; LCU is small and stays whole."""
        return [*self.generator.base.blocks, self.generator]

    def batch_at(self, position: int) -> dict[str, Tensor]:
        """The micro batch at a position that counts on over steps, micro batches and processes."""
        return self.clips.batch(position * self.batch_size, self.batch_size)

    def noised(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """Arguments of the generator at random flow times, those times, and the velocity data - noise.

        A dialogue's beginning stands for dropped T_prev frames: I_ref, standing still.
        """
        x_1, count = batch["x_1"], len(batch["x_1"])
        t = sample_times(count, generator, self.stage.time_shift).to(x_1)
        x_0 = torch.randn(x_1.shape, generator=generator).to(x_1)
        given = keep(count, self.stage.drop_previous, generator).to(x_1)[:, None, None, None, None]
        heard = keep(count, self.stage.drop_audio, generator).to(x_1)
        arguments = {
            "x_t": interpolate(x_1, x_0, t),
            "t": t,
            "previous": given * batch["previous"] + (1 - given) * batch["still"],
            "audio": batch["audio"],
            "keep_audio": heard,
            "image": batch["image"],
            "m_lip": batch["m_lip"],
            "m_face": batch["m_face"],
        }
        return arguments, t, x_1 - x_0

    def flow(self, answer: Tensor, wanted: Tensor, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """L_flow over the steps that lie in the dialogue, and the learning curves of lips and face."""
        error = (answer - wanted).square().mean(2)  # (b, f, h, w) of the latent grid
        lips = on_latents(batch["m_lip"], error)
        weight = 1 + (self.stage.lip_weight - 1) * lips
        there = batch["there"][:, :, None, None]
        count = there.sum().clamp_min(1) * error.shape[2] * error.shape[3]
        weight = weight / weight.mean((2, 3), keepdim=True)
        curve = (error * there).detach()
        parts = {"lips": lips, "face": on_latents(batch["m_face"], error)}
        logs = {name: (curve * m).sum() / (there * m).sum().clamp_min(1e-6) for name, m in parts.items()}
        return (error * weight * there).sum() / count, logs


def on_latents(mask: Tensor, error: Tensor) -> Tensor:
    """A mask of the patch grid (b, tokens) on the latents' grid, (b, 1, h, w)."""
    side = round(mask.shape[1] ** 0.5)
    return F.interpolate(rearrange(mask, "b (h w) -> b 1 h w", h=side), error.shape[2:], mode="nearest")


class TalkingTask(WanTask):
    """Stage 1: I_ref and A_avt only; L_flow + lambda * L_pixel."""

    def __init__(self, latents: WanLatents, words: tuple[int, int], *rest):
        super().__init__(*rest)
        self.latents, self.words = latents, words

    def loss(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        arguments, t, wanted = self.noised(batch, generator)
        text = arguments["x_t"].new_zeros(len(t), *self.words)
        _, answer = self.generator(**arguments, text=text)
        loss, logs = self.flow(answer, wanted, batch)
        logs["flow"] = loss.detach()
        if self.stage.pixel_weight:
            estimate = arguments["x_t"] + (1 - t)[:, None, None, None, None] * answer
            pixel = self.pixel_loss(estimate, batch, t, generator)
            loss, logs["pixel"] = loss + self.stage.pixel_weight * pixel, pixel.detach()
        return loss, logs

    def pixel_loss(self, estimate: Tensor, batch: dict[str, Tensor], t: Tensor, generator: torch.Generator) -> Tensor:
        """L_pixel: L1 between decoded estimate and decoded truth, weighted by the flow time.

        One pair of latent steps of one sample, and of those a square around the lips of half the picture's side: a
        whole clip through the decoder would take more memory than the transformer.
        """
        self.latents.to(estimate.device)
        row = int(torch.randint(len(t), (), generator=generator))
        first = int(torch.randint(max(estimate.shape[1] - 1, 1), (), generator=generator))
        top, left, side = lip_square(batch["m_lip"][row], estimate.shape[-1])

        def cut(x: Tensor) -> Tensor:
            return x[row : row + 1, first : first + 2, :, top : top + side, left : left + side].float()

        with torch.no_grad():
            truth = self.latents.pictures(cut(batch["x_1"]))
        return (self.latents.pictures(cut(estimate)) - truth).abs().mean() / 2 * t[row]


def lip_square(m_lip: Tensor, side: int) -> tuple[int, int, int]:
    """Top, left and side, on the latents' grid, of the square of half its side around M_lip's middle."""
    grid = round(len(m_lip) ** 0.5)
    weight = m_lip.reshape(grid, grid).cpu()
    place, half = torch.arange(grid) + 0.5, max(side // 2, 2)
    total = float(weight.sum()) or 1.0
    middle = [float((weight.sum(k) * place).sum()) / total / grid * side for k in (1, 0)]
    top, left = (min(max(round(m - half / 2), 0), side - half) for m in middle)
    return top, left, half


class InteractiveTask(WanTask):
    """Stage 2: LCU and SDCM on top of stage 1; L_flow + gamma * L_align against the frozen stage-1 adapter f_ref."""

    def loss(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        arguments, t, wanted = self.noised(batch, generator)
        there = keep(len(t), self.stage.drop_user, generator)
        seen = (there * keep(len(t), self.stage.drop_perception, generator)).to(t)
        felt = (there * keep(len(t), self.stage.drop_emotion, generator)).to(t)
        f_pu, text = understand(self.lcu, batch, seen, felt)
        subset: list[int] = []
        if self.stage.align_weight:
            blocks = len(self.generator.base.blocks)
            subset = torch.randperm(blocks, generator=generator)[: self.stage.align_blocks].tolist()
            # Before the student, whose blocks are computed again in the backward pass, under its own adapter.
            with torch.no_grad(), self.generator.using(TALKING):
                # Processes that hold a part of each block must all call the same ones; each draws its own subset.
                depth = blocks if is_cut(self.generator.voice_in) else max(subset) + 1
                still, _ = self.generator(**arguments, text=torch.zeros_like(text), depth=depth)
                reference = {block: still[block] for block in subset}
        features, answer = self.generator(**arguments, text=text, f_pu=f_pu)
        loss, logs = self.flow(answer, wanted, batch)
        logs["flow"] = loss.detach()
        if subset:
            align = sum(aligned(features[k], reference[k], batch["energy"]) for k in subset) / len(subset)
            loss, logs["align"] = loss + self.stage.align_weight * align, align.detach()
        return loss, logs


def aligned(h: Tensor, h_ref: Tensor, energy: Tensor) -> Tensor:
    """sum_i w(i) mean_space d(h(i), h_ref(i)) of one block, d after layer norm; w is the voice's energy, sum one."""
    w = energy / energy.sum(1, keepdim=True).clamp_min(1e-3)
    h, h_ref = (F.layer_norm(x.float(), x.shape[-1:]) for x in (h, h_ref))
    return (w * (h - h_ref).square().mean((2, 3))).sum(1).mean()
