"""`Echo`: a trained ECHO with all it needs, to save, share, load and run, live or on whole recordings."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from huggingface_hub import PyTorchModelHubMixin
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError
from safetensors import SafetensorError, safe_open
from torch import nn

from dyads.contract import Turn
from dyads.errors import ConfigError, DataError
from dyads.media.sound import fit_audio
from echo_model.backbones.audio import FRAME
from echo_model.backbones.phi import Phi, PhiOptions
from echo_model.backbones.readers import (
    ClipPhi,
    Psi,
    Readers,
    TextEncoder,
    load_clip_phi,
    load_psi,
    load_text,
    recorded,
)
from echo_model.backbones.vae import TOKENS, FaceVAE, VAEOptions, small_sizes
from echo_model.model.generator import EchoGenerator
from echo_model.model.lcu import LCU
from echo_model.model.options import ModelOptions, SamplingOptions
from echo_model.stream import EchoStream, Networks
from training.options import from_dict, plain

WEIGHTS = "model.safetensors"
TEMPLATE = (Path(__file__).parent / "cards" / "echo.md").read_text(encoding="utf-8")


class Echo(
    nn.Module,
    PyTorchModelHubMixin,
    library_name="echo-bench",
    license="apache-2.0",
    tags=["interactive-head-generation", "talking-head"],
    model_card_template=TEMPLATE,
):
    """Generator, LCU, autoencoder and understanding model in one file of weights.

        echo = Echo.from_pretrained("results/default/pretrained/echo")
        frames = echo.generate(user_frames, user_audio, avatar_audio, reference)  # uint8 (T, H, W, 3)
        stream = echo.stream(reference)
        frames = stream.step(user_frames[:24], user_audio[: 24 * 640], avatar_audio[: 24 * 640])

    `save_pretrained(folder)` writes config.json, model.safetensors and a model card.

    Args:
        model, sampling, vae, phi: options by name, as in config.json.
        psi, text: which affect reasoner and text encoder (`readers.Readers`); the small ones if None. A pretrained one,
            like a pretrained `phi`, is read from its own folder when the first stream starts, and its weights must be
            those recorded. Where that folder lies elsewhere, change its `path` in config.json.
        face: tokens of the latent grid that LPE looks at (M_face and M_lip).
        facts: what the model card tells: label, seed, data set, steps, commit, results.
    """

    def __init__(
        self,
        model: dict[str, Any],
        sampling: dict[str, Any],
        vae: dict[str, Any],
        phi: dict[str, Any],
        face: Sequence[int] = tuple(range(TOKENS)),
        facts: dict[str, Any] | None = None,
        psi: dict[str, Any] | None = None,
        text: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.model = from_dict(ModelOptions, model, "config.json: model")
        self.sampling = from_dict(SamplingOptions, sampling, "config.json: sampling")
        self.facts = dict(facts or {})
        self.vae = FaceVAE(from_dict(VAEOptions, vae, "config.json: vae"))
        given = {"phi": phi if "kind" in phi else {}, "psi": psi or {}, "text": text or {}}
        self.readers = from_dict(Readers, given, "config.json")
        self.phi = None if self.readers.phi.pretrained else Phi(from_dict(PhiOptions, phi, "config.json: phi"))
        seen = torch.zeros(TOKENS, dtype=torch.bool)
        seen[list(face)] = True
        self.generator = EchoGenerator(self.model, self.vae.mask_lip, self.vae.mask_face)
        self.lcu = LCU(self.model, seen, small_sizes(self.model.tubelet))
        self.eval().requires_grad_(False)

    @classmethod
    def of(
        cls,
        networks: Networks,
        model: ModelOptions,
        sampling: SamplingOptions,
        facts: dict[str, Any],
        readers: Readers | None = None,
    ) -> "Echo":
        """An Echo from trained parts; of a pretrained Phi in `readers`, `networks` need not hold one."""
        face = ((networks.vae.mask_lip + networks.vae.mask_face).flatten() > 0).nonzero()[:, 0].tolist()
        options = [asdict(x) for x in (model, sampling, networks.vae.options)]
        phi, psi, text = (plain(recorded(x)) if x.pretrained else None for x in (readers or Readers()).each)
        echo = cls(*options, phi or asdict(networks.phi.options), face=face, facts=facts, psi=psi, text=text)
        for name, network in echo.named_children():
            network.load_state_dict(getattr(networks, name).state_dict())
        return echo

    @classmethod
    def from_pretrained(cls, name: str | Path, **options: Any) -> "Echo":
        """A saved Echo from a folder, or from a hub by its id; DataError with the reason where there is none."""
        folder = Path(name)
        if folder.is_dir():
            if (folder / "adapter.safetensors").is_file():
                raise ConfigError(
                    f"{folder} is an adapter of the generator wan, which makes videos of encoded dialogues and does "
                    "not stream; load it by echo_model.wan.pretrained.EchoAdapter, or give a folder of "
                    "Echo.save_pretrained."
                )
            if missing := [file for file in ("config.json", WEIGHTS) if not (folder / file).is_file()]:
                raise DataError(f"{folder} has no {' and no '.join(missing)}; give a folder of Echo.save_pretrained.")
        elif not re.fullmatch(r"[\w.-]+/[\w.-]+", str(name)):
            raise DataError(f"{folder}: there is no such folder; give one of Echo.save_pretrained, or a hub id.")
        try:
            return super().from_pretrained(str(name), **options)
        except (HfHubHTTPError, EntryNotFoundError, OSError, RuntimeError, TypeError) as error:
            if folder.is_dir():
                raise
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            if "client has been closed" in reason:  # what the hub's library says of a connection that never came
                reason = "no connection"
            raise DataError(
                f"{name} is no folder here, and cannot be had from the hub ({reason}); check the name and the network, "
                "or give a folder of Echo.save_pretrained."
            ) from error

    @classmethod
    def _load_as_safetensor(cls, model: "Echo", model_file: str, map_location: str, strict: bool) -> "Echo":
        """Every tensor must be there and fit: weights of other options are refused with the first one that differs."""
        try:
            with safe_open(model_file, "pt", device=map_location) as file:
                found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise DataError(f"{model_file} cannot be read ({error}); download or save it again.") from error
        wanted = model.state_dict()
        for name in sorted(set(wanted) | set(found)):
            shapes = [tuple(x[name].shape) if name in x else "none" for x in (found, wanted)]
            if shapes[0] != shapes[1]:
                raise ConfigError(
                    f"{model_file} has {name} {shapes[0]} where its config.json needs {shapes[1]}; weights and "
                    "configuration come from different models, take both from one."
                )
        model.load_state_dict(found)
        return model.to(map_location)

    def generate_model_card(self, *args: Any, **kwargs: Any):
        """The card of the mixin, filled with `facts`."""
        filled = {"facts": self.facts, "model": asdict(self.model), "sampling": asdict(self.sampling)}
        filled["parameters"] = sum(p.numel() for net in (self.generator, self.lcu) for p in net.parameters())
        filled["size"] = self.vae.options.size
        return super().generate_model_card(*args, **{**filled, **kwargs})

    @cached_property
    def reading(self) -> tuple[Phi | ClipPhi, Psi, TextEncoder]:
        """Phi, Psi and E_txt, read from their folders where they are pretrained."""
        device, readers = next(self.parameters()).device, self.readers
        phi = load_clip_phi(readers.phi, self.model, device) if self.phi is None else self.phi
        return phi, load_psi(readers.psi, device), load_text(readers.text, self.model, device)

    def stream(self, reference: np.ndarray, seed: int = 0, name: str = "stream", **sampling: Any) -> EchoStream:
        """A dialogue in progress; `sampling` overrides single options, such as steps=4."""
        networks = Networks(self.generator, self.lcu, self.vae, *self.reading)
        try:
            options = replace(self.sampling, **sampling)
        except TypeError as error:
            known = ", ".join(asdict(self.sampling))
            raise ConfigError(f"sampling options {', '.join(sampling)}: one is unknown; there are {known}.") from error
        return EchoStream(networks, self.model, options, reference, seed, name)

    def generate(
        self,
        user_frames: np.ndarray,
        user_audio: np.ndarray,
        avatar_audio: np.ndarray,
        reference: np.ndarray,
        turns: Sequence[Turn] = (),
        seed: int = 0,
        name: str = "stream",
        **sampling: Any,
    ) -> np.ndarray:
        """The avatar's video of a whole dialogue, uint8 (T, H, W, 3), as long as the user's.

        Sound that is shorter than the video is continued by silence, longer sound is cut, by at most a tenth of a
        second; beyond that it is a DataError.
        """
        stream = self.stream(reference, seed, name, **sampling)
        return np.concatenate(list(clips_of(stream, user_frames, user_audio, avatar_audio, turns)))


def clips_of(
    stream: EchoStream,
    user_frames: np.ndarray,
    user_audio: np.ndarray,
    avatar_audio: np.ndarray,
    turns: Sequence[Turn] = (),
) -> Iterator[np.ndarray]:
    """The avatar's frames, clip after clip."""
    if len(user_frames) == 0:
        raise DataError("the user's video has no frames; give at least one.")
    total, clip = len(user_frames), stream.model.clip
    user_audio = fit_audio(user_audio, total, name="the user's sound")
    avatar_audio = fit_audio(avatar_audio, total, name="the avatar's sound")
    for start in range(0, total, clip):
        now, sound = slice(start, start + clip), slice(start * FRAME, (start + clip) * FRAME)
        yield stream.step(user_frames[now], user_audio[sound], avatar_audio[sound], turns if start == 0 else ())
