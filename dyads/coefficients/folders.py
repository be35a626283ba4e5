"""Folders of coefficients as others hand them in: what is missing as a whole is told once, not for each dialogue."""

import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from dyads.coefficients.encoders import READERS, SPLIT
from dyads.coefficients.npz import FAULTS
from dyads.errors import DataError

NAMES = """--options '{"systems": [...]}' or, in a study, by the profile's dataset.systems"""


def check_corpus(root: Path, systems: Iterable[str], layer: str) -> None:
    """DataError: a folder of SI-184 that is missing or holds no file, a layer of HuBERT that no file has."""
    for system in ("GT", *systems):
        if system == "GT":
            wanted, remedy = (*READERS, "hubert", "vad"), "it holds the true people, so fetch it (docs/si184.md)"
        else:
            wanted, remedy = tuple(READERS), f"fetch it, or name the systems you have by {NAMES}"
        if not (root / system).is_dir():
            raise DataError(f"{root / system} is no folder; {remedy}.")
        for name in wanted:
            folder = root / system / f"{SPLIT}_{name}"
            if not folder.is_dir():
                raise DataError(f"{root / system} has no folder {folder.name}; {remedy}.")
            if not _filled(folder):
                raise DataError(f"{folder} holds no .npz; {remedy}.")
    known: dict[str, None] = {}
    for path in sorted((root / "GT" / f"{SPLIT}_hubert").glob("*.npz")):
        known |= dict.fromkeys(_keys(path))
        if layer in known:
            return
    found = [key for key in known if key not in ("fps", "layers")]
    if found:  # otherwise no file can be read, and each tells why
        raise DataError(
            f"{root / 'GT' / f'{SPLIT}_hubert'} has no layer {layer}, only {', '.join(found)}; name one of these by "
            """--options '{"layer": ...}' or, in a study, by the profile's dataset.options."""
        )


def own_systems(root: Path, named: Sequence[str]) -> tuple[str, ...]:
    """Folders of `systems`, those `named` or all. DataError: none, one that is missing or empty, or no people."""
    if not _filled(root / "people"):
        what = "holds no .npz" if (root / "people").is_dir() else "is no folder"
        raise DataError(f"{root / 'people'} {what}; save each true person's <avatar or user>.npz there.")
    place = root / "systems"
    found = sorted(path.name for path in place.glob("[!.]*") if path.is_dir())
    if not found:
        raise DataError(f"{place} holds no folder; give one for each system that is to be measured.")
    for name in named or found:
        if name not in found:
            raise DataError(
                f"{place / name} is no folder; {place} has {', '.join(found)}: name systems of these by {NAMES}."
            )
        if not _filled(place / name):
            raise DataError(
                f"{place / name} holds no .npz; save the system's <dyad_id>.npz there, or remove the folder and its "
                f"name from {NAMES.replace(' by ', ' ')}."
            )
    return tuple(named or found)


def _filled(folder: Path) -> bool:
    return next(folder.glob("*.npz"), None) is not None


def _keys(path: Path) -> list[str]:
    """Names of the arrays of an .npz; none of a file that cannot be read."""
    try:
        with zipfile.ZipFile(path) as file:
            return [name.removesuffix(".npy") for name in file.namelist()]
    except FAULTS:
        return []
