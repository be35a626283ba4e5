"""Training on from the weights that come with the package."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from dyads.errors import ConfigError
from training.engine.weights import copy_state, read_tensors
from training.shipped import shipped


def require_sizes(asked: Mapping[str, Any], sizes: Mapping[str, Any], section: str, name: str, start: str) -> None:
    """ConfigError where `section` asks for a size that the shipped `name` of `sizes` does not have; `start`: the option
    that names it."""
    for key, wanted in asked.items():
        if key in sizes and wanted != sizes[key]:
            raise ConfigError(
                f"{section}.{key} is {wanted!r}, but the shipped {name}, which {start} names, has {sizes[key]!r}; "
                f"leave it out, or give {start}: null."
            )


def start_from_shipped(network: nn.Module, name: str, anew: tuple[str, ...], start: str) -> None:
    """Give `network` the shipped weights of `name`, but for tensors whose names begin with one of `anew`: they tell
    people or coefficients, which are another data set's.

    Raises:
        MethodError: sizes differ from the shipped ones.
    """
    given, own = (
        {key: value for key, value in state.items() if not key.startswith(anew)}
        for state in (read_tensors(shipped(name)), network.state_dict())
    )
    copy_state(given, own, f"{start}: the shipped {name}")
