"""The readings of a row's shards as one: clips that are read when asked for, and one file made of several."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from dyads.errors import DataError
from dyads.files import atomic_path
from evaluation.clips import Clip
from evaluation.readings.stored import read_meta, restored_clips

CHUNK = 2**22  # bytes
# How safetensors orders tensors: by type, the last of these first, then by name.
TYPES = "BOOL U8 I8 F8_E5M2 F8_E4M3 I16 U16 F16 BF16 I32 U32 F32 F64 I64 U64".split()


class JoinedClips:
    """The clips of several readings files, in their order; one is in memory at a time.

    `statuses`: those of all of them.
    """

    def __init__(self, parts: Sequence[Path], whole: dict[str, Any]) -> None:
        self.parts, self.whole = parts, whole
        self.statuses = tuple(status for _, _, status in whole["clips"])

    def __len__(self) -> int:
        return len(self.statuses)

    def __iter__(self) -> Iterator[Clip]:
        for part in self.parts:
            yield from restored_clips(part, self.whole)


def join_meta(parts: Sequence[Path]) -> dict[str, Any]:
    """One header of several readings files'. DataError: one is of another row or probe than the first."""
    whole: dict[str, Any] = {}
    for path in parts:
        meta = read_meta(path)
        if not whole:
            whole = dict(meta)
            continue
        if (meta["method"], meta["seed"], meta["names"]) != (whole["method"], whole["seed"], whole["names"]):
            raise DataError(f"{path} is of another row or probe than {parts[0]}; measure its shards again.")
        datasets = {name for name in f"{whole['dataset']},{meta['dataset']}".split(",") if name}
        whole["dataset"] = ",".join(sorted(datasets))
        whole["clips"] += meta["clips"]
        for key, value in meta.items():
            if isinstance(value, dict):  # by dialogue, such as who is in it
                whole[key] = {**whole.get(key, {}), **value}
            elif not whole.get(key):  # a shard without truth, or without a dialogue, does not know it
                whole[key] = value
    return whole


def join_files(parts: Sequence[Path], out: Path, meta: dict[str, Any]) -> None:
    """Write the tensors of safetensors files as one, as `save_file` would write all of them, but never hold them.

    DataError: two files have a tensor of the same name.
    """
    places: dict[str, tuple[Path, int, dict[str, Any]]] = {}
    for path in parts:
        with open(path, "rb") as file:
            start, header = _header(file)
        header.pop("__metadata__", None)
        if twice := sorted(set(places) & set(header)):
            raise DataError(f"{path} has {twice[0]}, which an earlier shard has too; make the shards again.")
        places |= {name: (path, start, entry) for name, entry in header.items()}
    order = sorted(places, key=lambda name: (-TYPES.index(places[name][2]["dtype"]), name))
    header, offset = {"__metadata__": {"meta": json.dumps(meta)}}, 0
    for name in order:
        entry = places[name][2]
        size = entry["data_offsets"][1] - entry["data_offsets"][0]
        header[name] = {"dtype": entry["dtype"], "shape": entry["shape"], "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    with atomic_path(out) as temporary, open(temporary, "wb") as made:
        made.write(len(text).to_bytes(8, "little") + text)
        for name in order:
            path, start, entry = places[name]
            _copy(path, made, start + entry["data_offsets"][0], start + entry["data_offsets"][1])


def _header(file: BinaryIO) -> tuple[int, dict[str, Any]]:
    """Where a safetensors file's data begins, and its header."""
    size = int.from_bytes(file.read(8), "little")
    return 8 + size, json.loads(file.read(size))


def _copy(path: Path, target: BinaryIO, start: int, stop: int) -> None:
    with open(path, "rb") as source:
        source.seek(start)
        for begin in range(start, stop, CHUNK):
            target.write(source.read(min(CHUNK, stop - begin)))
