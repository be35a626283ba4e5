"""The checkpoint folder of one training: lock, signature, complete checkpoints and the finished result.

lock                       held with flock while a process trains here
options.json               what is trained (options, identity, seed, stage) and its hash
step-000000500/            state.safetensors + state.json; the two newest are kept
train.jsonl, tensorboard/  what happened
weights.safetensors        the result; complete once finished.json names its sha256
stale-<hash>/              the same, of the last training with other options
"""

import fcntl
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from dyads.errors import DataError
from dyads.files import atomic_path, write_json
from training.engine.weights import write_tensors
from training.errors import TrainingError
from training.options import options_hash, plain

KEEP = 2


def notice(text: str) -> None:
    """Tell the user something once, on stderr."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Hold the folder for this process; the kernel frees it even after SIGKILL.

    Raises:
        TrainingError: another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read().strip() or "unknown"
            raise TrainingError(
                f"{folder} is in use by another process ({owner}); wait until it ends or stop it."
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def prepare(folder: Path, signature: Mapping[str, Any]) -> str:
    """Make the folder ready for the training that `signature` describes and return its hash.

    Leftovers of a killed writer are removed. A training with another signature is moved to `stale-<hash>`,
    so that nothing is ever resumed from it; the last one is kept. If only the code has changed,
    ECHO_ACCEPT_CODE=1 goes on all the same.
    """
    signature = plain(signature)
    digest = options_hash(signature)
    for leftover in folder.glob(".*.partial*"):
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
    found = _read_json(folder / "options.json") or {}
    kept = [path for path in folder.iterdir() if path.name != "lock" and not path.name.startswith("stale-")]
    if kept and found.get("hash") != digest:
        changed = _changed(found, signature)
        if changed == ["code"] and os.environ.get("ECHO_ACCEPT_CODE") == "1":
            notice(f"{folder}: the code has changed; going on as ECHO_ACCEPT_CODE=1 asks.")
        else:
            stale = _move_aside(folder, kept, found.get("hash", "unknown"))
            reason = f"differs in {', '.join(changed)}" if found else "has no options.json"
            notice(f"{folder}: the training there {reason}, so it is moved to {stale.name} and begins afresh.")
    write_json(folder / "options.json", {"hash": digest, **signature})
    return digest


def _move_aside(folder: Path, contents: list[Path], digest: str) -> Path:
    for earlier in folder.glob("stale-*"):
        shutil.rmtree(earlier)
    stale = folder / f"stale-{digest}"
    stale.mkdir()
    for path in sorted(contents, key=lambda path: path.name == "options.json"):  # last, so that a kill is noticed
        os.replace(path, stale / path.name)
    return stale


def _changed(old: Any, new: Any, name: str = "") -> list[str]:
    """Dotted names of the values that differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted((old.keys() | new.keys()) - ({"hash"} if not name else set()))
        return [part for key in keys for part in _changed(old.get(key), new.get(key), f"{name}.{key}".strip("."))]
    return [] if old == new else [name]


def save(folder: Path, step: int, tensors: Mapping[str, Tensor], progress: Mapping[str, Any]) -> None:
    """Write the checkpoint of `step` atomically, then drop all but the newest two."""
    final = folder / _name(step)
    if final.exists():
        shutil.rmtree(final)
    with atomic_path(final) as temporary:
        temporary.mkdir()
        file = temporary / "state.safetensors"
        write_tensors(file, dict(tensors))
        state = {"step": step, "sha256": sha256_file(file), **progress}
        (temporary / "state.json").write_text(json.dumps(state, allow_nan=False), encoding="utf-8")
    for old in steps(folder)[:-KEEP]:
        shutil.rmtree(folder / _name(old))


def steps(folder: Path) -> list[int]:
    """Steps with a checkpoint, ascending."""
    return sorted(int(path.name.removeprefix("step-")) for path in folder.glob("step-*") if path.is_dir())


def load(folder: Path, step: int) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and progress of one checkpoint; DataError if a file is missing or its content has changed."""
    place = folder / _name(step)
    progress = _read_json(place / "state.json")
    if progress is None:
        raise DataError(f"checkpoint {place} has no readable state.json")
    tensors = _load_checked(place / "state.safetensors", progress.get("sha256"))
    return tensors, progress


def newest(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Tensors and progress of the newest sound checkpoint; damaged ones are named and removed."""
    for step in reversed(steps(folder)):
        try:
            return load(folder, step)
        except DataError as error:
            earlier = [other for other in steps(folder) if other < step]
            instead = f"step {earlier[-1]}" if earlier else "the beginning"
            notice(f"{error}: it is dropped and training resumes from {instead}.")
            shutil.rmtree(folder / _name(step))
    return None


def finish(folder: Path, tensors: Mapping[str, Tensor], summary: Mapping[str, Any]) -> None:
    """Write the result and its summary, then drop the checkpoints."""
    path = folder / "weights.safetensors"
    with atomic_path(path) as temporary:
        write_tensors(temporary, dict(tensors))
    write_json(folder / "finished.json", {**summary, "sha256": sha256_file(path)})
    for step in steps(folder):
        shutil.rmtree(folder / _name(step))


def load_finished(folder: Path) -> dict[str, Tensor] | None:
    """The result of a finished training; None if there is none, or (with a notice) if it is damaged."""
    summary = _read_json(folder / "finished.json")
    if summary is None:
        return None
    try:
        return _load_checked(folder / "weights.safetensors", summary.get("sha256"))
    except DataError as error:
        notice(f"{error}: training again.")
        (folder / "finished.json").unlink()
        return None


def read_summary(folder: Path | str) -> dict[str, Any]:
    """Summary of a finished training: steps, samples, parameters_trained, train_seconds and more.

    Raises:
        DataError: the folder holds no finished training.
    """
    summary = _read_json(Path(folder) / "finished.json")
    if summary is None:
        raise DataError(f"{folder} holds no finished training; run the training command again to finish it.")
    return summary


def fingerprint(tensors: Mapping[str, Tensor]) -> str:
    """Sixteen hexadecimal digits of names, shapes and exact values, for example of `module.state_dict()`."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)};".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()[:16]


def sha256_file(path: Path | str) -> str:
    """SHA-256 of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _load_checked(path: Path, sha256: str | None) -> dict[str, Tensor]:
    if not path.exists():
        raise DataError(f"{path} is missing")
    if sha256_file(path) != sha256:
        raise DataError(f"{path} is damaged (its sha256 has changed)")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise DataError(f"{path} is damaged ({error})") from error


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _name(step: int) -> str:
    return f"step-{step:09d}"
