"""Where a result comes from: code, options, versions, machine, weights and time, as JSON beside it."""

import importlib.metadata
import platform
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from dyads.files import write_json
from training.device import cores
from training.engine.checkpoint import sha256_file
from training.machine import machine
from training.options import options_hash, plain
from training.source import PROJECT

PACKAGES = ("torch", "torchvision", "numpy", "scipy", "pandas", "av", "einops", "safetensors", "scikit-image")
IMPORTED = time.monotonic()


def provenance(
    options: Any,
    seed: int | None,
    weights: Mapping[str, Path | str] | None = None,
    *,
    started: float | None = None,
    **extra: Any,
) -> dict[str, Any]:
    """What a reader needs to make a result again; no host name and no user name.

    Args:
        options: resolved options (dataclass or mapping).
        seed: the run's seed; None where there is none.
        weights: name -> file or folder the result depends on; recorded as SHA-256, None where absent.
        started: `time.monotonic()` at the start; default: when this module was imported.
        extra: further JSON values, such as the protocol or the frame count.
    """
    return {
        **git_state(),
        "options": plain(options),
        "options_hash": options_hash(options),
        "seed": seed,
        "weights": {name: content_hash(path) for name, path in (weights or {}).items()},
        "versions": versions(),
        "hardware": hardware(),
        "machine": machine(),
        "wall_seconds": round(time.monotonic() - (IMPORTED if started is None else started), 3),
        **plain(extra),
    }


def write_provenance(
    path: Path | str,
    options: Any,
    seed: int | None,
    weights: Mapping[str, Path | str] | None = None,
    **extra: Any,
) -> None:
    """Write `provenance(...)` as JSON, atomically."""
    write_json(path, provenance(options, seed, weights, **extra))


def git_state() -> dict[str, str | bool | None]:
    """`git_commit`, and `git_dirty`: whether the code differs from it. Both None outside a repository."""
    if _git("ls-files", "--error-unmatch", "training/provenance.py") is None:  # absent, or not our repository
        return {"git_commit": None, "git_dirty": None}
    commit, changes = _git("rev-parse", "HEAD"), _git("status", "--porcelain")
    return {"git_commit": commit, "git_dirty": None if changes is None else bool(changes)}


def versions() -> dict[str, str | None]:
    """Versions of Python and of the packages that decide numbers; None where not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = None
    return found


def hardware() -> dict[str, Any]:
    """CPU model, usable cores, torch threads and GPU names."""
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {"cpu": _cpu_model(), "cores": cores(), "threads": torch.get_num_threads(), "gpus": gpus}


def content_hash(path: Path | str) -> str | None:
    """SHA-256 of a file, or of the names and contents of a folder's files; None if there is neither.

    A folder of one file a dialogue is known by its index.csv, where that lists every file's SHA-256.
    """
    path = Path(path)
    if path.is_file():
        return sha256_file(path)
    if not path.is_dir():
        return None
    index = path / "index.csv"
    if index.is_file():
        with open(index, encoding="utf-8") as file:
            if "sha256" in file.readline().strip().split(","):
                return sha256_file(index)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return options_hash({str(file.relative_to(path)): sha256_file(file) for file in files})


def _git(*arguments: str) -> str | None:
    try:
        command = ["git", "-C", str(PROJECT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
