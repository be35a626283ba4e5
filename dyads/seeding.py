"""Random generators addressed by (seed, stage, position), so that randomness never depends on history."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def derive(seed: int, stage: str, *position: int | str) -> int:
    """A 63-bit integer that depends on every part of the address and on nothing else."""
    digest = hashlib.sha256(repr((int(seed), stage, position)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def rng(seed: int, stage: str, *position: int | str) -> np.random.Generator:
    """A NumPy generator for one place in the run."""
    return np.random.Generator(np.random.PCG64(derive(seed, stage, *position)))


def torch_generator(seed: int, stage: str, *position: int | str) -> torch.Generator:
    """A CPU torch generator for one place in the run; draw on the CPU and move, so that devices agree."""
    import torch  # seconds to import, and most commands of this package never need it

    return torch.Generator().manual_seed(derive(seed, stage, *position))
