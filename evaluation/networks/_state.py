"""Published weights files: read without running code from them, and fitted to a network or refused in a sentence."""

from pathlib import Path

import torch
from torch import Tensor, nn

from dyads.errors import ConfigError


def read_state(slot: str, path: Path | str, wanted: str) -> dict[str, Tensor]:
    """The state dict in a file of `torch.save`; ConfigError, naming what is `wanted`, if there is none."""
    if not Path(path).is_file():
        raise ConfigError(f"{slot} weights {path} do not exist; give {wanted}.")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises what its unpickler, zipfile or the file system raise
        reason = str(error).splitlines()[0]
        raise ConfigError(f"{slot} weights {path} cannot be read ({reason}); give {wanted}.") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ConfigError(f"{slot} weights {path} hold no named tensors; give {wanted}.")
    return state


def fit_state(
    slot: str, path: Path | str, network: nn.Module, state: dict[str, Tensor], wanted: str, spare: tuple[str, ...] = ()
) -> nn.Module:
    """`network` in eval mode with `state`; ConfigError unless names and shapes agree.

    `spare`: beginnings of names that the file may have beyond the network's.
    """
    own = network.state_dict()
    optional = {name for name in own if name.endswith("num_batches_tracked")}  # old files lack it; nothing reads it
    state = {name: value for name, value in state.items() if name in own or not name.startswith(spare or ("\0",))}
    for problem, names in (("lack", own.keys() - state.keys() - optional), ("have", state.keys() - own.keys())):
        if names:
            unknown = "" if problem == "lack" else ", which the network has not"
            raise ConfigError(f"{slot} weights {path} {problem} {min(names)!r}{unknown}; give {wanted}.")
    for name, value in state.items():
        if value.shape != own[name].shape:
            shapes = f"{tuple(value.shape)} instead of {tuple(own[name].shape)}"
            raise ConfigError(f"{slot} weights {path}: {name!r} has the shape {shapes}; give {wanted}.")
    network.load_state_dict(state, strict=False)
    return network.eval().requires_grad_(False)
