"""Coefficients that another extractor found (EMOCA, FLAME, DECA, Deep3DFaceRecon ...), one file a video.

Layout of a `.npz` or `.safetensors` file, one row a frame at 25 frames a second:
- `values` float (T, K), and `names`, K strings: in a .npz an array of text, in .safetensors JSON text under the
  metadata key `names`; or instead of both, `expression` (T, E) and `pose` (T, P) (EMOCA/FLAME: 50 and 6), which are
  named expression_00 ... and pose_00 ...;
- `extractor`, the name and version of what made them: an array of one text, or the metadata key of that name;
- optionally `found` bool (T,): rows of frames without a face, which become NaN.
No pickle is read.
"""

import json
import zipfile
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from dyads.errors import DataError
from faces.coefficients import Coefficients

KINDS = (".npz", ".safetensors")


def _contents(path: Path) -> dict[str, np.ndarray | str]:
    """Arrays and texts of a file."""
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    with safe_open(str(path), "np") as file:
        found: dict = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        for key, text in (file.metadata() or {}).items():
            found[key] = np.array(json.loads(text)) if key == "names" else text
    return found


def read_held(path: Path | str) -> dict[str, np.ndarray | str]:
    """All arrays and texts of such a file. DataError: there is none, or it cannot be read."""
    path = Path(path)
    if path.suffix not in KINDS or not path.is_file():
        raise DataError(f"{path}: there is no such file of coefficients; give a .npz or .safetensors file.")
    try:
        return _contents(path)
    except (OSError, ValueError, SafetensorError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: cannot be read as coefficients ({error}); write it again without pickle.") from error


def read_given(path: Path | str) -> Coefficients:
    """Coefficients from a file; see the module docstring for its layout. DataError says what is wrong with it."""
    path = Path(path)
    held = read_held(path)
    if "extractor" not in held:
        raise DataError(f"{path}: `extractor` is missing; store the name of what found these coefficients.")
    extractor = str(np.asarray(held["extractor"]).reshape(-1)[0])
    if "values" in held:
        values = np.asarray(held["values"])
        names = tuple(str(name) for name in np.asarray(held.get("names", [])).reshape(-1))
    else:
        parts = {key: np.asarray(held[key]) for key in ("expression", "pose") if key in held}
        if not parts or any(part.ndim != 2 for part in parts.values()):
            raise DataError(f"{path}: holds neither `values` and `names` nor `expression` and `pose` (T, K).")
        if len({len(part) for part in parts.values()}) > 1:
            raise DataError(f"{path}: expression and pose have unequal numbers of frames; write them again.")
        values = np.concatenate(list(parts.values()), 1)
        names = tuple(f"{key}_{index:02d}" for key, part in parts.items() for index in range(part.shape[1]))
    if values.ndim != 2 or values.dtype.kind not in "fiu" or not len(values):
        raise DataError(f"{path}: values must be numbers (T, K), got {values.dtype} {values.shape}; write them again.")
    if len(names) != values.shape[1] or len(set(names)) != len(names):
        raise DataError(f"{path}: {values.shape[1]} columns have {len(set(names))} names; give each its own.")
    values = values.astype(np.float32)
    if "found" in held:
        found = np.asarray(held["found"]).astype(bool).reshape(-1)
        if len(found) != len(values):
            raise DataError(f"{path}: `found` has {len(found)} rows and values {len(values)}; write them again.")
        values[~found] = np.nan
    if np.isinf(values).any():
        raise DataError(f"{path}: values hold infinity; mark frames without a face by NaN or `found`.")
    return Coefficients(values, names, extractor)
