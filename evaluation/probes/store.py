"""Probe files: safetensors whose header says what the probe is, what it was trained on and how well it reads."""

from pathlib import Path
from typing import Any

from torch import nn

from dyads.errors import DataError
from evaluation.probes.image import ImageProbe
from evaluation.probes.motion import MotionProbe
from evaluation.probes.pca import PcaProbe
from training.weights import load_weights, read_meta, save_weights

KINDS = {"motion": MotionProbe, "pca": PcaProbe, "image": ImageProbe}


def save_probe(path: Path | str, probe: nn.Module, kind: str, build: dict[str, int], meta: dict[str, Any]) -> None:
    """Write a probe; `build` are its constructor's arguments."""
    save_weights(path, probe, {**meta, "kind": kind, "build": build})


def load_probe(path: Path | str, kinds: tuple[str, ...]) -> tuple[nn.Module, dict[str, Any]]:
    """A probe in eval mode and its header; DataError if the file is none of the wanted kinds."""
    meta = read_meta(path)
    if meta.get("kind") not in kinds:
        raise DataError(
            f"{path}: holds a probe of kind {meta.get('kind')!r}, but {' or '.join(kinds)} is needed; "
            "train it with `python -m evaluation.train_probes`."
        )
    probe = KINDS[meta["kind"]](**meta["build"])
    load_weights(path, probe)
    return probe.eval().requires_grad_(False), meta
