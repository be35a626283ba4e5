"""SI-184 on file: its systems, and its encoders EMOCA and LivePortrait, their channels, groups and arrays."""

from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from dyads.coefficients import Encoder, Track
from dyads.coefficients.npz import load_npz, matrix, narrowed, number
from dyads.errors import DataError

SPLIT = "LS_AL"  # how SI-184 calls its one split
SYSTEMS = {
    "AVTR-1": "AVTR-1",
    "dystream": "DyStream",
    "AvatarForcing": "Avatar Forcing",
    "SoulX_FlashHead_Pro": "SoulX-FlashHead Pro",
    "SoulX_FlashHead_Lite": "SoulX-FlashHead Lite",
    "ditto": "Ditto",
    "FLOAT": "FLOAT",
}
# Key points whose motion SI-184 calls LivePortrait's expression: 39 of the 63 numbers.
POINTS = (1, 2, 6, *range(11, 21))
LIP_POINTS = (6, 12, 14, 17, 19, 20)  # those that LivePortrait itself moves to retarget lips
NO_ROTATION = 0.05  # how far from orthonormal; half precision stays below 0.01

EMOCA = Encoder(
    "emoca",
    ("head_x", "head_y", "head_z", "jaw_open", "jaw_y", "jaw_z", *(f"exp_{i:02}" for i in range(50))),
    {"expression": tuple(range(6, 56)), "pose": tuple(range(6)), "lips": (3, 4, 5), "all": tuple(range(56))},
)


def _points(points: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(3 + 3 * point + axis for point in points for axis in range(3))


LIVEPORTRAIT = Encoder(
    "liveportrait",
    (
        *("rot_x", "rot_y", "rot_z"),
        *(f"exp_{point:02}_{axis}" for point in range(21) for axis in "xyz"),
        *("t_x", "t_y", "t_z", "scale"),
    ),
    {
        "expression": _points(POINTS),
        "pose": (0, 1, 2),
        "lips": _points(LIP_POINTS),
        "all": (0, 1, 2, *_points(POINTS)),
    },
)
ENCODERS = {encoder.name: encoder for encoder in (EMOCA, LIVEPORTRAIT)}


def read_emoca(path: Path) -> Track:
    """EMOCA's posecode and expcode of one video. DataError: a fault of the file, or nothing that was seen."""
    arrays = load_npz(path, ("n_frames", "fps", "face_ok", "posecode", "expcode"))
    frames, valid = _frames(path, arrays)
    values = np.concatenate([matrix(path, arrays, key, frames, w) for key, w in (("posecode", 6), ("expcode", 50))], 1)
    return _track(path, arrays, values, valid)


def read_liveportrait(path: Path) -> Track:
    """LivePortrait's R as a rotation vector, exp, t and scale of one video; rows without a face hold no rotation."""
    arrays = load_npz(path, ("n_frames", "fps", "face_ok", "R", "exp", "t", "scale"))
    frames, valid = _frames(path, arrays)
    turn = matrix(path, arrays, "R", frames, 3, 3)
    rest = [matrix(path, arrays, key, frames, *shape) for key, shape in (("exp", (21, 3)), ("t", (3,)))]
    scale = arrays["scale"]
    scale = matrix(path, {"scale": scale.reshape(-1, 1) if scale.ndim == 1 else scale}, "scale", frames, 1)
    vectors = np.zeros((frames, 3))
    vectors[valid] = _vectors(path, turn[valid].astype(np.float64))
    return _track(path, arrays, np.concatenate([vectors, rest[0].reshape(frames, 63), rest[1], scale], 1), valid)


def _vectors(path: Path, turn: np.ndarray) -> np.ndarray:
    """Rotation vectors (n, 3) of matrices (n, 3, 3), NaN where one is not finite. DataError: one is no rotation."""
    finite = np.isfinite(turn).all((1, 2))
    given = turn[finite]
    off = np.abs(given @ given.transpose(0, 2, 1) - np.eye(3)).max((1, 2))
    wrong = int(((off > NO_ROTATION) | (np.linalg.det(given) <= 0)).sum())
    if wrong:
        raise DataError(f"{path}: R is no rotation in {wrong} frames with a face; extract it again.")
    made = np.full((len(turn), 3), np.nan)
    if len(given):
        made[finite] = Rotation.from_matrix(given).as_rotvec()
    return made


READERS = {"emoca": read_emoca, "liveportrait": read_liveportrait}


def _frames(path: Path, arrays: dict[str, np.ndarray]) -> tuple[int, np.ndarray]:
    """How many frames count, and in which of them a face was found."""
    frames = number(path, arrays, "n_frames")
    if frames != int(frames):
        raise DataError(f"{path}: n_frames is {frames:g}, not a whole number; extract it again.")
    valid = matrix(path, arrays, "face_ok", int(frames)).astype(bool)
    if not valid.any():
        raise DataError(f"{path}: no face was found in any of the {int(frames)} frames; leave this dialogue out.")
    return int(frames), valid


def _track(path: Path, arrays: dict[str, np.ndarray], values: np.ndarray, valid: np.ndarray) -> Track:
    narrowed(path, "motion", values[valid], np.float32)
    with np.errstate(over="ignore"):  # what is not valid means nothing
        values = values.astype(np.float32)
    if not np.isfinite(values[valid]).all():
        bad = int((~np.isfinite(values[valid])).any(1).sum())
        raise DataError(f"{path}: {bad} frames with a face hold numbers that are not finite; extract it again.")
    return Track(values, valid, number(path, arrays, "fps"))
