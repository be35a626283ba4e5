"""Feature files: one safetensors per dyad with JSON metadata; wrong shapes and NaN are refused.

A shape pattern is a string such as `"T 8 8 4"` (or a tuple): numbers must match, names must agree across
the tensors of one file, `_` matches anything and `...` any number of leading dimensions.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from dyads.errors import DataError
from dyads.files import atomic_path

Pattern = str | tuple[int | str, ...]


def tensor_fault(tensor: Any) -> str | None:
    """What is wrong with a tensor's kind or values, None where it is sound."""
    if not isinstance(tensor, Tensor):
        return f"is a {type(tensor).__name__}, not a tensor"
    if (tensor.is_floating_point() or tensor.is_complex()) and not bool(torch.isfinite(tensor).all()):
        bad = int((~torch.isfinite(tensor)).sum())
        return f"holds {bad} NaN or infinite values of {tensor.numel()}"
    return None


def shape_fault(shape: tuple[int, ...], pattern: Pattern, bound: dict[str, int]) -> str | None:
    """How `shape` breaks `pattern`, None where it fits; names met for the first time are added to `bound`."""
    parts = pattern.split() if isinstance(pattern, str) else [str(part) for part in pattern]
    shape = tuple(shape)
    wanted = " ".join(f"{part}={bound[part]}" if part in bound else part for part in parts)
    if parts and parts[0] == "...":
        parts = parts[1:]
        tail = shape[len(shape) - len(parts) :] if len(shape) >= len(parts) else None
    else:
        tail = shape if len(shape) == len(parts) else None
    fits = tail is not None and all(
        part == "_" or (size == int(part) if part.isdigit() else bound.setdefault(part, size) == size)
        for part, size in zip(parts, tail, strict=True)
    )
    return None if fits else f"has shape {shape}, ({wanted}) is wanted"


def write_features(path: Path | str, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
    """Write named tensors and JSON `meta` atomically; NaN, infinity, no tensors or unserialisable meta are
    refused.
    """
    if not tensors:
        raise DataError(f"{path}: there are no tensors to write; give at least one.")
    for name, tensor in tensors.items():
        fault = tensor_fault(tensor)
        if fault:
            raise DataError(f"{path}: tensor {name!r} {fault}; repair the encoder that made it.")
    try:
        text = json.dumps(meta, sort_keys=True, allow_nan=False, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise DataError(f"{path}: the metadata is no JSON ({error}); use plain finite values.") from error
    stored = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    with atomic_path(path) as temporary:
        save_file(stored, temporary, metadata={"meta": text})


def read_features(
    path: Path | str, expect: Mapping[str, Pattern] | None = None
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """All tensors (CPU) and the metadata of a feature file, checked for finite values and `expect`ed shapes.

    Raises `DataError` naming the file and the tensor: unreadable file, missing tensor, NaN, wrong shape.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: there is no such feature file; extract the features first.")
    try:
        with safe_open(path, framework="pt") as handle:
            meta = json.loads((handle.metadata() or {}).get("meta", "{}"))
            tensors = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118
    except (SafetensorError, ValueError, OSError) as error:
        raise DataError(f"{path}: not a readable feature file ({error}); delete it and extract again.") from error
    bound: dict[str, int] = {}
    for name, pattern in (expect or {}).items():
        if name not in tensors:
            held = ", ".join(sorted(tensors)) or "nothing"
            raise DataError(f"{path}: tensor {name!r} is missing (it holds {held}); delete it and extract again.")
        fault = shape_fault(tuple(tensors[name].shape), pattern, bound)
        if fault:
            raise DataError(f"{path}: tensor {name!r} {fault}; delete the file and extract again.")
    for name, tensor in tensors.items():
        fault = tensor_fault(tensor)
        if fault:
            raise DataError(f"{path}: tensor {name!r} {fault}; delete the file and extract again.")
    return tensors, meta
