"""ECHO on the generator `wan` as methods: `Talking` (stage 1), `Echo` (both stages), and a round trip as a control."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dyads.contract import Dyad
from dyads.errors import ConfigError
from echo_model.backbones.checkpoint import class_name, open_diffusers
from echo_model.backbones.readers import weights_sha256
from echo_model.commands.understand import check_context, load_context
from echo_model.model.latent import UserSizes
from echo_model.model.lcu import LCU
from echo_model.model.options import ModelOptions, SamplingOptions, StageOptions
from echo_model.wan.clips import DialogueClips, Encoded, Slices, TrainingClips, count_clips
from echo_model.wan.encode import ENCODERS, check_model, folder
from echo_model.wan.encoders.latents import WanLatents
from echo_model.wan.options import Sizes, WanOptions
from echo_model.wan.sampling import sample_dialogue
from echo_model.wan.tasks import InteractiveTask, TalkingTask, WanTask
from echo_model.wan.transformer import INTERACTIVE, EchoWan
from training.device import pick_device
from training.engine.loop import TrainOptions, read_summary, train
from training.engine.weights import copy_state, read_meta, read_tensors, save_tensors
from training.method import Method, Resources, Run
from training.options import from_dict, parse_json

SECTIONS = ("generator", "model", "stage", "train", "sampling")
DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}


class WanMethod(Method):
    """Options, encoders' files and the base, shared by all rows on this generator."""

    user = False

    def __init__(self, options: dict[str, Any], resources: Resources):
        super().__init__(options, resources)
        for key in options:
            if key not in SECTIONS:
                raise ConfigError(
                    f"method options: unknown section {key!r}; the allowed ones are {', '.join(SECTIONS)}."
                )
        known = {section: options.get(section, {}) for section in SECTIONS}
        self.wan = from_dict(WanOptions, known["generator"], "generator")
        self.model = from_dict(ModelOptions, known["model"], "model")
        check_model(self.wan, self.model)
        self.stage = from_dict(StageOptions, known["stage"], "stage")
        self.schedule = from_dict(TrainOptions, known["train"], "train") if known["train"] else None
        self.sampling = from_dict(SamplingOptions, known["sampling"], "sampling")
        self.device = pick_device(resources.device)
        if resources.features is None:
            raise ConfigError(
                "the clips of `python -m echo_model.wan.encode` are needed; give their folder by --features."
            )
        clips = resources.features
        self.encoded = Encoded(clips, resources.backbones.get("context") if self.user else None)
        told = parse_json(f"@{clips / ENCODERS}", str(clips / ENCODERS))
        self.sizes, self.encoders = from_dict(Sizes, told["sizes"], ENCODERS), told["sha256"]
        self.frames = self.encoded.frames()
        self.clip_frames = self.model.clip
        self.meta: dict[str, Any] = {}

    def latents(self) -> WanLatents:
        return WanLatents(folder(self.wan, "vae"), self.wan.size, self.device, tiles=self.wan.tiles)

    def dialogue(self, dyad: Dyad) -> DialogueClips:
        """What the method may know of a dialogue; never the avatar's true frames."""
        if self.encoded.context is not None:
            check_context(load_context(self.encoded.context, dyad.dyad_id), self.model)
        return DialogueClips(self.encoded, dyad.dyad_id, self.model)

    def card(self) -> dict[str, Any]:
        return super().card() | self.meta


class RoundTrip(WanMethod):
    """The true video through the autoencoder: the best any method on these latents can do."""

    def fit(self, dyads: list[Dyad], run: Run) -> None:
        """Nothing to learn."""

    def load(self, weights: Path) -> None:
        self.space = self.latents()

    def generate(self, dyad: Dyad, seed: int) -> Iterator[np.ndarray]:
        target = Slices(self.encoded.clips / f"{dyad.dyad_id}.target.safetensors")
        frames, clip = self.frames[dyad.dyad_id], self.model.clip
        for k in range(count_clips(frames, self.model)):
            made = self.space.decode(target.rows("latents", k, k + 1)[0])[-clip:]
            yield made[: frames - k * clip]


