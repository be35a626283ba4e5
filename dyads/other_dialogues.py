"""Another dialogue of the same split, for controls and swap tests: which one, and its frames at this one's length."""

from functools import lru_cache
from pathlib import Path

import numpy as np

from dyads.contract import Dyad, read_manifest
from dyads.seeding import rng

SWAP = "swap"  # stage of the swap tests: a model and its control meet the same other dialogue


def other_dyad(data: Path, dyad: Dyad, seed: int, stage: str) -> Dyad | None:
    """A dialogue of `dyad`'s split, never itself, drawn by (seed, stage, dialogue); None where it is the only one."""
    others = [one for one in _of_split(data, dyad.split) if one.dyad_id != dyad.dyad_id]
    return others[int(rng(seed, stage, dyad.dyad_id).integers(len(others)))] if others else None


def _of_split(data: Path, split: str) -> list[Dyad]:
    """The split's dialogues, read once for as long as the manifest stays the same: every dialogue asks for them."""
    stat = (data / "manifest.csv").stat()
    return _read(data, split, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=2)
def _read(data: Path, split: str, changed: int, size: int) -> list[Dyad]:
    return read_manifest(data, split)


def mirrored(frames: int, wanted: int) -> np.ndarray:
    """Indices (wanted,) into `frames` frames: cut, or running back and forth in time where there are too few."""
    place = np.arange(wanted) % (2 * frames)
    return np.where(place < frames, place, 2 * frames - 1 - place)
