"""`EchoAdapter`: a trained ECHO without its base, in one folder to save, share and load."""

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from torch import Tensor

from dyads.errors import ConfigError, DataError
from dyads.files import atomic_path, write_json, write_text
from echo_model.model.options import ModelOptions, SamplingOptions
from echo_model.wan.clips import DialogueClips, Encoded
from echo_model.wan.encode import folder as folder_of
from echo_model.wan.encoders.latents import WanLatents
from echo_model.wan.method import build_generator, build_lcu, own_state
from echo_model.wan.options import Sizes, WanOptions
from echo_model.wan.sampling import sample_dialogue
from training.device import pick_device
from training.engine.weights import copy_state, read_tensors, write_tensors
from training.options import from_dict, parse_json, plain

WEIGHTS, CONFIG, CARD = "adapter.safetensors", "config.json", "README.md"
TEMPLATE = (Path(__file__).parents[1] / "cards" / "adapter.md").read_text(encoding="utf-8")
PARTS = {"transformer": "transformer", "vae": "autoencoder", "voice": "audio encoder", "look": "reference encoder"}


def save_adapter(out: Path, weights: Path, config: dict[str, Any], facts: dict[str, Any], half: bool = True) -> Path:
    """Write adapter.safetensors, config.json and a model card; the folder appears whole or not at all.

    Args:
        out: folder.
        weights: what `training.fit` wrote of an Echo on wan.
        config: sections generator, model, sampling, sizes; parts: slot -> sha256 of every pretrained part.
        facts: for the card: label, training facts, and results by name.
        half: bfloat16, half as large; the base computes in it.
    """
    tensors = read_tensors(weights)
    if half:
        tensors = {name: x.bfloat16() if x.is_floating_point() else x for name, x in tensors.items()}
    generator = dict(config["generator"])
    for name in ("transformer", "vae", "voice", "look"):  # a folder here is none elsewhere; the hash goes along
        generator[name] = {**generator.get(name, {}), "path": None, "sha256": config["parts"].get(name, "")}
    with atomic_path(out) as temporary:
        temporary.mkdir(parents=True)
        write_tensors(temporary / WEIGHTS, tensors)
        write_json(temporary / CONFIG, plain({**config, "generator": generator}))
        size = (temporary / WEIGHTS).stat().st_size
        write_text(temporary / CARD, card(config, facts, size, "bfloat16" if half else "float32"))
    return out


def card(config: dict[str, Any], facts: dict[str, Any], size: int, dtype: str) -> str:
    """The model card: base by name and hash, what was trained on what, results."""
    options = from_dict(WanOptions, config["generator"], "generator")
    values = {
        "base_model": options.base_model or "the base below",
        "label": str(facts.get("label", "ECHO")),
        "rank": str(options.rank),
        "targets": ", ".join(options.targets),
        "megabytes": f"{size / 1e6:.1f}",
        "dtype": dtype,
        "parts": "\n".join(f"| {PARTS.get(k, k)} | {v} |" for k, v in sorted(config["parts"].items())),
        "facts": "\n".join(f"- {k}: {v}" for k, v in facts.items() if k not in ("label", "results")),
        "results": "\n".join(f"- {k}: {v}" for k, v in facts.get("results", {}).items()) or "None were measured.",
    }
    return re.sub(r"{{ (\w+) }}", lambda found: values[found[1]], TEMPLATE)


class EchoAdapter:
    """A loaded ECHO on its base.

        echo = EchoAdapter.from_pretrained("results/paper/pretrained/echo", transformer=..., vae=...)
        frames = echo.generate(Encoded(clips, context), dyad_id)  # iterator of uint8 (n, H, W, 3)

    `generator`, `lcu` and `latents` are the networks, in eval mode.
    """

    def __init__(
        self, wan: WanOptions, model: ModelOptions, sampling: SamplingOptions, sizes: Sizes, device: str | None
    ):
        self.wan, self.model, self.sampling = wan, model, sampling
        self.device = pick_device(device)
        self.generator, self.lcu = build_generator(wan, model, sizes, 0), build_lcu(model, sizes, 0)
        self.latents = WanLatents(folder_of(wan, "vae"), wan.size, self.device, tiles=wan.tiles)

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        transformer: str | Path,
        vae: str | Path,
        device: str | None = None,
        **options: Any,
    ) -> "EchoAdapter":
        """An adapter from a folder or a hub's id, on a base from folders; ConfigError if it is not the base it was
        trained on. `options` change the generator's, such as dtype="fp32".
        """
        folder = found(name)
        config = parse_json(f"@{folder / CONFIG}", str(folder / CONFIG))
        try:
            generator = {**config["generator"], **options}
            for part, path in (("transformer", transformer), ("vae", vae)):
                generator[part] = {"path": str(path), "sha256": config["parts"][part]}
            sizes = from_dict(Sizes, config["sizes"], f"{folder / CONFIG}: sizes")
            wan = from_dict(WanOptions, generator, "generator")
            model = from_dict(ModelOptions, config["model"], "model")
            sampling = from_dict(SamplingOptions, config["sampling"], "sampling")
        except KeyError as error:
            raise ConfigError(f"{folder / CONFIG} has no {error}; give a folder of save_adapter.") from error
        echo = cls(wan, model, sampling, sizes, device)
        tensors = {key: x.float() if x.is_floating_point() else x for key, x in read_tensors(folder / WEIGHTS).items()}
        copy_state(tensors, echo.state(), str(folder / WEIGHTS))
        for module in (echo.generator, echo.lcu):
            module.to(echo.device).eval().requires_grad_(False)
        return echo

    def generate(self, encoded: Encoded, dyad_id: str, seed: int = 0, **sampling: Any) -> Iterator[np.ndarray]:
        """The avatar's frames of an encoded dialogue, clip after clip, uint8 (n, H, W, 3)."""
        options = replace(self.sampling, **sampling)
        words = (self.model.words, self.model.text_width)
        dialogue, frames = DialogueClips(encoded, dyad_id, self.model), encoded.frames()[dyad_id]
        networks = self.generator, self.lcu, self.latents
        return sample_dialogue(*networks, dialogue, frames, options, seed, words, self.wan.dtype)

    def state(self) -> dict[str, Tensor]:
        """What the adapter's file holds."""
        return own_state(self.generator, self.lcu)


def found(name: str | Path) -> Path:
    """The folder itself, or what a hub has under that id; DataError with the reason where there is none."""
    folder = Path(name)
    if not folder.is_dir() and re.fullmatch(r"[\w.-]+/[\w.-]+", str(name)):
        try:
            folder = Path(snapshot_download(str(name), allow_patterns=[WEIGHTS, CONFIG, CARD]))
        except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
            line = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise DataError(f"{name} is no folder here and cannot be had from a hub ({line}).") from error
    if missing := [file for file in (CONFIG, WEIGHTS) if not (folder / file).is_file()]:
        raise DataError(f"{folder} has no {' and no '.join(missing)}; give a folder of save_adapter, or a hub's id.")
    return folder


def config_of(options: dict[str, Any], sizes: dict[str, Any], parts: dict[str, str]) -> dict[str, Any]:
    """What config.json holds, from a row's options and the encoders' file."""
    wan = from_dict(WanOptions, options.get("generator", {}), "generator")
    model = from_dict(ModelOptions, options.get("model", {}), "model")
    sampling = from_dict(SamplingOptions, options.get("sampling", {}), "sampling")
    made = {"generator": asdict(wan), "model": asdict(model), "sampling": asdict(sampling), "sizes": sizes}
    return json.loads(json.dumps(plain({**made, "parts": parts})))
