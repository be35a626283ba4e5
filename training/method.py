"""The contract of a method, one row of every table: fit on dialogues, then generate the avatar's video."""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dyads.errors import ConfigError
from dyads.records import ROLES, Dyad
from training.engine.weights import load_weights, read_meta, save_weights
from training.options import options_hash
from training.provenance import content_hash

__all__ = [
    "Method",
    "Resources",
    "Run",
    "load_class",
    "load_method",
    "load_weights",
    "read_meta",
    "save_weights",
]


@dataclass(frozen=True)
class Resources:
    """What a method may read: folders of the stages before it, and where to compute."""

    data: Path  # folder with manifest.csv
    features: Path | None = None  # folder with one safetensors a dyad
    backbones: dict[str, Path] = field(default_factory=dict)  # slot name -> weights
    device: str | None = None  # None: see training.device.pick_device

    def backbone(self, name: str) -> Path:
        """Path of a backbone's weights; ConfigError if it was not given."""
        if name not in self.backbones:
            given = ", ".join(sorted(self.backbones)) or "none"
            raise ConfigError(f"backbone {name!r} is needed but was not given (given: {given}); add it to --backbones.")
        return self.backbones[name]


@dataclass(frozen=True)
class Run:
    """Where one training keeps its state and puts its result."""

    folder: Path  # checkpoints; survives a kill
    seed: int
    out: Path  # the final weights file


class Method(ABC):
    """One row of every table.

    `fit` writes `run.out` (for a method that learns nothing `training.fit` writes an empty weights file),
    `load` reads it, and `generate` may then be called for any dyad, in any order.
    """

    name: str = ""
    absent: str = "no_truth"  # status of a dyad for which `generate` returns None
    clip_frames: int = 0  # frames that are made together, so that borders lie between them; 0: none, or not known

    def __init__(self, options: dict[str, Any], resources: Resources) -> None:
        self.options = options
        self.resources = resources

    @abstractmethod
    def fit(self, dyads: list[Dyad], run: Run) -> None:
        """Train on `dyads` (the training split) and write `run.out`; a no-op for controls."""

    @abstractmethod
    def load(self, weights: Path) -> None:
        """Take over what `fit` wrote."""

    @abstractmethod
    def generate(self, dyad: Dyad, seed: int) -> np.ndarray | Iterator[np.ndarray] | None:
        """The avatar's video, uint8 (T, H, W, 3), as long and large as the dyad's, or stacks of frames that come to it;
        None: it has no answer.
        """

    def identity(self, dyads: list[Dyad]) -> dict[str, Any]:
        """What a training on `dyads` depends on, for `training.engine.loop.train(identity=...)`.

        Options, recordings, features and backbones: a change of any of them starts the training afresh.
        """
        features = self.resources.features
        return {
            "options": self.options,
            "data": options_hash([[d.dyad_id, *(d.side(role).sha256 for role in ROLES)] for d in dyads]),
            "features": content_hash(features / "index.csv") if features else None,
            "backbones": {slot: content_hash(path) for slot, path in self.resources.backbones.items()},
        }

    def card(self) -> dict[str, Any]:
        """What the tables print beside the row: parameters, steps, samples, train seconds."""
        return {"parameters": 0, "steps": 0, "samples": 0, "train_seconds": 0.0}


def load_class(path: str) -> type:
    """The class named `pkg.module:Class`; ConfigError if the text, the module or the class is unknown."""
    module_name, colon, class_name = path.partition(":")
    if not (colon and module_name and class_name.isidentifier()):
        raise ConfigError(f"class {path!r} is not of the form pkg.module:Class.")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = f"module {error.name!r}" if error.name != module_name else "this module"
        raise ConfigError(
            f"class {path!r}: {missing} cannot be found; check the spelling and what is installed."
        ) from error
    found = getattr(module, class_name, None)
    if not isinstance(found, type):
        classes = {name: value for name, value in vars(module).items() if isinstance(value, type)}
        methods = [name for name, value in classes.items() if issubclass(value, Method) and value is not Method]
        known = sorted(methods or (name for name, value in classes.items() if value.__module__ == module_name))
        raise ConfigError(
            f"class {path!r}: {module_name} has no class {class_name!r}; it has {', '.join(known) or 'none'}."
        )
    return found


def load_method(path: str, name: str, options: dict[str, Any], resources: Resources) -> Method:
    """An instance of the method class `pkg.module:Class` under the row name `name`."""
    cls = load_class(path)
    if not issubclass(cls, Method):
        raise ConfigError(f"class {path!r} is not a training.method.Method; let it derive from Method.")
    method = cls(options, resources)
    method.name = name
    return method
