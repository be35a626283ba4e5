"""ECHO as methods: `Talking` (stage 1 alone, audio only) and `Echo` (both stages, ablations by option)."""

from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dyads.contract import Dyad
from dyads.errors import ConfigError
from echo_model.backbones.phi import Phi
from echo_model.backbones.readers import Readers
from echo_model.backbones.vae import AT_ONCE, small_sizes, to_frames
from echo_model.clips import Dialogue
from echo_model.commands.encode import load_inputs, load_targets
from echo_model.commands.train_phi import load_phi
from echo_model.commands.train_vae import load_vae
from echo_model.commands.understand import READERS, check_context, load_context
from echo_model.model.generator import EchoGenerator
from echo_model.model.lcu import LCU
from echo_model.model.lora import merge_lora
from echo_model.model.options import ModelOptions, SamplingOptions, StageOptions, check_span
from echo_model.sampling import sample_dialogue
from echo_model.stages import InteractiveTask, TalkingTask
from training.engine.checkpoint import fingerprint
from training.engine.loop import TrainOptions, read_summary, train
from training.engine.weights import load_weights, read_meta, save_weights
from training.method import Method, Resources, Run
from training.options import from_dict, parse_json

SECTIONS = ("model", "stage", "train", "sampling")


class Talking(Method):
    """ECHO's stage 1 alone: an audio-driven talking head that knows nothing of the user."""

    user = False

    def __init__(self, options: dict[str, Any], resources: Resources):
        super().__init__(options, resources)
        known = {section: options.get(section, {}) for section in SECTIONS}
        check_sections(options)
        self.model = from_dict(ModelOptions, known["model"], "model")
        self.stage = from_dict(StageOptions, known["stage"], "stage")
        self.schedule = from_dict(TrainOptions, known["train"], "train") if known["train"] else None
        self.sampling = from_dict(SamplingOptions, known["sampling"], "sampling")
        check_span(self.model, self.sampling)
        self.vae = load_vae(resources.backbone("vae"))
        self.clip_frames = self.model.clip
        self.lcu: LCU | None = None
        self.meta: dict[str, Any] = {}

    def build(self, seed: int) -> EchoGenerator:
        torch.manual_seed(seed)
        return EchoGenerator(self.model, self.vae.mask_lip, self.vae.mask_face)

    def dialogues(self, dyads: list[Dyad]) -> list[Dialogue]:
        """Every person's own voice and face: in stage 1 both sides of a dialogue are talking heads."""
        loaded = []
        for dyad in dyads:
            inputs = load_inputs(self.resources.features, dyad.dyad_id)
            loaded.append(Dialogue(dyad, inputs, latents=load_targets(self.resources.features, dyad.dyad_id)))
            loaded.append(Dialogue(dyad, inputs, latents=inputs["user_latents"], role="user"))
        return loaded

    def dialogue(self, dyad: Dyad) -> Dialogue:
        """What the method may know of a dialogue; never the avatar's true frames."""
        return Dialogue(dyad, load_inputs(self.resources.features, dyad.dyad_id))

    def fit(self, dyads: list[Dyad], run: Run) -> None:
        generator = self.build(run.seed)
        dialogues = self.dialogues(dyads)
        generator.fit_spread([dialogue.latents for dialogue in dialogues])
        task = TalkingTask(generator, self.vae, dialogues, self.model, self.stage, self.schedule.batch_size)
        self.train(task, run, "talking", {})
        save_weights(run.out, generator, self.reproducible())

    def train(self, task, run: Run, stage: str, identity: dict[str, Any]) -> None:
        identity = {
            "model": asdict(self.model),
            "stage": asdict(self.stage),
            "vae": fingerprint(self.vae.state_dict()),
        } | identity
        identity["dialogues"] = [dialogue.dyad.dyad_id for dialogue in task.dialogues]
        train(
            task,
            self.schedule,
            run.folder,
            seed=run.seed,
            stage=stage,
            identity=identity,
            device=self.resources.device,
        )
        task.module.cpu()
        summary = read_summary(run.folder)
        self.meta = {
            "parameters": sum(p.numel() for p in task.module.parameters()),
            "steps": summary["steps"],
            "samples": summary["samples"],
            "train_seconds": summary["train_seconds"],
        }

    def reproducible(self) -> dict[str, Any]:
        """What the weights file says of itself: no times, so that the same training gives the same bytes."""
        return {key: value for key, value in self.meta.items() if key != "train_seconds"}

    def load(self, weights: Path) -> None:
        self.generator = self.build(0)
        self.meta = load_weights(weights, self.generator)
        self.generator.eval()

    def generate(self, dyad: Dyad, seed: int) -> np.ndarray:
        dialogue = self.dialogue(dyad)
        latents = sample_dialogue(self.generator, self.lcu, dialogue, self.model, self.sampling, seed)
        return self.render(latents, dialogue.reference_image)

    @torch.no_grad()
    def render(self, latents: torch.Tensor, image: torch.Tensor) -> np.ndarray:
        reference = image[None] / 255.0
        origin = self.vae.origin(reference)
        return np.concatenate(
            [to_frames(self.vae.decode(part, reference, origin)) for part in latents.cpu().split(AT_ONCE)]
        )

    def card(self) -> dict[str, Any]:
        return super().card() | self.meta


