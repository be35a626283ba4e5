"""Probe files: safetensors whose header says what the probe is, what it was trained on and how well it reads."""

import importlib
from pathlib import Path
from typing import Any

from torch import nn

from dyads.errors import ConfigError, DataError
from training.engine.weights import load_weights, read_meta, save_weights

KINDS = {  # file in this package -> its class
    "motion": "MotionProbe",
    "pca": "PcaProbe",
    "mesh": "MeshProbe",
    "image": "ImageProbe",
    "identity": "IdentityProbe",
    "video": "VideoProbe",
    "sync": "SyncProbe",
}
# What may stand under each probe's name; those in NEEDED are read for every clip.
PROBES = {"motion": ("motion", "pca", "mesh")} | {name: (name,) for name in ("image", "identity", "video", "sync")}
NEEDED = ("motion", "image")


def save_probe(path: Path | str, probe: nn.Module, kind: str, build: dict[str, int], meta: dict[str, Any]) -> None:
    """Write a probe; `build` are its constructor's arguments."""
    save_weights(path, probe, {**meta, "kind": kind, "build": build})


def probe_files(given: list[str]) -> dict[str, Path]:
    """Name -> file, from folders with `<name>.safetensors` and from `name=file`; what comes later wins.

    ConfigError: an unknown name, no folder, or a probe that every measurement needs is missing.
    """
    found: dict[str, Path] = {}
    for item in given:
        name, equals, file = item.partition("=")
        if equals:
            if name not in PROBES:
                raise ConfigError(f"--probes names the unknown probe {name!r}; known are {', '.join(PROBES)}.")
            found[name] = Path(file)
        elif Path(item).is_dir():
            paths = {name: Path(item) / f"{name}.safetensors" for name in PROBES}
            found |= {name: path for name, path in paths.items() if path.is_file()}
        else:
            raise ConfigError(f"--probes {item} is no folder; give one with <name>.safetensors files, or name=file.")
    for name in NEEDED:
        if name not in found:
            raise ConfigError(
                f"--probes {' '.join(given)} has no {name} probe; train it with "
                f"`python -m evaluation.fits --probe {name}`."
            )
    return found


def load_probe(path: Path | str, kinds: tuple[str, ...]) -> tuple[nn.Module, dict[str, Any]]:
    """A probe in eval mode and its header; DataError if the file is none of the wanted kinds."""
    meta = read_meta(path)
    if meta.get("kind") not in kinds:
        raise DataError(
            f"{path}: holds a probe of kind {meta.get('kind')!r}, but {' or '.join(kinds)} is needed; "
            "train it with `python -m evaluation.fits`."
        )
    # by name, so that training one probe does not depend on the code of the others
    kind = getattr(importlib.import_module(f"evaluation.probes.{meta['kind']}"), KINDS[meta["kind"]])
    try:
        probe = kind(**meta["build"])
    except (KeyError, TypeError) as error:
        raise DataError(
            f"{path}: is a probe of another version, which is built otherwise ({error}); "
            f"train it with `python -m evaluation.fits --probe {meta['kind']}`."
        ) from error
    load_weights(path, probe)
    return probe.eval().requires_grad_(False), meta
