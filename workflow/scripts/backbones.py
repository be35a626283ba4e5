"""Whether a study can use the backbones and readers that come with the package, and which files those are."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PLACES = ("training/shipped/backbones", "training/shipped/readers")
SECTIONS = ("vae", "renderer", "phi", "probes")
TRAIN = "set backbones: train"


def shipped_files(names: Iterable[str]) -> list[str]:
    """Weights and cards of shipped backbones or readers, relative to the repository."""
    found = {path.stem: path for place in PLACES for path in sorted((ROOT / place).glob("*.safetensors"))}
    files = [found[name] for name in names if name in found]
    return [str(file.relative_to(ROOT)) for path in files for file in (path, path.with_suffix(".json"))]


def shipped_problem(config: Mapping[str, Any], default: Mapping[str, Any]) -> str | None:
    """Why this study cannot use the shipped ones, in one sentence with the remedy; None where it can.

    `default`: the study's own file, whose sections the shipped ones stand for.
    """
    if config["dataset"]["kind"] != "synthetic":
        return f"backbones is shipped, but those know the synthetic world's faces alone; {TRAIN} for other recordings."
    if config["backbones_per_seed"]:
        return f"backbones_per_seed trains a set for each seed, but backbones is shipped; {TRAIN}, or leave it out."
    for section in SECTIONS:
        if config[section] != (default.get(section) or {}):
            return (
                f"'{section}' says how a training is done, but backbones is shipped; {TRAIN}, or leave '{section}' out."
            )
    cards = [json.loads((ROOT / file).read_text(encoding="utf-8")) for place in PLACES
             for file in sorted((ROOT / place).glob("*.json"))]  # fmt: skip
    world = {"size": 64, "seed": 0} | config["world"]
    for card in cards:
        if world["size"] != card["data"]["size"]:
            return (
                f"world.size is {world['size']}, but shipped backbones paint faces of {card['data']['size']} pixels; "
                f"{TRAIN}, or leave world.size out."
            )
        if world["seed"] in card["data"]["seeds"]:
            return (
                f"world.seed is {world['seed']}, whose people the shipped backbones and readers were trained on; "
                "choose a seed below 1900."
            )
    return None
