"""Coefficients of one's own, from documented .npz files: `python -m dyads.adapters.coefficients --root DIR --out DIR`.

    ROOT/pairs.csv                       dyad_id, split, session, avatar, user, avatar_id, user_id
    ROOT/people/<avatar or user>.npz     a true person in one dialogue; `avatar` and `user` name such files
    ROOT/systems/<system>/<dyad_id>.npz  what a system generated in the listener's place

Every .npz holds `motion` (T, D), `names` (D,) text, `fps`, and may hold `valid` (T,) and `groups` (D,), the group of a
channel in words that may be several, such as 'pose lips' ('expression', 'pose', 'lips', 'eyes'); a person's also holds
`speech` (k, 2) seconds, `seconds`, `voice` (M, A) and `voice_fps`. Frame i was seen at i / fps seconds. No pickles.
Without `valid`, a frame that holds a NaN or an infinity was not seen; one that `valid` calls seen may hold none.
"""

import argparse
import csv
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dyads.coefficients import FPS, KIND, LEAST, MOST, Encoder, Folder, Person, Track
from dyads.coefficients.clock import on_clock
from dyads.coefficients.controls import check_systems
from dyads.coefficients.folders import own_systems
from dyads.coefficients.npz import load_npz, matrix, narrowed, number
from dyads.coefficients.options import parse_options
from dyads.coefficients.store import new_folder, write_index, write_person, write_tracks
from dyads.errors import ConfigError, DataError, run_cli
from dyads.manifest import file_sha256

PAIRS = ("dyad_id", "split", "session", "avatar", "user", "avatar_id", "user_id")
GROUPS = ("expression", "pose", "lips", "eyes")
ENCODER = "given"


@dataclass(frozen=True)
class CoefficientsOptions:
    """`dataset`: its name in every row; `systems`: folders under systems/, empty for all; `encoder`: who read the
    coefficients; `voice`: what the voice features are; `licence`."""

    dataset: str = "given"
    systems: tuple[str, ...] = ()
    encoder: str = ENCODER
    voice: str = "given"
    licence: str = ""


