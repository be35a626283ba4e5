"""Whether the pretrained parts that a study names are there, of the right kind, and fit each other.

Their config.json alone is read, so a wrong folder is told before a data set is adapted for hours. What needs weights
(hashes, missing tensors) the stages that open them tell.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

# Part -> what its config.json must call it, and the rules that open it.
TRANSFORMER, VAE, VOICE, LOOK = (f"generator.{name}" for name in ("transformer", "vae", "voice", "look"))
OPENED = {
    TRANSFORMER: ("fit", "fit_start", "generate"),
    VAE: ("encode_clips", "fit", "fit_start", "generate"),
    VOICE: ("encode_clips",),
    LOOK: ("encode_clips",),
    **dict.fromkeys(("phi", "psi", "text"), ("understand",)),
}
KINDS = {
    TRANSFORMER: ("WanTransformer3DModel",),
    VAE: ("AutoencoderKLWan",),
    LOOK: ("clip", "clip_vision_model"),
    "phi": ("qwen2_5_omni", "qwen2_5_omni_thinker"),
    "text": ("t5", "mt5", "umt5"),
}


def parts_of(config: Mapping[str, Any]) -> dict[str, Path | None]:
    """Pretrained part -> the folder that the configuration names, None where it names none."""
    generator = config["generator"] if config["generator"].get("kind", "small") == "wan" else {}
    found = {part: generator.get(part.partition(".")[2]) or {} for part in (TRANSFORMER, VAE, VOICE, LOOK)}
    found = found if generator else {}
    own = {"phi": "small", "psi": "lexicon", "text": "small"}
    found |= {part: config[part] for part, small in own.items() if config[part].get("kind", small) != small}
    return {part: Path(options["path"]) if options.get("path") else None for part, options in found.items()}


def missing_problem(config: Mapping[str, Any], rules: Iterable[str], elsewhere: bool = False) -> str | None:
    """The first part that one of these rules will open, and that is not where the configuration says.

    `elsewhere`: jobs run on other machines, which share this folder, but may have disks of their own.
    """
    rules = set(rules)
    for part, folder in parts_of(config).items():
        if not rules & set(OPENED[part]):
            continue
        if folder is None:
            return f"{part}.path is not set; name the folder of its checkpoint."
        if elsewhere and folder.is_absolute():
            continue
        if not (folder / "config.json").is_file() or not any(folder.glob("*.safetensors")):
            why = "holds no config.json with *.safetensors" if folder.is_dir() else "is no folder"
            return f"{part}.path is {folder}, which {why}; download the checkpoint and name the folder it lies in."
    return None


def fit_problem(config: Mapping[str, Any]) -> str | None:
    """The first part that is of another kind, or does not go with another part or with `model`."""
    parts = parts_of(config)
    told = {part: found for part, folder in parts.items() if folder and (found := _settings(folder)) is not None}
    kinds = KINDS | ({VOICE: (config["generator"]["voice"].get("kind", "wav2vec2"),)} if VOICE in told else {})
    for part, found in told.items():
        kind = found.get("_class_name") or found.get("model_type")
        if part in kinds and kind not in kinds[part]:
            wanted = " or ".join(kinds[part])
            return f"{part}.path is {parts[part]}, a {kind}, but must be a {wanted}; name another folder."
    return _latents_problem(config, told) or _tokens_problem(config, parts, told)


def _latents_problem(config: Mapping[str, Any], told: Mapping[str, Mapping]) -> str | None:
    """Transformer, autoencoder and clip lengths: one latent space?"""
    if VAE not in told:
        return None
    channels, stride = told[VAE].get("z_dim", 16), told[VAE].get("scale_factor_temporal", 4)
    if TRANSFORMER in told and (given := told[TRANSFORMER].get("out_channels", 16)) != channels:
        return (
            f"{TRANSFORMER}.path gives latents of {given} channels, but {VAE}.path has {channels}; name a transformer "
            "and an autoencoder of one model."
        )
    if (patch := config["model"].get("patch", 4)) != stride:
        return (
            f"model.patch is {patch} frames, but a latent step of {VAE}.path holds {stride}; set model.patch to that."
        )
    size, unit = config["generator"].get("size", 512), 2 * told[VAE].get("scale_factor_spatial", 8)
    return f"generator.size is {size}, but must be a multiple of {unit} with {VAE}.path." if size % unit else None


def _tokens_problem(config: Mapping[str, Any], parts: Mapping, told: Mapping[str, Mapping]) -> str | None:
    """Widths of what the transformer and LCU are given: tokens of text, of the reference, of Phi."""
    model, base = config["model"], told.get(TRANSFORMER)
    widths = {part: width for part, one in told.items() if (width := _width(one)) is not None}
    text = base.get("text_dim", 4096) if base is not None else None
    if text is not None and "text" in parts and text != (given := widths.get("text", model.get("text_width"))):
        source = "text.path gives" if "text" in widths else "model.text_width is"
        return (
            f"{TRANSFORMER}.path reads text tokens {text} wide, but {source} {given}; name the text encoder that it "
            "was trained with (UMT5 for Wan), or one as wide."
        )
    for part, key in (("phi", "phi_width"), ("text", "text_width")):
        if part in widths and model.get(key) != widths[part]:
            given = f"model.{key} is {model.get(key)}"
            return f"{part}.path gives tokens {widths[part]} wide, but {given}; set it to {widths[part]}."
    image, look = base.get("image_dim") if base is not None else None, widths.get(LOOK)
    if image is not None and look is not None and image != look:
        return (
            f"the image attention of {TRANSFORMER}.path takes tokens {image} wide, but {LOOK}.path gives {look}; name "
            "the CLIP that it was trained with."
        )
    return None


def _settings(folder: Path) -> dict[str, Any] | None:
    """A folder's config.json; None where there is none, of which `missing_problem` tells."""
    try:
        found = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _width(told: Mapping[str, Any]) -> int | None:
    """Width of a transformers checkpoint's tokens; of a whole Qwen2.5-Omni or CLIP, of the part that is taken."""
    told = told.get("thinker_config") or told
    told = told.get("vision_config" if told.get("model_type") == "clip" else "text_config") or told
    return told.get("hidden_size") or told.get("d_model")