class Echo(Talking):
    """ECHO: stage 1's generator taken over, then trained with LCU, SDCM and HFA on dialogues; ablations are options."""

    user = True

    def dialogues(self, dyads: list[Dyad]) -> list[Dialogue]:
        return [
            replace(self.dialogue(dyad), latents=load_targets(self.resources.features, dyad.dyad_id)) for dyad in dyads
        ]

    def dialogue(self, dyad: Dyad) -> Dialogue:
        inputs = load_inputs(self.resources.features, dyad.dyad_id)
        if self.model.limit:
            return Dialogue(dyad, inputs, phi=self.phi)
        context = load_context(self.resources.backbone("context"), dyad.dyad_id)
        check_context(context, self.model)
        return Dialogue(dyad, inputs, context)

    @cached_property
    def phi(self) -> Phi:
        if "phi" not in self.resources.backbones:
            raise ConfigError(
                "model.limit and swap tests let Phi and Psi read anew, which only the small ones do: "
                "set phi, psi and text to their small kinds, or take this row out."
            )
        return load_phi(self.resources.backbone("phi"))

    def build_lcu(self, seed: int) -> LCU:
        torch.manual_seed(seed + 1)
        face = (self.vae.mask_lip + self.vae.mask_face) > 0
        return LCU(self.model, face, small_sizes(self.model.tubelet))

    def fit(self, dyads: list[Dyad], run: Run) -> None:
        generator, lcu = self.build(run.seed), self.build_lcu(run.seed)
        before = {"steps": 0, "samples": 0, "train_seconds": 0.0}  # single-stage: everything from the start
        if "stage1" in self.resources.backbones:
            before |= read_meta(self.resources.backbone("stage1"))  # its seconds stand in its own card
            load_weights(self.resources.backbone("stage1"), generator)
        elif self.stage.align_weight or self.stage.lora_rank:
            name = "align_weight" if self.stage.align_weight else "lora_rank"
            raise ConfigError(f"stage.{name} is above 0 without stage-1 weights to build on; set it to 0.")
        dialogues = self.dialogues(dyads)
        if "stage1" not in self.resources.backbones:
            generator.fit_spread([dialogue.latents for dialogue in dialogues])
        task = InteractiveTask(generator, lcu, dialogues, self.model, self.stage, self.schedule.batch_size)
        self.train(task, run, "interactive", {"stage1": fingerprint(generator.state_dict())})
        if self.stage.lora_rank:
            merge_lora(generator)
        self.meta["parameters"] = sum(p.numel() for p in task.module.parameters())
        for key in ("steps", "samples", "train_seconds"):
            self.meta[key] += before[key]
        self.meta |= self.read_by()
        save_weights(run.out, task.module, self.reproducible())

    def read_by(self) -> dict[str, Any]:
        """For the card: the sha256 of a pretrained Phi, Psi and E_txt; nothing where all are small."""
        file = self.resources.backbones.get("context", Path()) / READERS
        told = from_dict(Readers, parse_json(f"@{file}", str(file)) if file.is_file() else {}, str(file))
        found = {slot: reader.sha256 for slot, reader in vars(told).items() if reader.pretrained}
        return {"pretrained": found} if found else {}

    def load(self, weights: Path) -> None:
        self.generator, self.lcu = self.build(0), self.build_lcu(0)
        self.meta = load_weights(weights, torch.nn.ModuleDict({"generator": self.generator, "lcu": self.lcu}))
        self.generator.eval()
        self.lcu.eval()


def check_sections(options: dict[str, Any]) -> None:
    """ConfigError for a section a method does not have."""
    for key in options:
        if key not in SECTIONS:
            raise ConfigError(f"method options: unknown section {key!r}; the allowed ones are {', '.join(SECTIONS)}.")
