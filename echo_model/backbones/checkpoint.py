"""Open a pretrained checkpoint of transformers from a folder, frozen, or say in one sentence why it cannot be."""

import json
from pathlib import Path
from typing import Any

import torch

from dyads.errors import ConfigError

VOCABULARIES = ("tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json", "vocab.txt")


def model_type(path: Path) -> str:
    """`model_type` of the folder's config.json."""
    try:
        return str(json.loads((path / "config.json").read_text(encoding="utf-8"))["model_type"])
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(
            f"{path} has no readable config.json with a model_type; name a checkpoint's folder."
        ) from error


def settings(path: Path, name: str, needed: bool = True) -> dict[str, Any]:
    """A JSON file of the folder; {} if it is not there and not needed."""
    if not needed and not (path / name).is_file():
        return {}
    try:
        return dict(json.loads((path / name).read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} has no readable {name}; copy the checkpoint's file there.") from error


def class_name(path: Path) -> str:
    """The class of diffusers that the folder's config.json names."""
    found = settings(path, "config.json").get("_class_name")
    if not found:
        raise ConfigError(f"{path} is no folder of a diffusers model; name the one with config.json and the weights.")
    return str(found)


def open_diffusers(cls: Any, path: Path, device: torch.device | str, dtype: torch.dtype) -> torch.nn.Module:
    """The weights in `path` as the diffusers class `cls`, frozen; none may be missing, unknown or of another shape."""
    try:
        model, told = cls.from_pretrained(path, local_files_only=True, torch_dtype=dtype, output_loading_info=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise ConfigError(
            f"{path} cannot be read as {cls.__name__} ({first_line(error)}); name another one."
        ) from error
    for problem, key in (("lacks", "missing_keys"), ("has unknown", "unexpected_keys")):
        if told[key]:
            raise ConfigError(
                f"{path} {problem} {len(told[key])} weights of {cls.__name__}, such as {min(told[key])}; name the "
                "folder of a whole checkpoint of that class."
            )
    return model.eval().requires_grad_(False).to(device)


def open_model(cls: Any, path: Path, device: torch.device | str) -> torch.nn.Module:
    """The weights in `path` as `cls`, in the precision they are stored in; none may be missing."""
    try:
        model, told = cls.from_pretrained(path, local_files_only=True, dtype="auto", output_loading_info=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise ConfigError(
            f"{path} cannot be read as {cls.__name__} ({first_line(error)}); name another one."
        ) from error
    if told["missing_keys"]:
        raise ConfigError(
            f"{path} lacks {len(told['missing_keys'])} weights of {cls.__name__}, such as "
            f"{min(told['missing_keys'])}; name the folder of a whole checkpoint of that class."
        )
    return model.eval().requires_grad_(False).to(device)


def open_processor(cls: Any, path: Path) -> Any:
    """The tokenizer or processor that lies beside the weights."""
    remedy = "copy the checkpoint's tokenizer and processor there."
    if not any((path / name).is_file() for name in VOCABULARIES):  # else transformers makes one that knows no word
        raise ConfigError(f"{path} has no vocabulary ({', '.join(VOCABULARIES)}); {remedy}")
    try:
        return cls.from_pretrained(path, local_files_only=True)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path} has no {cls.__name__} ({first_line(error)}); {remedy}") from error


def first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
