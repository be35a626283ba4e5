"""What every baseline on the motion latent shares: data, training, sampling's address of randomness, rendering."""

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from baselines.motion.encode import load_avatar_motion, load_user_motion
from baselines.motion.renderer import MotionRenderer
from baselines.motion.train_renderer import load_renderer
from dyads.contract import Dyad
from dyads.errors import ConfigError
from dyads.seeding import torch_generator
from echo_model.backbones.vae import AT_ONCE, to_frames
from echo_model.commands.encode import load_inputs
from training.engine.checkpoint import fingerprint
from training.engine.loop import Task, TrainOptions, read_summary, train
from training.engine.weights import load_weights, read_meta, save_weights
from training.method import Method, Resources, Run
from training.options import from_dict


@dataclass
class MotionDialogue:
    """One dialogue in memory; `avatar_motion` is None outside training."""

    dyad_id: str
    user_audio: Tensor  # (T, 50): 2 x 24 log-mel, F0, voicing; see echo_model.backbones.audio
    avatar_audio: Tensor  # (T, 50)
    user_motion: Tensor  # (T, K), whitened; zero is the user's first frame
    avatar_motion: Tensor | None  # (T, K), whitened; zero is the reference image
    reference_image: Tensor | None = None  # uint8 (3, S, S), for `render`

    @property
    def frames(self) -> int:
        return len(self.avatar_audio)


class MotionMethod(Method):
    """A method that makes whitened motion (T, K) of the shared renderer.

    A subclass names its sections of options in `sections` (name -> frozen dataclass), and gives `build`, `task` and
    `sample`. The avatar's true motion reaches `task` only. `run.seed` decides initial weights and training, the
    generator handed to `sample` every draw of one video.
    """

    sections: dict[str, type] = {}

    def __init__(self, options: dict[str, Any], resources: Resources):
        super().__init__(options, resources)
        known = {**self.sections, "train": TrainOptions}
        for key in options:
            if key not in known:
                raise ConfigError(
                    f"method options: unknown section {key!r}; the allowed ones are {', '.join(sorted(known))}."
                )
        self.schedule = from_dict(TrainOptions, options["train"], "train") if options.get("train") else None
        self.settings = {name: from_dict(kind, options.get(name, {}), name) for name, kind in self.sections.items()}
        self.renderer = load_renderer(resources.backbone("renderer"))
        self.meta: dict[str, Any] = {}

    @abstractmethod
    def build(self) -> nn.Module:
        """The untrained network; torch's global generator is seeded by the caller."""

    @abstractmethod
    def task(self, module: nn.Module, dialogues: list[MotionDialogue]) -> Task:
        """What `training.engine.loop.train` trains."""

    @abstractmethod
    def sample(self, module: nn.Module, dialogue: MotionDialogue, generator: torch.Generator) -> Tensor:
        """The avatar's motion (T, K) of a whole dialogue whose `avatar_motion` is None."""

    def tasks(self, module: nn.Module, dialogues: list[MotionDialogue]) -> Iterable[tuple[str, Task, TrainOptions]]:
        """Stages in order: name, task, schedule; one by default.

        A stage that needs the weights of the one before is yielded by a generator: it is asked for when they are there.
        """
        return [("motion", self.task(module, dialogues), self.schedule)]

    def dialogue(self, dyad: Dyad, training: bool = False) -> MotionDialogue:
        inputs, motion = load_inputs(self.resources.features, dyad.dyad_id), self.resources.backbone("motion")
        return MotionDialogue(
            dyad.dyad_id,
            inputs["user_audio"],
            inputs["avatar_audio"],
            load_user_motion(motion, dyad.dyad_id),
            load_avatar_motion(motion, dyad.dyad_id) if training else None,
            inputs["reference_image"],
        )

    def fit(self, dyads: list[Dyad], run: Run) -> None:
        torch.manual_seed(run.seed)
        module = self.build()
        dialogues = [self.dialogue(dyad, training=True) for dyad in dyads]
        self.meta = {"steps": 0, "samples": 0, "train_seconds": 0.0}
        for place, (stage, task, schedule) in enumerate(self.tasks(module, dialogues)):
            train(
                task, schedule, run.folder / f"{place}-{stage}", seed=run.seed, stage=stage,
                identity=self.identity(dyads) | {"start": fingerprint(module.state_dict())},
                device=self.resources.device,
            )  # fmt: skip
            task.module.cpu()
            summary = read_summary(run.folder / f"{place}-{stage}")
            for key in self.meta:
                self.meta[key] += summary[key]
        self.meta["parameters"] = sum(p.numel() for p in module.parameters())
        save_weights(run.out, module, {key: value for key, value in self.meta.items() if key != "train_seconds"})

    def load(self, weights: Path) -> None:
        torch.manual_seed(0)
        self.module = self.build()
        self.meta = read_meta(weights)
        load_weights(weights, self.module)
        self.module.eval()

    @torch.no_grad()
    def generate(self, dyad: Dyad, seed: int) -> np.ndarray:
        dialogue = self.dialogue(dyad)
        motion = self.sample(self.module, dialogue, torch_generator(seed, self.name, dyad.dyad_id))
        return render(self.renderer, motion, dialogue.reference_image)

    def card(self) -> dict[str, Any]:
        return super().card() | self.meta


@torch.no_grad()
def render(renderer: MotionRenderer, motion: Tensor, image: Tensor) -> np.ndarray:
    """Motion (T, K) and the reference uint8 (3, S, S) -> uint8 (T, S, S, 3)."""
    reference = image[None] / 255.0
    origin = renderer.origin(reference)
    return np.concatenate([to_frames(renderer.decode(part, reference, origin)) for part in motion.cpu().split(AT_ONCE)])
