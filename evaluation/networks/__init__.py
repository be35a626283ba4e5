"""Reference networks by slot: every file here loads one from a local path and knows the published weights file."""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from torch import nn

from dyads.errors import ConfigError


@dataclass(frozen=True)
class Network:
    """A slot of `weights` in the configuration, what loads it, and the facts of the published file.

    `sha256`: as far as it is published: all 64 digits, the leading ones, or leading and last ones with `…` between;
    empty where nobody publishes any. `megabytes`: 10^6 bytes, as its tensors take. `url` empty: no direct address, see
    `page`.
    """

    slot: str
    load: Callable[[Path], Any]
    file: str
    page: str
    licence: str
    megabytes: float
    url: str = ""
    sha256: str = ""


@cache
def networks() -> dict[str, Network]:
    """All of them by slot: `NETWORK` of every file in this package."""
    found = {}
    for info in sorted(pkgutil.iter_modules(__path__), key=lambda info: info.name):
        network = getattr(importlib.import_module(f"{__name__}.{info.name}"), "NETWORK", None)
        if network is not None:
            found[network.slot] = network
    return found


def known(slot: str) -> Network:
    """The network of a slot; ConfigError if there is none of that name."""
    if slot not in networks():
        raise ConfigError(f"weights has the unknown key {slot!r}; known are {', '.join(networks())}.")
    return networks()[slot]


def load_networks(weights: dict[str, Path | str], device: Any) -> dict[str, Any]:
    """Every network that `weights` (slot -> file) names, on `device`. ConfigError: unknown slot or unfit file."""
    loaded = {slot: known(slot).load(Path(path)) for slot, path in weights.items()}
    return {slot: net.to(device) if isinstance(net, nn.Module) else net for slot, net in loaded.items()}
