"""Named expression coefficients and pose of a face, measured on the normalised mesh, and a fixed linear basis beside.

Every name is a sum of distances on the mesh (pose and size removed, in outer-eye distances), less the person's
neutral, times a fixed gain: 0 is neutral (eye_open 1), about 1 full activation, signs as in the synthetic world. The
basis is the mesh's movement along its lowest harmonics (`faces.mean_face.basis`), the same for everyone.
"""

from dataclasses import dataclass

import numpy as np

from faces.landmarks import CHEEKS, EYE_CORNERS, RIGID
from faces.mean_face import HARMONICS, basis
from faces.person import Person, person_of
from faces.pose import angles, fit, undo
from faces.reader import FaceTrack

LIPS = ("jaw_open", "lip_width", "lip_round", "lip_press")
EXPRESSION = ("smile", "brow_raise", "brow_furrow", "brow_inner", "cheek")
EYES = ("eye_open", "blink")
POSE = ("yaw", "pitch", "roll", "shift_x", "shift_y", "size")
BASIS = tuple(f"basis_{axis}{number:02d}" for axis in "xy" for number in range(HARMONICS))
NAMES = (*LIPS, *EXPRESSION, *EYES, *POSE, *BASIS)
EXTRACTOR = "mesh468-v2"  # v1: brow_furrow was inner against outer brows alone, brow_inner once more
BASIS_GAIN = 5.0  # makes a strong movement about 1, as of the named ones
BLOCK = 1024  # frames at once


@dataclass(frozen=True)
class Coefficients:
    """`values` float32 (T, K), NaN in frames without a face; their `names`, and the `extractor` they come from."""

    values: np.ndarray
    names: tuple[str, ...]
    extractor: str

    def column(self, *names: str) -> np.ndarray:
        """Columns (T, n) by name; KeyError for one that is not there."""
        missing = [name for name in names if name not in self.names]
        if missing:
            raise KeyError(f"{self.extractor} has no coefficient {missing[0]}")
        return self.values[:, [self.names.index(name) for name in names]]


def _height(mesh: np.ndarray, points: tuple[int, ...]) -> np.ndarray:
    """Mean y (T,) of some points."""
    return mesh[:, points, 1].mean(1)


def _opening(mesh: np.ndarray, upper: tuple[int, ...], lower: tuple[int, ...], corners: tuple[int, int]) -> np.ndarray:
    """Distance (T,) of the lids as a share of the eye's width."""
    gap = np.linalg.norm(mesh[:, upper, :2] - mesh[:, lower, :2], axis=-1).mean(1)
    return gap / np.linalg.norm(mesh[:, corners[0], :2] - mesh[:, corners[1], :2], axis=-1)


def features(mesh: np.ndarray) -> dict[str, np.ndarray]:
    """Distances (T,) on aligned points (T, 468, 3), in outer-eye distances; what the coefficients are sums of."""
    lower_lip, brows = _height(mesh, (84, 17, 314)), (46, 53, 52, 65, 55, 70, 63, 105, 66, 107)
    brows += (276, 283, 282, 295, 285, 300, 293, 334, 296, 336)
    corners = _height(mesh, tuple(EYE_CORNERS))
    lids = (
        _opening(mesh, (160, 159, 158), (144, 145, 153), (33, 133)),
        _opening(mesh, (387, 386, 385), (373, 374, 380), (263, 362)),
    )
    return {
        "lips": lower_lip - _height(mesh, (37, 0, 267)),
        "gap": _height(mesh, (87, 14, 317)) - _height(mesh, (82, 13, 312)),
        "width": mesh[:, 291, 0] - mesh[:, 61, 0],
        "corners_up": _height(mesh, (2, 97, 326)) - _height(mesh, (61, 291)),
        "cheeks_back": mesh[:, CHEEKS[:4], 2].mean(1),
        "brows": corners - _height(mesh, brows),
        "brows_outer": corners - _height(mesh, (46, 70, 276, 300)),
        "brows_inner": corners - _height(mesh, (55, 107, 285, 336)),
        "glabella": _height(mesh, (33, 263)) - _height(mesh, (8, 9)),  # between the brows: a frown draws it down
        "lids": (lids[0] + lids[1]) / 2,
    }


# Gains: least squares on the synthetic world's training dialogues, rounded; which distance counts was chosen by hand.
FORMULAS = {
    "jaw_open": {"lips": 2.7, "gap": 2.8},
    "lip_width": {"width": 1.7, "corners_up": -2.0, "lips": 0.4},
    "lip_round": {"width": -2.0, "lips": 2.7},
    "lip_press": {"lips": -4.0, "gap": 4.0},
    "smile": {"corners_up": 7.0, "cheeks_back": 13.0},
    "brow_raise": {"brows": 3.0, "brows_outer": 5.5},
    "brow_furrow": {"brows_inner": -4.5, "brows_outer": 6.5, "glabella": -7.5},
    "brow_inner": {"brows_inner": 9.0, "brows_outer": -12.0},
    "cheek": {"cheeks_back": 10.0, "width": 1.3},
    "eye_open": {"lids": 3.5},
}


def _named(mesh: np.ndarray, rest: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Columns of LIPS, EXPRESSION and EYES."""
    now = features(mesh)
    found = {
        name: sum(gain * (now[key] - rest[key][0]) for key, gain in terms.items()) for name, terms in FORMULAS.items()
    }
    found["eye_open"] = found["eye_open"] + 1
    found["blink"] = np.clip(1 - found["eye_open"], 0, 1)
    return [found[name] for name in (*LIPS, *EXPRESSION, *EYES)]


def coefficients(track: FaceTrack, person: Person | None = None) -> Coefficients:
    """Every coefficient of a track, (T, 67): measured from `person`'s neutral, or from the track's own.

    Pose: yaw, pitch, roll in radians (see `faces.pose`); shift_x and shift_y of the head in the picture, in outer-eye
    distances from the track's median place; size as the logarithm of that to the track's median.
    DataError: no person given and hardly a face found.
    """
    person = person or person_of([track])
    rest, smooth = features(person.neutral[None]), basis()
    values = np.full((len(track), len(NAMES)), np.nan)
    sizes, shifts = np.full(len(track), np.nan), np.full((len(track), 2), np.nan)
    for first in range(0, len(track), BLOCK):
        rows = slice(first, first + BLOCK)
        points = np.asarray(track.points[rows], np.float64)
        pose = fit(points[:, RIGID], person.neutral[RIGID])
        mesh = undo(points, pose)
        moved = mesh - person.neutral
        harmonics = [BASIS_GAIN * np.einsum("tn,nk->tk", moved[:, :, axis], smooth) for axis in (0, 1)]
        values[rows, : len(NAMES) - len(BASIS) - len(POSE)] = np.stack(_named(mesh, rest), 1)
        values[rows, len(NAMES) - len(BASIS) :] = np.concatenate(harmonics, 1)
        start = NAMES.index(POSE[0])
        values[rows, start : start + 3] = angles(pose.rotation)
        sizes[rows], shifts[rows] = np.log(pose.scale), pose.shift[:, :2]
    if np.isfinite(sizes).any():
        start = NAMES.index("shift_x")
        unit = np.exp(np.nanmedian(sizes))
        values[:, start : start + 2] = (shifts - np.nanmedian(shifts, axis=0)) / unit
        values[:, start + 2] = sizes - np.log(unit)
    return Coefficients(values.astype(np.float32), NAMES, EXTRACTOR)