def read_pairs(path: Path) -> list[dict[str, str]]:
    """The rows of pairs.csv. DataError: no such file, a column that is missing, an empty cell, a dialogue twice,
    someone with himself, a file of two people."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as handle:
            rows = list(csv.DictReader(handle))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read ({error}); --root must hold it.") from error
    if not rows:
        raise DataError(f"{path} names no dialogue; give at least one line below the header.")
    missing = [name for name in PAIRS if name not in rows[0]]
    if missing:
        raise DataError(f"{path} has no column {', '.join(missing)}; it needs {', '.join(PAIRS)}.")
    seen, who = set(), {}
    for line, row in enumerate(rows, 2):
        empty = [name for name in PAIRS if not (row[name] or "").strip()]
        if empty:
            raise DataError(f"{path} line {line}: {empty[0]} is empty; fill it in.")
        if row["dyad_id"] in seen or set(row["dyad_id"]) & set("/\\"):
            raise DataError(
                f"{path} line {line}: dyad_id {row['dyad_id']!r} stands twice or cannot name a file; give another."
            )
        seen.add(row["dyad_id"])
        if row["avatar"] == row["user"] or row["avatar_id"] == row["user_id"]:
            raise DataError(f"{path} line {line}: avatar and user are the same; name the two people of the dialogue.")
        for role in ("avatar", "user"):
            file, person = row[role], row[f"{role}_id"]
            if file != Path(file).name or who.setdefault(file, person) != person:
                raise DataError(
                    f"{path} line {line}: {role} {file!r} cannot name {person}'s file, or names another person's too; "
                    "give the name of this person's own file under people/ without .npz."
                )
    return rows


def read_motion(path: Path) -> tuple[Track, tuple[str, ...], dict[str, tuple[int, ...]]]:
    """Motion of one file, the names of its channels and their groups. DataError with the first fault."""
    arrays = load_npz(path, ("motion", "names", "fps"), ("valid", "groups"))
    frames = len(arrays["motion"]) if arrays["motion"].ndim else 0
    motion = matrix(path, arrays, "motion", frames, -1)
    names = _texts(arrays["names"])
    if not names or len(names) != motion.shape[1] or len(set(names)) != len(names):
        raise DataError(f"{path}: {len(names)} different names do not fit {motion.shape[1]} channels; name each once.")
    valid = np.isfinite(motion).all(1)
    if "valid" in arrays:
        said = matrix(path, arrays, "valid", frames).astype(bool)
        if len(arrays["valid"]) != frames:
            raise DataError(f"{path}: valid has {len(arrays['valid'])} frames, motion {frames}; save one for each.")
        if (said & ~valid).any():
            raise DataError(
                f"{path}: {int((said & ~valid).sum())} frames called valid hold numbers that are not finite; call them "
                "invalid, or extract them again."
            )
        valid = said
    if not valid.any():
        raise DataError(f"{path}: none of the {frames} frames is valid; leave this dialogue out.")
    narrowed(path, "motion", motion[valid], np.float32)
    with np.errstate(over="ignore"):  # what is not valid means nothing
        motion = motion.astype(np.float32)
    groups = {"all": tuple(range(len(names)))}
    if "groups" in arrays:
        words = [set(text.split()) for text in _texts(arrays["groups"])]
        unknown = sorted(set().union(*words) - set(GROUPS)) if words else []
        if len(words) != len(names) or unknown:
            raise DataError(
                f"{path}: groups are {len(words)} texts{f' with {unknown[0]!r}' if unknown else ''}; give {len(names)} "
                f"of the words {', '.join(GROUPS)}, one for each channel."
            )
        groups |= {group: here for group in GROUPS if (here := tuple(i for i, w in enumerate(words) if group in w))}
    return Track(motion, valid, number(path, arrays, "fps")), names, groups


def read_person(path: Path) -> tuple[Person, np.ndarray, tuple]:
    """A true person, the voice at 25 Hz, and the channels. DataError with the first fault."""
    track, *channels = read_motion(path)
    arrays = load_npz(path, ("speech", "seconds", "voice", "voice_fps"))
    seconds = number(path, arrays, "seconds")
    check_length(path, track, seconds)
    said = arrays["speech"]
    if said.size and (said.ndim != 2 or said.shape[1] != 2 or said.dtype.kind not in "iuf"):
        raise DataError(f"{path}: speech has shape {said.shape} ({said.dtype}), not (k, 2) seconds; save from and to.")
    speech = said.astype(np.float64).reshape(-1, 2) if said.size else np.zeros((0, 2))
    if not (
        np.isfinite(speech).all() and ((0 <= speech) & (speech <= seconds + 1)).all() and (np.diff(speech) >= 0).all()
    ):
        raise DataError(
            f"{path}: speech does not lie within the {seconds:g} s, each from a second to a later one; correct it."
        )
    person = Person({ENCODER: track}, speech, seconds)
    matrix(path, arrays, "voice", 0, -1)  # its shape and type
    voice = narrowed(path, "voice", arrays["voice"], np.float32)
    heard = on_clock(Track(voice, np.isfinite(voice).all(1), number(path, arrays, "voice_fps")), person.frames)
    if len(heard) > 1 and np.isnan(heard[-1]).any():
        heard[-1] = heard[-2]  # features of the last, unfinished window are often left out
    if not np.isfinite(heard).all():
        raise DataError(
            f"{path}: voice does not cover the {seconds:g} s of the recording with finite numbers; extract all of it."
        )
    return person, narrowed(path, "voice", heard, np.float16), tuple(channels)


def check_length(path: Path, track: Track, seconds: float) -> None:
    """DataError: motion much shorter or longer than the recording, a wrong fps or a broken generation."""
    lasts = len(track.values) / track.fps
    if not LEAST * seconds < lasts < MOST * seconds:
        raise DataError(
            f"{path}: {len(track.values)} frames at {track.fps:g} Hz are {lasts:.3g} s, the recording is {seconds:g}; "
            "correct fps or seconds, or leave this dialogue out."
        )


def _texts(array: np.ndarray) -> tuple[str, ...]:
    """A one-dimensional array as texts; bytes are read as UTF-8."""
    if array.ndim != 1:
        return ()
    return tuple(each.decode(errors="replace") if isinstance(each, bytes) else str(each) for each in array.tolist())


def adapt(root: Path, out: Path, options: CoefficientsOptions) -> Folder:
    """Write the data folder; every fault is told, then nothing is written."""
    pairs = read_pairs(root / "pairs.csv")
    check_systems(options.systems)
    systems = own_systems(root, options.systems)
    check_systems(systems)
    if options.encoder in ("speech", "seconds", "voice") or not options.encoder.isidentifier():
        raise ConfigError(
            f"--options: encoder {options.encoder!r} cannot name its arrays; use letters, such as 'emoca'."
        )
    faults: list[str] = []
    with new_folder(out) as folder:
        channels: dict[tuple, Path] = {}
        hashes, seconds = {}, {}
        for who in dict.fromkeys(row[role] for row in pairs for role in ("avatar", "user")):
            try:
                person, voice, own = read_person(root / "people" / f"{who}.npz")
                channels.setdefault(
                    (own[0], tuple(sorted(own[1].items())), voice.shape[1]), root / "people" / f"{who}.npz"
                )
                place = folder / "people" / f"{who}.safetensors"
                tracks = {options.encoder: person.tracks[ENCODER]}
                write_person(place, Person(tracks, person.speech, person.seconds), voice)
                hashes[who], seconds[who] = file_sha256(place), person.seconds
            except DataError as error:
                faults.append(str(error))
        for system in systems:
            for row in pairs:
                path = root / "systems" / system / f"{row['dyad_id']}.npz"
                try:
                    track, names, _ = read_motion(path)
                    if row["avatar"] in seconds:
                        check_length(path, track, seconds[row["avatar"]])
                    if channels and names != next(iter(channels))[0]:
                        raise DataError(
                            f"{path} names other channels than {next(iter(channels.values()))}; use one encoder."
                        )
                    write_tracks(
                        folder / "systems" / system / f"{row['dyad_id']}.safetensors", {options.encoder: track}
                    )
                except DataError as error:
                    faults.append(str(error))
        if len(channels) > 1:
            first, second = list(channels.values())[:2]
            faults.append(f"{first} and {second} differ in channels, groups or voice; use one encoder and one voice.")
        for fault in faults:
            print(f"fault: {fault}", file=sys.stderr)
        if faults:
            raise DataError(f"{faults[0]} ({len(faults)} fault{'s' * (len(faults) > 1)}, told above)")
        names, groups, _ = next(iter(channels))
        encoder = Encoder(options.encoder, names, dict(groups))
        found = Folder(
            folder, options.dataset, {options.encoder: encoder}, (), {name: name for name in systems}, options.voice,
            options.licence,
        )  # fmt: skip
        write_index(folder, found, [_row(row, role, hashes, options) for row in pairs for role in ("user", "avatar")])
    return found


def _row(row: dict[str, str], role: str, hashes: dict[str, str], options: CoefficientsOptions) -> dict:
    return {
        "dataset": options.dataset, "kind": KIND, "split": row["split"], "dyad_id": row["dyad_id"], "role": role,
        "subject_id": row[f"{role}_id"], "session": row["session"],
        "coefficients": f"people/{row[role]}.safetensors", "licence": options.licence, "sha256": hashes[row[role]],
    }  # fmt: skip


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m dyads.adapters.coefficients", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--root", required=True, type=Path, help="pairs.csv, people and systems")
    parser.add_argument("--out", required=True, type=Path, help="the data folder to write")
    parser.add_argument("--options", default="{}", help="JSON object or @file; see CoefficientsOptions")
    args = parser.parse_args(arguments)
    options = parse_options(CoefficientsOptions, args.options)
    if not args.root.is_dir():
        raise ConfigError(f"--root {args.root} is no folder; `--help` says what it must hold.")
    found = adapt(args.root, args.out, options)
    print(f"coefficients at {FPS} Hz of {len(found.systems)} systems -> {args.out}", flush=True)


if __name__ == "__main__":
    run_cli(main)
