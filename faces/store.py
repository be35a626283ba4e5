"""A track on disk: written in blocks while a recording is read, read back without loading its points.

One safetensors file with the points last; they are mapped, not read, so an hour of faces costs no memory.
"""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dyads.errors import DataError
from dyads.files import atomic_path
from faces.finding.models import POINTS

BLOCK = 256  # frames held before they go to disk
KINDS = {"F32": np.dtype("<f4"), "BOOL": np.dtype("?"), "I32": np.dtype("<i4")}
COPY = 1 << 22  # bytes


class Points:
    """Points (N, 468, 3) float32 that are appended to a file without a name, and mapped when all are there."""

    def __init__(self) -> None:
        self.file = tempfile.TemporaryFile()
        self.block = np.empty((BLOCK, POINTS, 3), "<f4")  # one block: small arrays kept a frame split the heap
        self.count = 0

    def add(self, points: np.ndarray | None) -> None:
        """One frame's points; None where there are none."""
        self.block[self.count % BLOCK] = np.nan if points is None else points
        self.count += 1
        if self.count % BLOCK == 0:
            self.file.write(self.block.data)

    def mapped(self) -> np.ndarray:
        """All of them, float32 (N, 468, 3), read-only."""
        self.file.write(self.block[: self.count % BLOCK].data)
        self.file.flush()
        if not self.count:
            return np.empty((0, POINTS, 3), np.float32)
        return np.memmap(self.file, "<f4", "r", shape=(self.count, POINTS, 3))


def save(path: Path, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
    """Write arrays of float32, int32 or bool and JSON `meta` as safetensors, in blocks, atomically."""
    codes = {kind: code for code, kind in KINDS.items()}
    header: dict[str, Any] = {"__metadata__": {"meta": json.dumps(meta, sort_keys=True, allow_nan=False)}}
    start = 0
    for name, array in arrays.items():
        header[name] = {
            "dtype": codes[array.dtype.newbyteorder("<")],
            "shape": list(array.shape),
            "data_offsets": [start, start + array.nbytes],
        }
        start += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for array in arrays.values():
            rows = max(1, COPY // max(1, array[:1].nbytes))
            for first in range(0, len(array), rows):
                file.write(np.ascontiguousarray(array[first : first + rows]).data)


def load(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays of `save`, mapped, and its metadata; DataError for a file that is damaged or of another kind."""
    try:
        size = path.stat().st_size
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 0 < length <= size - 8:
                raise ValueError("its header is cut off")
            header = json.loads(file.read(length))
        meta = json.loads(header.pop("__metadata__")["meta"])
        arrays = {}
        for name, entry in header.items():
            kind, shape, (first, last) = KINDS[entry["dtype"]], tuple(entry["shape"]), entry["data_offsets"]
            if last - first != kind.itemsize * int(np.prod(shape)) or 8 + length + last > size:
                raise ValueError(f"{name} is cut off")
            empty = last == first
            arrays[name] = np.empty(shape, kind) if empty else np.memmap(path, kind, "r", 8 + length + first, shape)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: is no track of a face ({error}); delete it and read the video again.") from error
    return arrays, meta
