"""Numbers that other extractors found in the scored videos, in a file of a video's name beside it.

`one.npz` (or `.safetensors`) beside `one.mp4`, one row a frame at 25 frames a second, `extractor` naming what made it,
and any of: `expression` (T, E), `angle` (T, 3), `translation` (T, 3) of a 3DMM, or `values` (T, K) with `names`, as
`faces.given` reads them; `landmarks` (T, 68, 2), iBUG's points in pixels of the video; `vertices` (T, V, 3) of a mesh
without head pose, in any unit; `openface` (T, 128). Regions of such a mesh: a JSON file with `lips`, `upper` (vertex
numbers) and `openings` (pairs of an upper and a lower inner lip's).
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dyads.errors import ConfigError, DataError
from evaluation.metrics.coefficients.vico import PARTS
from faces.given import KINDS, read_given, read_held
from reporting.score.items import Item

SHAPES = {"landmarks": (68, 2), "vertices": (None, 3), "openface": (128,), "angle": (3,), "translation": (3,)}
NAMES = {"angle": "given_angle", "translation": "given_translation"}  # in a clip's features; others as they are
MOUTH = ("mouth", "jaw", "lip")  # what names of controls that move it hold, in a rig's words
REGIONS = {"lips": 1, "upper": 1, "openings": 2}


@dataclass
class Given:
    """`arrays` by the name that metrics ask for, (T, ...) each; the `extractor` they come from; `fault`: why there are
    none although there is a file."""

    extractor: str = ""
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    fault: str = ""


def file_of(video: Path) -> Path | None:
    """Where numbers lie that were found in a video; None if nobody gave any."""
    return next((video.with_suffix(kind) for kind in KINDS if video.with_suffix(kind).is_file()), None)


def refuse_some(items: Iterable[Item]) -> None:
    """`DataError` where some videos have such a file and others none: their means would mix two extractors."""
    pairs = [(path, item.true or path) for item in items for path in item.all_generated]
    has = [[path for path in pair if file_of(path)] for pair in pairs]
    complete = [pair for pair, own in zip(pairs, has, strict=True) if len(own) == len(pair)]
    if complete and len(complete) < len(pairs):
        lacking = next(path for pair in pairs for path in pair if not file_of(path))
        raise DataError(
            f"{lacking} has no numbers of an extractor beside it, {complete[0][0]} has: means over both would mix two "
            f"readers; write {lacking.stem}{KINDS[0]} there, rows of NaN where it found no face, or take all away."
        )


def blank(kinds: set[str], frames: int) -> dict[str, np.ndarray]:
    """In place of numbers that cannot be used: no face in any frame, so that nothing else is read in their place."""
    widths = {"given": (1,), "given_mouth": (1,), "given_angle": (3,), "given_translation": (3,)}
    widths |= {"landmarks": (68, 2), "vertices": (468, 3)}
    shapes = {name: (frames, *width) for name, width in widths.items()}  # what else is given has no other reader
    return {
        f"{name}_{side}": np.full(shapes[name], np.nan)
        for name in kinds & set(shapes)
        for side in ("generated", "true")
    }


def beside(video: Path, frames: int, shown: float) -> Given:
    """What lies beside a video of so many frames, which are shown `shown` times as large as they are."""
    path = file_of(video)
    if path is None:
        return Given()
    try:
        found = _read(path, video, frames)
    except DataError as error:
        return Given(fault=str(error))
    if "landmarks" in found.arrays:
        found.arrays["landmarks"] *= shown
    return found


def _read(path: Path, video: Path, frames: int) -> Given:
    held = read_held(path)
    if "extractor" not in held:
        raise DataError(f"{path}: `extractor` is missing; store the name of what found these numbers.")
    found = {name: _array(path, name, held[name]) for name in SHAPES if name in held}
    if "expression" in held or "values" in held:
        given = read_given(path)
        posed = {name for part in PARTS.values() for name in part or ()}
        columns = [i for i, name in enumerate(given.names) if name not in posed and not name.startswith("pose")]
        found["given"] = given.values[:, columns]
        mouth = [i for i, name in enumerate(given.names) if any(word in name.lower() for word in MOUTH)]
        if mouth:
            found["given_mouth"] = given.values[:, mouth]
        for part in NAMES:
            if set(PARTS[part]) <= set(given.names):
                found[part] = given.column(*PARTS[part])
    lengths = {len(array) for array in found.values()}
    if lengths - {frames}:
        raise DataError(
            f"{path}: {max(lengths - {frames})} rows, but {video.name} has {frames} frames at 25 a second; extract at "
            "that rate."
        )
    arrays = {NAMES.get(name, name): array for name, array in found.items()}
    return Given(str(np.asarray(held["extractor"]).reshape(-1)[0]), arrays)


def _array(path: Path, name: str, found) -> np.ndarray:
    found = np.asarray(found)
    wanted = SHAPES[name]
    fits = found.ndim == len(wanted) + 1 and all(
        size in (None, got) for size, got in zip(wanted, found.shape[1:], strict=True)
    )
    if not fits or found.dtype.kind not in "fiu" or not len(found):
        shape = ", ".join("V" if size is None else str(size) for size in wanted)
        raise DataError(
            f"{path}: {name} must be numbers (T, {shape}), got {found.dtype} {found.shape}; write it again."
        )
    return found.astype(np.float32)


def features_of(sides: dict[str, Given], regions: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A clip's features `<name>_<side>`, what all sides have, and the regions of given meshes. DataError: numbers of
    different extractors, or regions of another mesh."""
    if faults := [given.fault for given in sides.values() if given.fault]:
        raise DataError(faults[0])
    made = {given.extractor for given in sides.values() if given.arrays}
    if len(made) > 1:
        raise DataError(f"numbers of {' and '.join(sorted(made))} cannot be compared; give both videos' from one.")
    names = set.intersection(*(set(given.arrays) for given in sides.values()))
    found = {f"{name}_{side}": given.arrays[name] for side, given in sides.items() for name in names}
    if "vertices" not in names:
        return found
    vertices = min(given.arrays["vertices"].shape[1] for given in sides.values())
    for name, array in regions.items():
        if array.max() >= vertices:
            raise DataError(
                f"--regions: {name} has vertex {array.max()}, the mesh has {vertices}; give its own regions."
            )
    return found | regions


def read_regions(path: Path | None) -> dict[str, np.ndarray]:
    """`region_<name>` of a JSON file with vertex numbers. ConfigError: it is no such file."""
    if path is None:
        return {}
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        found = {name: np.asarray(numbers, np.int64) for name, numbers in told.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"--regions {path}: cannot be read ({error}); give a JSON object of vertex numbers."
        ) from error
    for name, array in found.items():
        if name not in REGIONS or array.ndim != REGIONS[name] or not array.size or array.min() < 0:
            raise ConfigError(
                f"--regions {path}: {name} is none of lips, upper (lists of vertex numbers) and openings (pairs); "
                "correct it."
            )
    return {f"region_{name}": array for name, array in found.items()}