class Talking(WanMethod):
    """Stage 1 alone: an audio-driven talking head that knows nothing of the user."""

    def build(self, seed: int) -> EchoWan:
        return build_generator(self.wan, self.model, self.sizes, seed)

    def build_lcu(self, seed: int) -> LCU | None:
        return None

    def fit(self, dyads: list[Dyad], run: Run) -> None:
        generator = self.build(run.seed)
        clips = TrainingClips(self.encoded, dyads, self.model, False, run.seed)
        words = (self.model.words, self.model.text_width)
        task = TalkingTask(self.latents(), words, generator, None, clips, self.stage, self.schedule.batch_size)
        self.train(task, dyads, run, "talking")
        self.save(run.out, task)

    def train(self, task: WanTask, dyads: list[Dyad], run: Run, stage: str) -> None:
        # The base, f_ref and what stage 1 left are told apart by the engine itself, which hashes what is frozen.
        identity = {"model": asdict(self.model), "stage": asdict(self.stage), "method": self.identity(dyads)}
        train(task, self.schedule, run.folder, seed=run.seed, stage=stage, identity=identity, device=self.device)
        summary = read_summary(run.folder)
        module = task.module
        self.meta = {
            "parameters": sum(p.numel() for p in module.parameters()),
            "parameters_trained": sum(p.numel() for p in module.parameters() if p.requires_grad),
            "steps": summary["steps"],
            "samples": summary["samples"],
            "train_seconds": summary["train_seconds"],
            "base_model": self.wan.base_model,
            "base_sha256": weights_sha256(folder(self.wan, "transformer")),
            "pretrained": self.encoders,
        }

    def save(self, out: Path, task: WanTask) -> None:
        """ECHO's own weights alone; the base is named by its hash. No times: the same training gives the same bytes."""
        meta = {key: value for key, value in self.meta.items() if key != "train_seconds"}
        save_tensors(out, own_state(task.generator, task.lcu), meta)

    def load(self, weights: Path) -> None:
        self.generator, self.lcu, self.space = self.build(0), self.build_lcu(0), self.latents()
        self.meta = self.take_over(weights, self.generator, self.lcu)
        for module in filter(None, (self.generator, self.lcu)):
            module.to(self.device).eval().requires_grad_(False)

    def take_over(self, weights: Path, generator: EchoWan, lcu: LCU | None) -> dict[str, Any]:
        """Weights of `save` into these networks; ConfigError if they were trained on another base."""
        meta, found = read_meta(weights), weights_sha256(folder(self.wan, "transformer"))
        if meta.get("base_sha256") != found:
            raise ConfigError(
                f"{weights} was trained on a base with sha256 {meta.get('base_sha256')}, but generator.transformer has "
                f"{found}; name the folder of that base."
            )
        copy_state(read_tensors(weights), own_state(generator, lcu), f"weights file {weights}")
        return meta

    def generate(self, dyad: Dyad, seed: int) -> Iterator[np.ndarray]:
        words = (self.model.words, self.model.text_width)
        frames, dialogue = self.frames[dyad.dyad_id], self.dialogue(dyad)
        networks = self.generator, self.lcu, self.space
        return sample_dialogue(*networks, dialogue, frames, self.sampling, seed, words, self.wan.dtype)


class Echo(Talking):
    """ECHO: stage 1's adapter taken over, then trained with LCU, SDCM and HFA on dialogues; ablations are options."""

    user = True

    def build_lcu(self, seed: int) -> LCU:
        return build_lcu(self.model, self.sizes, seed)

    def fit(self, dyads: list[Dyad], run: Run) -> None:
        generator, lcu = self.build(run.seed), self.build_lcu(run.seed)
        before = {"steps": 0, "samples": 0, "train_seconds": 0.0}  # single-stage: everything from the start
        if "stage1" in self.resources.backbones:
            before |= self.take_over(self.resources.backbone("stage1"), generator, None)
            generator.continue_as(INTERACTIVE, copy=self.stage.align_weight > 0)
        elif self.stage.align_weight:
            raise ConfigError("stage.align_weight is above 0 without stage-1 weights to align with; set it to 0.")
        for dyad in dyads:
            check_context(load_context(self.resources.backbone("context"), dyad.dyad_id), self.model)
        clips = TrainingClips(self.encoded, dyads, self.model, True, run.seed)
        task = InteractiveTask(generator, lcu, clips, self.stage, self.schedule.batch_size)
        self.train(task, dyads, run, "interactive")
        for key in ("steps", "samples", "train_seconds"):
            self.meta[key] += before[key]
        self.save(run.out, task)


def build_generator(wan: WanOptions, model: ModelOptions, sizes: Sizes, seed: int) -> EchoWan:
    """The pretrained transformer with ECHO's additions, which start from `seed` and change nothing yet."""
    from diffusers import WanTransformer3DModel

    path = folder(wan, "transformer")
    if (kind := class_name(path)) != "WanTransformer3DModel":
        raise ConfigError(f"{path} is a {kind}, but the generator wan is a WanTransformer3DModel; name its folder.")
    base = open_diffusers(WanTransformer3DModel, path, "cpu", DTYPES[wan.dtype])
    check_text(base.config.text_dim, model)
    torch.manual_seed(seed)
    steps = model.previous // model.patch, model.clip // model.patch
    return EchoWan(base, wan, sizes, model.patch * model.window, model.d, *steps, use_sdcm=model.use_sdcm)


def build_lcu(model: ModelOptions, sizes: Sizes, seed: int) -> LCU:
    """LCU over the encoders' widths; c_emo is left to the base's own text path."""
    torch.manual_seed(seed + 1)
    user = UserSizes(sizes.voice, sizes.user_tokens, sizes.user_width, project_text=False)
    return LCU(model, torch.ones(user.tokens) > 0, user)


def own_state(generator: EchoWan, lcu: LCU | None) -> dict[str, Tensor]:
    """Names and tensors of a weights file: ECHO's own in the generator, and LCU."""
    state = {f"generator.{name}": x for name, x in generator.trained_state().items()}
    return state | ({f"lcu.{name}": x for name, x in lcu.state_dict().items()} if isinstance(lcu, nn.Module) else {})


def check_text(width: int, model: ModelOptions) -> None:
    """ConfigError if the base's text path is for another text encoder."""
    if width != model.text_width:
        raise ConfigError(
            f"the transformer reads text tokens {width} wide, but model.text_width is {model.text_width}; name the "
            "text encoder that it was trained with (UMT5 for Wan), or one as wide."
        )
