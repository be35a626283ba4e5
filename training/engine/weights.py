"""Weights as safetensors files: written atomically, and loaded only where names and shapes agree."""

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from dyads.files import atomic_path
from training.device import is_main_process
from training.engine.sharding import own, part_of
from training.errors import MethodError


def save_weights(path: Path | str, module: nn.Module, meta: dict[str, Any] | None = None) -> None:
    """Write a module's state as safetensors, atomically; `meta` goes into the header as JSON. Rank 0 only."""
    if not is_main_process():
        return
    tensors, seen = {}, set()
    for name, tensor in module.state_dict().items():
        tensor = tensor.detach().cpu().contiguous()
        pointer = tensor.untyped_storage().data_ptr()
        tensors[name] = tensor.clone() if pointer in seen else tensor  # safetensors refuses shared memory
        seen.add(pointer)
    header = {"meta": json.dumps(meta or {}, sort_keys=True, allow_nan=False)}
    with atomic_path(path) as temporary:
        write_tensors(temporary, tensors, header)


def save_tensors(path: Path | str, tensors: dict[str, torch.Tensor], meta: dict[str, Any] | None = None) -> None:
    """`save_weights` of chosen tensors: of a large frozen model only what was trained. Rank 0 only."""
    if not is_main_process():
        return
    header = {"meta": json.dumps(meta or {}, sort_keys=True, allow_nan=False)}
    with atomic_path(path) as temporary:
        write_tensors(temporary, tensors, header)


def read_tensors(path: Path | str) -> dict[str, torch.Tensor]:
    """Everything in a weights file; MethodError if it cannot be read."""
    read_meta(path)
    with safe_open(str(path), "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}


def write_tensors(path: Path, tensors: dict[str, torch.Tensor], header: dict[str, str] | None = None) -> None:
    """A safetensors file with the permissions of any other (safetensors itself makes it private)."""
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, path, metadata=header)
    mask = os.umask(0o077)
    os.umask(mask)
    path.chmod(0o666 & ~mask)


def read_meta(path: Path | str) -> dict[str, Any]:
    """The `meta` given to `save_weights`; MethodError if the file cannot be read."""
    try:
        with safe_open(str(path), "pt") as file:
            return json.loads((file.metadata() or {}).get("meta", "{}"))
    except (OSError, SafetensorError, ValueError) as error:
        raise MethodError(_unreadable(path, error)) from error


def read_options(path: Path | str, key: str = "options") -> Any:
    """What a weights file says of how its network is built; MethodError where it says nothing."""
    meta = read_meta(path)
    if key not in meta:
        raise MethodError(
            f"weights file {path} does not say how its network is built (no {key!r} in its header): it is of another "
            "program or version; train it again."
        )
    return meta[key]


def load_weights(path: Path | str, module: nn.Module) -> dict[str, Any]:
    """Load what `save_weights` wrote into `module` and return its `meta`.

    Raises:
        MethodError: the file is absent or damaged, or a tensor is missing, unexpected or of another shape.
    """
    meta, tensors = read_meta(path), read_tensors(path)
    copy_state(tensors, module.state_dict(), f"weights file {path}")
    return meta


def copy_state(tensors: dict[str, torch.Tensor], target: dict[str, torch.Tensor], where: str) -> None:
    """Copy `tensors` into `target` in place, after checking that names and shapes agree."""
    remedy = "it was made with other options or another version: train again"
    for problem, names in (
        ("lacks", target.keys() - tensors.keys()),
        ("has an unknown", tensors.keys() - target.keys()),
    ):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise MethodError(f"{where} {problem} tensor {min(names)!r}{more}; {remedy}.")
    for name, wanted in target.items():
        if tensors[name].shape != wanted.shape:
            shapes = f"{tuple(tensors[name].shape)}, but the module needs {tuple(wanted.shape)}"
            raise MethodError(f"{where}: tensor {name!r} has shape {shapes}; {remedy}.")
        if tensors[name].is_floating_point() != wanted.is_floating_point():
            kinds = f"{tensors[name].dtype}, but the module needs {wanted.dtype}"
            raise MethodError(f"{where}: tensor {name!r} holds {kinds}; {remedy}.")
        if wanted.is_floating_point() and not torch.isfinite(tensors[name]).all():
            raise MethodError(
                f"{where}: tensor {name!r} holds numbers that are not finite (NaN or infinity), which would make "
                "black videos; train again, or take another copy of the file."
            )
    with torch.no_grad():
        for name, tensor in tensors.items():
            own(target[name]).copy_(own(part_of(tensor, target[name])))


def _unreadable(path: Path | str, error: Exception) -> str:
    if not Path(path).exists():
        return f"weights file {path} does not exist; train first (python -m training.fit)."
    return f"weights file {path} cannot be read ({error}); delete it and train again."
