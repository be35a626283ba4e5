"""Listeners whose rank is known beforehand, made of true motion on the common clock: another's, shifted, still."""

from collections.abc import Sequence

import numpy as np

from dyads.coefficients import FPS, Dialogue
from dyads.errors import ConfigError, DataError
from dyads.seeding import rng

CONTROLS = ("other", "shifted", "still")
TRUTH = "GT"
SHORTEST_SHIFT = 10 * FPS  # frames; reactions are over by then


def names_folder(name: str) -> bool:
    """Whether a name is that of a plain folder: no path, nothing hidden, nothing that a file system refuses."""
    plain = name == name.strip() and name.isprintable() and not set(name) & set("/\\")
    return bool(name) and plain and not name.startswith(".") and len(name.encode(errors="replace")) <= 200


def check_systems(names: Sequence[str]) -> None:
    """ConfigError: a system twice, one called like a row of ours, or a name that is no folder's."""
    ours = (TRUTH, *CONTROLS)
    for place, name in enumerate(names):
        if name in names[:place] or name in ours or not names_folder(name):
            raise ConfigError(
                f"system {name!r} stands twice, is called like a row of ours ({', '.join(ours)}) or names no folder; "
                "rename or remove it."
            )


def partners(dialogues: Sequence[Dialogue]) -> dict[str, str]:
    """Dialogue -> the dialogue whose listener takes its place: another person, of another session where there is one.

    Each is taken about as often. DataError if everyone is the same person.
    """
    order = sorted(dialogues, key=lambda each: each.dyad_id)
    used = dict.fromkeys((each.dyad_id for each in order), 0)
    found = {}
    for index, each in enumerate(order):
        around = [order[(index + step + len(order) // 2) % len(order)] for step in range(len(order))]
        strangers = [one for one in around if one.avatar_id not in (each.avatar_id, each.user_id)]
        apart = [one for one in strangers if one.session != each.session]
        others = [one for one in around if one.avatar_id != each.avatar_id]
        choice = apart or strangers or others
        if not choice:
            raise DataError("everyone in the data is the same person, so nobody can stand in another's place.")
        partner = min(choice, key=lambda one: used[one.dyad_id])  # the first of those least used
        used[partner.dyad_id] += 1
        found[each.dyad_id] = partner.dyad_id
    return found


def other(motion: np.ndarray, frames: int, dyad_id: str) -> np.ndarray:
    """Another's motion (T', D) from a random place on, in a circle: (frames, D); seams are not seen."""
    start = int(rng(0, "control.other", dyad_id).integers(len(motion)))
    place = (start + np.arange(frames)) % len(motion)
    made = motion[place].copy()
    made[np.flatnonzero(np.diff(place) != 1) + 1] = np.nan
    return made


def shifted(motion: np.ndarray) -> np.ndarray:
    """True motion (T, D) half its length late, in a circle; the seam is not seen. Below 20 s all is NaN: half of that
    is no other time."""
    if len(motion) < 2 * SHORTEST_SHIFT:
        return np.full_like(motion, np.nan)
    made = np.roll(motion, len(motion) // 2, axis=0)
    made[len(motion) // 2] = np.nan
    return made


def still(motion: np.ndarray) -> np.ndarray:
    """The first frame that was seen of (T, D), held throughout; NaN if none was."""
    good = np.flatnonzero(np.isfinite(motion).all(1))
    return np.broadcast_to(motion[good[0]] if len(good) else np.nan, motion.shape).astype(np.float32)
