"""Writing files so that a final name always means a complete file."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`, same suffix; moved onto it on success, removed on failure."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)  # a write does not know whose it is
        raise
    finally:
        with suppress(OSError):  # a full or read-only disk: the first cause is what counts
            if temporary.is_dir():
                shutil.rmtree(temporary)
            else:
                temporary.unlink(missing_ok=True)


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8 `text` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path | str, value: Any) -> None:
    """Write `value` as indented JSON atomically; NaN is refused, because JSON has none."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def write_arrays(path: Path | str, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any] | None = None) -> None:
    """Write arrays as safetensors, and `meta` as JSON in its header, atomically.

    Views are copied first: safetensors 0.8.0 writes a transposed or strided array in its memory's order.
    """
    header = None if meta is None else {"meta": json.dumps(meta)}
    with atomic_path(path) as temporary:
        save_file({key: np.ascontiguousarray(value) for key, value in arrays.items()}, temporary, header)
