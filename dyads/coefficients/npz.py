"""Reading .npz files of others: plain arrays of the expected kind alone; a pickle inside is refused."""

import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from dyads.errors import DataError

# of a damaged, cut, encrypted or unknown archive
FAULTS = (OSError, EOFError, zipfile.BadZipFile, zlib.error, ValueError, RuntimeError, MemoryError)


def load_npz(path: Path | str, needed: Iterable[str], optional: Iterable[str] = ()) -> dict[str, np.ndarray]:
    """The arrays `needed` and, where they are there, `optional`. DataError for anything else that is wrong."""
    path = Path(path)
    try:
        file = np.load(path, allow_pickle=False)
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise DataError(f"{path} is a single array, not an .npz of named ones; save it with numpy.savez.")
        with file:
            missing = [key for key in needed if key not in file.files]
            if missing:
                raise DataError(
                    f"{path} has no array {', '.join(missing)}, only {', '.join(file.files) or 'none'}; write the "
                    "keys that the documentation names."
                )
            return {key: _array(path, file, key) for key in (*needed, *optional) if key in file.files}
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing; restore it or leave its dialogue out.") from error
    except FAULTS as error:
        if "pickle" in str(error):  # what numpy calls every file that is neither .npz nor .npy
            if _is_pickle(path):
                raise DataError(
                    f"{path} is a pickle, which could run code and is not read; save plain arrays with numpy.savez."
                ) from error
            raise DataError(f"{path} is no .npz file; save named arrays with numpy.savez.") from error
        raise DataError(f"{path} cannot be read as .npz ({error}); restore the file.") from error


def _is_pickle(path: Path) -> bool:
    """Whether a file is an .npy of objects or begins as pickles of protocol 2 and later do."""
    with open(path, "rb") as file:
        start = file.read(6)
    return start == b"\x93NUMPY" or (start[:1] == b"\x80" and start[1:2] in (b"\2", b"\3", b"\4", b"\5"))


def _array(path: Path, file, key: str) -> np.ndarray:
    try:
        return file[key]
    except ValueError as error:
        if "allow_pickle" in str(error):
            raise DataError(
                f"{path} holds a pickled object under {key!r}, which could run code and is not read; save plain arrays."
            ) from error
        raise


def number(path: Path, arrays: dict[str, np.ndarray], key: str) -> float:
    """A single finite number above 0. DataError otherwise."""
    array = np.asarray(arrays[key])
    if array.size != 1 or array.dtype.kind not in "iuf" or not np.isfinite(float(array.reshape(()))):
        raise DataError(f"{path}: {key} is no single finite number (shape {array.shape}, {array.dtype}); write one.")
    value = float(array.reshape(()))
    if value <= 0:
        raise DataError(f"{path}: {key} is {value:g}, but must be above 0.")
    return value


def matrix(path: Path, arrays: dict[str, np.ndarray], key: str, frames: int, *shape: int) -> np.ndarray:
    """The first `frames` rows of an array (>= frames, *shape) of real numbers, each -1 in `shape` of any size."""
    array = arrays[key]
    fits = array.ndim == len(shape) + 1 and all(w in (-1, s) for w, s in zip(shape, array.shape[1:], strict=True))
    if not fits or array.dtype.kind not in "iufb":
        wanted = ("frames", *("any" if s == -1 else str(s) for s in shape))
        raise DataError(
            f"{path}: {key} has shape {array.shape} ({array.dtype}), not ({', '.join(wanted)}) of numbers; "
            "save it in that shape."
        )
    if len(array) < frames:
        raise DataError(f"{path}: {key} has {len(array)} frames where {frames} are promised; extract it again.")
    return array[:frames]


def narrowed(path: Path, key: str, values: np.ndarray, kind: type) -> np.ndarray:
    """`values` as floats of `kind`. DataError: a finite one is too large for it."""
    with np.errstate(over="ignore"):
        made = values.astype(kind)
    lost = np.isinf(made) & np.isfinite(values)
    if lost.any():
        raise DataError(
            f"{path}: {key} reaches {np.abs(values[lost]).max():.3g}, more than {np.dtype(kind)} holds; scale it down."
        )
    return made
