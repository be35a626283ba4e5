"""Control methods: rows whose rank is known beforehand, so that a metric which misorders them is seen to be broken."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open

from baselines.motion.encode import load_avatar_motion
from baselines.motion.method import render
from baselines.motion.train_renderer import load_renderer
from dyads.contract import Dyad, load_arrays
from dyads.errors import ConfigError
from dyads.other_dialogues import mirrored, other_dyad
from dyads.synthetic.drawing.render import render_frames
from echo_model.backbones.vae import AT_ONCE, to_frames
from echo_model.commands.encode import load_inputs, load_targets
from echo_model.commands.train_vae import load_vae
from training.method import Method, Resources
from training.options import from_dict


class Control(Method):
    """A method that learns nothing."""

    def fit(self, dyads: list[Dyad], run: Any) -> None:
        """Nothing to learn."""

    def load(self, weights: Path) -> None:
        """Nothing to take over."""


class GroundTruth(Control):
    """The true video, encoded once more like every generated one: the ceiling."""

    def generate(self, dyad: Dyad, seed: int) -> np.ndarray:
        return load_arrays(dyad, ("avatar",)).avatar_frames


@dataclass(frozen=True)
class ShiftOptions:
    """How many `frames` (25 a second) the picture comes late; at least 1."""

    frames: int = 10

    def __post_init__(self) -> None:
        if self.frames < 1:
            raise ConfigError(f"a shift of {self.frames} frames is none; give 1 or more.")


class TimeShiftedAudio(Control):
    """The true video some frames late against its sound: every picture right, at the wrong time.

    The first frame stands until the motion begins; what is pushed over the end is lost. Lip metrics must fall, and
    those of single pictures cannot see it.
    """

    def __init__(self, options: dict[str, Any], resources: Resources):
        super().__init__(options, resources)
        self.shift = from_dict(ShiftOptions, options, "options")

    def generate(self, dyad: Dyad, seed: int) -> np.ndarray:
        frames = load_arrays(dyad, ("avatar",)).avatar_frames
        return frames[np.maximum(np.arange(len(frames)) - self.shift.frames, 0)]


class HardCuts(Control):
    """The true video in clips of ECHO's length, the last one first: every picture right, a jump at every border.

    What is left over at the end, less than a clip, stays where it is.
    """

    clip_frames = 24

    def generate(self, dyad: Dyad, seed: int) -> np.ndarray:
        frames = load_arrays(dyad, ("avatar",)).avatar_frames
        whole = len(frames) // self.clip_frames * self.clip_frames
        clips = np.arange(whole).reshape(-1, self.clip_frames)[::-1]
        return frames[np.concatenate([clips.ravel(), np.arange(whole, len(frames))])]


class FrozenReference(Control):
    """The reference image throughout: the floor of everything that moves."""

    def generate(self, dyad: Dyad, seed: int) -> np.ndarray:
        arrays = load_arrays(dyad, ("avatar",))
        return np.repeat(arrays.reference[None], len(arrays.avatar_frames), 0)


class WithVAE(Control):
    """A control that decodes latents of the shared autoencoder, as they were encoded for training."""

    def __init__(self, options: dict[str, Any], resources: Resources):
        super().__init__(options, resources)
        self.vae = load_vae(resources.backbone("vae"))

    @torch.no_grad()
    def decode(self, latents: torch.Tensor, dyad: Dyad) -> np.ndarray:
        """Latents (T, 17, 8) on this dyad's reference image."""
        image = load_inputs(self.resources.features, dyad.dyad_id)["reference_image"][None] / 255.0
        origin = self.vae.origin(image)
        return np.concatenate([to_frames(self.vae.decode(part, image, origin)) for part in latents.split(AT_ONCE)])

    def borrowed(self, other: Dyad, dyad: Dyad) -> np.ndarray:
        """The true motion of another dialogue's avatar on this dyad's reference, mirrored in time where it ends."""
        latents = load_targets(self.resources.features, other.dyad_id)
        frames = len(load_inputs(self.resources.features, dyad.dyad_id)["avatar_audio"])
        return self.decode(latents[mirrored(len(latents), frames)], dyad)


class VaeRoundTrip(WithVAE):
    """The true video through the autoencoder: the best any method on these latents can do."""

    def generate(self, dyad: Dyad, seed: int) -> np.ndarray:
        return self.decode(load_targets(self.resources.features, dyad.dyad_id), dyad)


class RendererRoundTrip(Control):
    """The true video through the baselines' motion latent: the best any method on it can do."""

    def generate(self, dyad: Dyad, seed: int) -> np.ndarray:
        motion = load_avatar_motion(self.resources.backbone("motion"), dyad.dyad_id)
        image = load_inputs(self.resources.features, dyad.dyad_id)["reference_image"]
        return render(load_renderer(self.resources.backbone("renderer")), motion, image)


class ShuffledPartner(WithVAE):
    """True motion, but of the avatar in another dialogue: right in distribution, wrong for this partner and voice.

    The other dialogue is drawn from the same split, never the same one; its latents are decoded on this avatar's
    reference, and mirrored in time at its end where it is shorter.
    """

    def generate(self, dyad: Dyad, seed: int) -> np.ndarray | None:
        other = other_dyad(self.resources.data, dyad, seed, "shuffled-partner")
        return self.borrowed(other, dyad) if other else None


class OracleExpression(Control):
    """The world's expected coefficients, rendered: what a perfect reader of the conversation would show.

    It exists only where the generator of the data is known; on other data it gives no video, and its rows say so.
    """

    def generate(self, dyad: Dyad, seed: int) -> np.ndarray | None:
        if not dyad.truth_path.is_file():
            return None
        with safe_open(str(dyad.truth_path), "np") as truth:
            meta = json.loads(truth.metadata()["meta"])
            expected = truth.get_tensor("avatar_expected")
        return render_frames(meta["identity"]["avatar"], expected, meta["size"], meta["world_seed"])
