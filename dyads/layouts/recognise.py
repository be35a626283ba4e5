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


def realtalk(root: Path) -> bool:
    """RealTalk with its users' own list: realtalk.csv."""
    return (root / "realtalk.csv").is_file()


def vico(root: Path) -> bool:
    """ViCo: RLD_data.csv, or the challenge's listening_head/ with videos/ and train.csv."""
    folders = (root, root / "listening_head")
    return any(
        (f / "RLD_data.csv").is_file() or ((f / "videos").is_dir() and (f / "train.csv").is_file()) for f in folders
    )


def hdtf(root: Path) -> bool:
    """HDTF: HDTF_dataset/{RD,WDA,WRA}_*.txt."""
    return any(
        (f / f"{part}_video_url.txt").is_file() for f in (root, root / "HDTF_dataset") for part in ("RD", "WDA", "WRA")
    )


KINDS: dict[str, Callable[[Path], bool]] = {"seamless": seamless, "realtalk": realtalk, "vico": vico, "hdtf": hdtf}


def recognised(root: Path) -> list[str]:
    """The kinds whose layout a folder has."""
    return [kind for kind, looks_like_it in KINDS.items() if root.is_dir() and looks_like_it(root)]
