"""Weights that come with the package: frozen backbones and readers, each with a card of its making and its quality.

`backbones/` has what generates (autoencoder, renderer, Phi), `readers/` what measures (the probes). Each of the two was
trained on people and dialogues of its own, none of them a study's; `make backbones` trains them again.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dyads.errors import DataError

RECORD = Path("backbones/vae.json")  # in a run's folder: where its backbones are from
HERE = Path(__file__).parent
BACKBONES = ("vae", "renderer", "phi")
READERS = ("motion", "image", "identity", "video", "sync")
FOLDERS = dict.fromkeys(BACKBONES, "backbones") | dict.fromkeys(READERS, "readers")
MOST_BYTES = 12_000_000  # of all files together


def shipped(name: str) -> Path:
    """The weights file of a backbone or reader, `name` one of `FOLDERS`."""
    return HERE / FOLDERS[name] / f"{name}.safetensors"


def card_of(name: str) -> dict[str, Any]:
    """What made a shipped file, and how good it is; DataError if the card cannot be read."""
    path = shipped(name).with_suffix(".json")
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: the card cannot be read ({error}); install the package again.") from error


def require_one_kind(runs: Sequence[Path]) -> None:
    """DataError where one run took shipped backbones and another trained its own, by their records.

    Those differ in more than luck: in people, in steps, and in who measured.
    """
    known = [run for run in runs if (run / RECORD).is_file()]
    ready = [run for run in known if shipped_set(run / RECORD)]
    own = [run for run in known if run not in ready]
    if ready and own:
        raise DataError(
            f"{ready[0]} stands on the shipped backbones and {own[0]} on ones of its own, so they are no replicates of "
            "each other; make all of them with --config backbones=train replicate=<k>."
        )


def shipped_set(record: Path) -> str:
    """The set of shipped files that a study took its backbones from, by its record (vae.json); '' if from none."""
    said = _said(record) or {}
    return str(said["set"]) if said.get("shipped") else ""


def given(record: Path) -> str:
    """Which backbones a study stands on, in words, from the record beside one of them (vae.json); '' where unknown."""
    if (said := _said(record)) is None:
        return ""
    return f"shipped with the package, set {said['set']}" if said.get("shipped") else "trained in this study"


def _said(record: Path) -> dict[str, Any] | None:
    """A record, which is provenance and no input: None, and nothing said of it, where there is none to read."""
    try:
        said = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return said if isinstance(said, dict) else None


def set_hash() -> str:
    """Twelve hexadecimal digits that name the set of all shipped files, from their cards."""
    lines = [f"{name} {card_of(name)['sha256']}" for name in FOLDERS]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]
