"""Data folders of kind `coefficients`: written whole or not at all, read with every fault told in a sentence."""

import csv
import io
import json
import shutil
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from dyads.coefficients import COLUMNS, FPS, KIND, Dialogue, Encoder, Folder, Person, Track
from dyads.errors import ConfigError, DataError
from dyads.files import atomic_path, write_arrays, write_json, write_text

META = "coefficients.json"


@contextmanager
def new_folder(out: Path):
    """A folder beside `out` that takes its place when all went well; an older folder of this kind is replaced."""
    if out.exists() and not (out / META).is_file() and not (out.is_dir() and not any(out.iterdir())):
        raise ConfigError(f"--out {out} exists and is no folder of coefficients; name another one or remove it.")
    with atomic_path(out) as folder:
        folder.mkdir()
        yield folder
        shutil.rmtree(out, ignore_errors=True)


def _flat(tracks: Mapping[str, Track]) -> dict[str, np.ndarray]:
    found = {}
    for name, track in tracks.items():
        found[name] = np.ascontiguousarray(track.values, np.float32)
        found[f"{name}_valid"] = np.ascontiguousarray(track.valid, np.uint8)
        found[f"{name}_fps"] = np.array([track.fps])
    return found


def write_person(path: Path, person: Person, voice: np.ndarray) -> None:
    """One true person; `voice`: features (T, A) at 25 Hz, stored as float16."""
    arrays = _flat(person.tracks) | {
        "speech": np.ascontiguousarray(person.speech, np.float64).reshape(-1, 2),
        "seconds": np.array([float(person.seconds)]),
        "voice": np.ascontiguousarray(voice, np.float16),
    }
    write_arrays(path, arrays)


def write_tracks(path: Path, tracks: Mapping[str, Track]) -> None:
    """What a system generated in one dialogue."""
    write_arrays(path, _flat(tracks))


def write_index(folder: Path, found: Folder, rows: list[dict]) -> None:
    """manifest.csv from dictionaries with the keys `COLUMNS`, and coefficients.json."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    encoders = {name: asdict(encoder) for name, encoder in found.encoders.items()}
    told = {"kind": KIND, "dataset": found.dataset, "fps": FPS, "voice": found.voice, "licence": found.licence}
    write_json(folder / META, {**told, "encoders": encoders, "systems": found.systems, "left_out": found.left_out})
    write_text(folder / "manifest.csv", buffer.getvalue())


def is_coefficients(data: Path | str) -> bool:
    """Whether a data folder is of this kind."""
    return (Path(data) / META).is_file()


def read_folder(data: Path | str, split: str | None = None) -> Folder:
    """A data folder, or one split of it. DataError: no such folder, a damaged index, or a file that is missing."""
    data = Path(data)
    try:
        meta = json.loads((data / META).read_text(encoding="utf-8"))
        encoders = {
            name: Encoder(name, tuple(each["names"]), {key: tuple(group) for key, group in each["groups"].items()})
            for name, each in meta["encoders"].items()
        }
        with open(data / "manifest.csv", encoding="utf-8", newline="") as handle:
            rows = list(csv.DictReader(handle))
        sides: dict[str, dict[str, dict]] = {}
        for row in rows:
            sides.setdefault(row["dyad_id"], {})[row["role"]] = row
        dialogues = tuple(_dialogue(data, name, both) for name, both in sorted(sides.items()))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{data} is no folder of coefficients ({error!r}); make it with `python -m dyads.adapters.si184` or "
            "`python -m dyads.adapters.coefficients`."
        ) from error
    chosen = tuple(each for each in dialogues if split is None or each.split == split)
    if not chosen:
        raise DataError(f"{data / 'manifest.csv'}: no dialogue is in split {split!r}; name one that is there.")
    for path in {path for each in chosen for path in (each.avatar, each.user)}:
        if not path.is_file():
            raise DataError(f"{path} is missing; make the data folder again.")
    left_out = tuple(tuple(each) for each in meta["left_out"])
    return Folder(data, meta["dataset"], encoders, chosen, meta["systems"], meta["voice"], meta["licence"], left_out)


def _dialogue(data: Path, dyad_id: str, sides: dict[str, dict]) -> Dialogue:
    avatar, user = sides["avatar"], sides["user"]
    return Dialogue(
        avatar["dataset"], avatar["split"], dyad_id, avatar["session"],
        data / avatar["coefficients"], data / user["coefficients"], avatar["subject_id"], user["subject_id"],
    )  # fmt: skip


def read_tracks(path: Path, encoders: Mapping[str, Encoder]) -> dict[str, Track]:
    """Tracks by encoder of one file."""
    return _tracks(path, _arrays(path, skip=("voice",)), encoders)


def read_person(path: Path, encoders: Mapping[str, Encoder]) -> Person:
    """A true person; the voice stays on disk until `read_voice`."""
    arrays = _arrays(path, skip=("voice",))
    try:
        return Person(_tracks(path, arrays, encoders), arrays["speech"], float(arrays["seconds"][0]), path)
    except KeyError as error:
        raise DataError(f"{path} has no {error}; make the data folder again.") from error


def read_voice(path: Path) -> np.ndarray:
    """Voice features float16 (T, A) at 25 Hz of a person's file."""
    return _arrays(path, only=("voice",))["voice"]


def _arrays(path: Path, skip: tuple[str, ...] = (), only: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
    try:
        with safe_open(str(path), "np") as file:
            return {name: file.get_tensor(name) for name in only or file.keys() if name not in skip}
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path} cannot be read ({error}); make the data folder again.") from error


def _tracks(path: Path, arrays: dict[str, np.ndarray], encoders: Mapping[str, Encoder]) -> dict[str, Track]:
    found = {}
    for name, encoder in encoders.items():
        try:
            values, valid, fps = arrays[name], arrays[f"{name}_valid"], arrays[f"{name}_fps"]
        except KeyError as error:
            raise DataError(f"{path} has no {error} of encoder {name}; make the data folder again.") from error
        if values.ndim != 2 or values.shape[1] != len(encoder.names) or len(valid) != len(values):
            raise DataError(f"{path}: {name} is of shape {values.shape}, not of {len(encoder.names)} channels.")
        found[name] = Track(values, valid.astype(bool), float(fps[0]))
    return found
