"""The adapters of data sets by kind, and what a folder is refused for."""

import importlib
from pathlib import Path
from types import ModuleType

from dyads.errors import ConfigError, DataError
from dyads.layouts.recognise import KINDS, recognised

LISTED = "folder"  # its pairs are listed by the user, see dyads.adapters.folder


def module_of(kind: str) -> ModuleType:
    """The adapter of a kind: `OPTIONS`, a dataclass, and `pairs(root, options)`, which gives pairs, what is left out
    with the reason, and remarks. `ConfigError` for an unknown one."""
    if kind not in KINDS:
        raise ConfigError(f"there is no data set {kind!r}; use one of {', '.join((LISTED, *KINDS))}.")
    return importlib.import_module(f"dyads.adapters.{kind}")


def refuse_another(root: Path, kind: str) -> None:
    """`DataError` where a folder is another data set's tree, or an adapted folder."""
    if (root / "manifest.csv").is_file() and kind != "realtalk":
        raise DataError(f"{root}: this is a data folder that was adapted already; give the recordings' folder.")
    others = recognised(root)
    if others and kind not in others:
        raise DataError(
            f"{root}: this looks like {others[0]}, not {kind}; write `kind: {others[0]}` or give another root."
        )
