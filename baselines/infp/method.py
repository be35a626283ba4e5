"""INFP as a method of the benchmark: training on windows, sampling window after window by DDIM."""

import torch
from torch import Tensor

from baselines.infp.diffusion import branches, ddim, guided
from baselines.infp.model import INFPNetwork
from baselines.infp.options import ModelOptions, SamplingOptions, StageOptions
from baselines.infp.windows import heard, single_sided, starts, training_window
from baselines.motion.method import MotionDialogue, MotionMethod
from baselines.motion.noise import noised
from baselines.motion.renderer import DIRECTIONS
from echo_model.clips import stack
from echo_model.stages import keep


class WindowTask:
    """Random windows of random dialogues; the squared error of the estimate of clean motion."""

    def __init__(
        self, module: INFPNetwork, dialogues: list[MotionDialogue], stage: StageOptions, batch: int, steps: int
    ):
        self.module, self.dialogues, self.stage, self.batch_size = module, dialogues, stage, batch
        self.options, self.single_steps = module.options, round(stage.single_sided * steps)
        self.all = self.places([starts(d, self.options) for d in dialogues])
        single = self.places([single_sided(d, self.options) for d in dialogues])
        self.single = single if len(single) else self.all

    @staticmethod
    def places(of: list[Tensor]) -> Tensor:
        """(windows, 2): dialogue and start."""
        return torch.cat([torch.stack([torch.full_like(s, k), s], 1) for k, s in enumerate(of)])

    def batch(self, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        places = self.single if step < self.single_steps else self.all
        rows = places[torch.randint(len(places), (self.batch_size,), generator=generator)]
        windows = []
        for number, start in rows.tolist():
            dialogue = self.dialogues[number]
            elsewhere = int(torch.randint(dialogue.frames, (), generator=generator))
            windows.append(training_window(dialogue, start, elsewhere, self.options))
        return stack(windows)

    def loss(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        x, valid, stage, count = batch["x"], batch["valid"], self.stage, len(batch["x"])
        t = torch.rand(count, generator=generator)
        noise = torch.randn(x.shape, generator=generator)
        kept = [keep(count, p, generator) for p in (stage.drop_style, stage.drop_motion, stage.drop_previous)]
        t, noise, styled, guided_by, continued = (value.to(x) for value in (t, noise, *kept))
        s_m = self.module.style(batch["style"]) * styled[:, None]
        f_m = self.module.guider(batch["a_self"], batch["a_other"], s_m)
        x_t = noised(x, noise, t)
        x_hat = self.module.denoiser(x_t, t, f_m, batch["previous"], guided_by, continued, valid)
        error = (x_hat - x).square().mean(-1)
        weight = valid.to(error)
        loss = (error * weight).sum() / weight.sum()
        guided_weight = weight * guided_by[:, None]
        told = (error.detach() * guided_weight).sum() / guided_weight.sum().clamp_min(1.0)
        return loss, {"denoising": loss.detach(), "with_f_m": told}


class INFP(MotionMethod):
    """INFP: Zhu et al. 2024, "INFP: Audio-Driven Interactive Head Generation in Dyadic Conversations" (CVPR 2025,
    arXiv 2412.04037), its second stage: audio-guided motion generation.

    The same: two voices and nothing else, no role given; two memory banks of 64 embeddings, queried by the own and the
    other voice, edited by a style as StyleGAN2 modulates weights; sum and MLP -> f_m; a denoiser of four blocks
    (self-attention, attention on f_m, attention on the last 10 frames of the window before) whose time is a token of
    its own; style dropped in 30 % of samples, f_m and the frames before in 50 % each; single-sided windows first;
    DDIM, guidance 2 on f_m. Sampling starts from noise around the portrait's own motion code, which is zero in this
    latent.

    Different, and why: the benchmark's motion latent and audio features in place of the paper's first stage (head
    imitation from hybrid images, whose losses are not published) and HuBERT, so that all rows share one renderer; width
    64, not 512, for the study's budget; the network tells clean motion, from which the noise estimate follows, because
    that learns faster in a short training; logits fall with distance in time, so that a frame need not learn where its
    own audio is; the style of a training window is read elsewhere in the dialogue, for its own would tell the answer; a
    video is made with the null style, since only the true video could give another; no guidance on the frames before
    (1.5 there), for it exaggerates, window after window, where gaze, head and expression already were; 10 steps of
    DDIM, not 20, for with more of them a clip's mean pose and expression stray farther. Both were chosen on training
    dialogues held out. Window length, noise path and the guidance's combination are not published; they are ours.

    Look-ahead: a window of N frames is made at once from both voices up to its end, and from nothing after it.
    """

    sections = {"model": ModelOptions, "stage": StageOptions, "sampling": SamplingOptions}

    @property
    def clip_frames(self) -> int:
        return self.settings["model"].window

    def build(self) -> INFPNetwork:
        return INFPNetwork(self.settings["model"])

    def task(self, module: INFPNetwork, dialogues: list[MotionDialogue]) -> WindowTask:
        return WindowTask(module, dialogues, self.settings["stage"], self.schedule.batch_size, self.schedule.steps)

    @torch.no_grad()
    def sample(self, module: INFPNetwork, dialogue: MotionDialogue, generator: torch.Generator) -> Tensor:
        """Motion (T, K) of a dialogue, on the CPU."""
        options = module.options
        device = module.denoiser.place.device
        motion = torch.zeros(options.previous, DIRECTIONS)  # the reference, before the start
        for start in range(0, dialogue.frames, options.window):
            window = {name: value.to(device) for name, value in heard(dialogue, start, options).items()}
            noise = torch.randn(len(window["a_self"]), DIRECTIONS, generator=generator)
            made = sample_window(
                module, window, motion[-options.previous :].to(device), noise.to(device), self.settings["sampling"]
            )
            motion = torch.cat([motion, made.cpu()])
        return motion[options.previous :]


def sample_window(
    module: INFPNetwork, window: dict[str, Tensor], previous: Tensor, noise: Tensor, options: SamplingOptions
) -> Tensor:
    """Motion (n, K) of one window from its voices (n, hear * D), the frames before (10, K) and noise (n, K)."""
    kept, scales = branches(options.guide_motion, options.guide_previous)
    count = len(kept)
    keep_motion, keep_previous = kept.to(noise).unbind(1)
    f_m = module.guider(window["a_self"][None], window["a_other"][None], module.null_style(1))
    f_m, previous = f_m.expand(count, -1, -1), previous.expand(count, -1, -1)

    def predict(x_t: Tensor, t: float) -> Tensor:
        times = torch.full((count,), t).to(noise)
        x_t = x_t.expand(count, -1, -1)
        return guided(module.denoiser(x_t, times, f_m, previous, keep_motion, keep_previous), scales)

    return ddim(predict, noise, options.steps)
