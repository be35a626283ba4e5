"""Whether a study can use the backbones and readers that come with the package, and which files those are."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PLACES = ("training/shipped/backbones", "training/shipped/readers")
SECTIONS = ("vae", "renderer", "phi")


def shipped_files(names: Iterable[str]) -> list[str]:
    """Weights and cards of shipped backbones or readers, relative to the repository."""
    found = {path.stem: path for place in PLACES for path in sorted((ROOT / place).glob("*.safetensors"))}
    files = [found[name] for name in names if name in found]
    return [str(file.relative_to(ROOT)) for path in files for file in (path, path.with_suffix(".json"))]


def shipped_problem(config: Mapping[str, Any], default: Mapping[str, Any]) -> str | None:
    """Why this study cannot use the shipped backbones, in one sentence with the remedy; None where it can.

    `default`: the study's own file, whose sections the shipped ones stand for.
    """
    if config["backbones_per_seed"]:
        why = "backbones_per_seed trains a set for each seed, but backbones is shipped"
        return f"{why}; set backbones: train, or leave it out."
    return _problem(config, default, "backbones", SECTIONS)


def readers_problem(config: Mapping[str, Any], default: Mapping[str, Any]) -> str | None:
    """The same of the shipped readers of metrics, which measure trained backbones too."""
    return _problem(config, default, "readers", ("probes",))


def _problem(config: Mapping[str, Any], default: Mapping[str, Any], which: str, sections: Iterable[str]) -> str | None:
    remedy = f"set {which}: train"
    if config["dataset"]["kind"] != "synthetic":
        return f"{which} is shipped, but those know the synthetic world's faces alone; {remedy} for other recordings."
    for section in sections:
        if config[section] != (default.get(section) or {}):
            return (
                f"'{section}' says how a training is done, but {which} is shipped; {remedy}, or leave '{section}' out."
            )
    world = {"size": 64, "seed": 0} | config["world"]
    for file in sorted((ROOT / "training/shipped" / which).glob("*.json")):
        card = json.loads(file.read_text(encoding="utf-8"))
        if world["size"] != card["data"]["size"]:
            return (
                f"world.size is {world['size']}, but shipped {which} know faces of {card['data']['size']} pixels; "
                f"{remedy}, or leave world.size out."
            )
        if world["seed"] in card["data"]["seeds"]:
            seed = world["seed"]
            return f"world.seed is {seed}, whose people shipped {which} were trained on; choose a seed below 1900."
    return None
