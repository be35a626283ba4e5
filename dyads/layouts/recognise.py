"""Which data set a folder looks like, by names of files and folders alone."""

from collections.abc import Callable
from pathlib import Path


def seamless(root: Path) -> bool:
    """Seamless Interaction: <improvised|naturalistic>/<train|dev|test>/."""
    return any(
        (root / label / split).is_dir()
        for label in ("improvised", "naturalistic")
        for split in ("train", "dev", "test")
    )


KINDS: dict[str, Callable[[Path], bool]] = {"seamless": seamless}


def recognised(root: Path) -> list[str]:
    """The kinds whose layout a folder has."""
    return [kind for kind, looks_like_it in KINDS.items() if root.is_dir() and looks_like_it(root)]
