"""SI-184, real listeners and seven systems as coefficients: `python -m dyads.adapters.si184 --root CORPUS --out DIR`.

The corpus is fetched by hand (docs/si184.md); nothing downloads by itself. Every fault is told. A dialogue that has
one, in any system, is left out of the set for all of them with `faulty: exclude`, so that all are measured on the same
dialogues; without it nothing is written.
"""

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from dyads.coefficients import FPS, KIND, LEAST, MOST, Folder, Person, Track
from dyads.coefficients.controls import check_systems
from dyads.coefficients.encoders import ENCODERS, READERS, SPLIT, SYSTEMS
from dyads.coefficients.folders import check_corpus
from dyads.coefficients.npz import load_npz, matrix, narrowed, number
from dyads.coefficients.options import parse_options
from dyads.coefficients.store import new_folder, write_index, write_person, write_tracks
from dyads.errors import ConfigError, DataError, run_cli
from dyads.manifest import file_sha256

LICENCE = "CC BY-NC 4.0"
STEM = re.compile(r"(V\d+_S\d+)_(I\d+)_(P\d+[A-Za-z]?)")
VOICE_FPS = 50


@dataclass(frozen=True)
class Si184Options:
    """`dataset`: its name in every row. `systems`: folders to read, empty for the seven; a folder that is missing is an
    error. `faulty`: whether dialogues with a fault stop everything or are left out for all systems. `layer`: of HuBERT.
    """

    dataset: str = "SI-184"
    systems: tuple[str, ...] = ()
    faulty: Literal["refuse", "exclude"] = "refuse"
    layer: str = "feat_l09"


def read_pairs(path: Path) -> dict[str, str]:
    """Listener -> speaker of `<listener>.wav <speaker>.wav` lines. DataError: a line of another form, a stem twice."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read ({error}); --root must hold pairs184.txt of the repository.") from error
    pairs: dict[str, str] = {}
    for place, line in enumerate(lines, 1):
        fields = [field.removesuffix(".wav") for field in line.split()]
        if not fields:
            continue
        if len(fields) != 2 or not all(STEM.fullmatch(field) for field in fields):
            raise DataError(f"{path} line {place}: {line.strip()!r} is not '<listener>.wav <speaker>.wav'; correct it.")
        listener, speaker = fields
        if listener in pairs:
            raise DataError(f"{path} line {place}: {listener} listens twice; keep one line for each listener.")
        if listener.rpartition("_")[0] != speaker.rpartition("_")[0] or listener == speaker:
            raise DataError(f"{path} line {place}: {listener} and {speaker} are not two people of one interaction.")
        pairs[listener] = speaker
    if not pairs:
        raise DataError(f"{path} names no pairs; restore it from the repository.")
    return pairs


def check_known(root: Path, pairs: dict[str, str]) -> None:
    """DataError if a stem has no file at all among the true people: then the list is of another corpus."""
    folders = [root / "GT" / f"{SPLIT}_{kind}" for kind in ("emoca", "liveportrait", "hubert", "vad")]
    known = {path.stem for folder in folders for path in folder.glob("*.npz")}
    unknown = sorted({stem for pair in pairs.items() for stem in pair} - known)
    if unknown:
        raise DataError(
            f"{root / 'pairs184.txt'} names {unknown[0]}, of which GT holds no file ({len(unknown)} such stems); "
            "use the list that belongs to this corpus."
        )


def read_person(root: Path, stem: str, layer: str) -> tuple[Person, np.ndarray]:
    """A true person and the voice features at 25 Hz. DataError with the first fault."""
    place = root / "GT" / f"{SPLIT}_vad" / f"{stem}.npz"
    speech = load_npz(place, ("speech_starts", "speech_ends", "audio_seconds"))
    seconds = number(place, speech, "audio_seconds")
    for key in ("speech_starts", "speech_ends"):
        matrix(place, speech, key, 0)  # its shape and type
    starts, ends = (np.asarray(speech[key], np.float64) for key in ("speech_starts", "speech_ends"))
    if starts.shape != ends.shape or not (np.isfinite(starts).all() and (ends >= starts).all()):
        raise DataError(
            f"{place}: {len(starts)} speech_starts and {len(ends)} speech_ends are no finite intervals in seconds; "
            "detect the speech again."
        )
    place = root / "GT" / f"{SPLIT}_hubert" / f"{stem}.npz"
    arrays = load_npz(place, (layer, "fps"))
    if abs(number(place, arrays, "fps") - VOICE_FPS) > 1e-6:
        raise DataError(f"{place}: features are at {number(place, arrays, 'fps'):g} Hz, not at {VOICE_FPS}.")
    matrix(place, arrays, layer, 0, -1)  # its shape and type
    voice = arrays[layer][::2]
    if not np.isfinite(voice).all():
        raise DataError(f"{place}: {layer} holds numbers that are not finite; extract it again.")
    voice = narrowed(place, layer, voice, np.float16)
    tracks = {name: read(root / "GT" / f"{SPLIT}_{name}" / f"{stem}.npz") for name, read in READERS.items()}
    person = Person(tracks, np.stack([starts, ends], 1), seconds)
    if abs(len(voice) - person.frames) > 2:
        raise DataError(
            f"{place}: {len(voice)} frames of voice at 25 Hz do not fit the {person.frames} of {seconds:g} s of sound; "
            "extract both from one recording."
        )
    for name, track in tracks.items():
        gate(track, person.frames, f"GT {name} of {stem}")
    frames = min(len(voice), person.frames)
    return Person(tracks, person.speech, frames / FPS), voice[:frames]


def gate(track: Track, frames: int, what: str) -> None:
    """DataError for a video too short or too long to be a whole one."""
    if not LEAST * frames < len(track.values) < MOST * frames:
        raise DataError(
            f"{what}: {len(track.values)} frames against {frames} of the clock: a broken generation; leave it out."
        )


def read_system(root: Path, system: str, stem: str, frames: int) -> dict[str, Track]:
    """What a system generated for one listener. DataError with the first fault."""
    tracks = {name: read(root / system / f"{SPLIT}_{name}" / f"{stem}.npz") for name, read in READERS.items()}
    for name, track in tracks.items():
        gate(track, frames, f"{system} {name} of {stem}")
    return tracks


def adapt(root: Path, out: Path, options: Si184Options) -> Folder:
    """Write the data folder; see the module."""
    pairs = read_pairs(root / "pairs184.txt")
    systems = options.systems or tuple(SYSTEMS)
    check_systems(systems)
    check_corpus(root, systems, options.layer)
    check_known(root, pairs)
    faults: list[tuple[str, str, str]] = []
    with new_folder(out) as folder:
        frames = _people(root, folder, sorted({*pairs, *pairs.values()}), options, faults)
        lost = {stem for stem, _, _ in faults}
        whole = [stem for stem in sorted(pairs) if not {stem, pairs[stem]} & lost]
        faults += [
            (stem, "GT", f"{stem}: its speaker {pairs[stem]} is left out")
            for stem in sorted(pairs)
            if pairs[stem] in lost and stem not in lost
        ]
        _generated(root, folder, whole, systems, frames, faults)
        lost = {stem for stem, _, _ in faults}
        whole = [stem for stem in whole if stem not in lost]
        _decide(faults, whole, options)
        for path in (folder / "systems").glob("*/*.safetensors"):
            if path.stem in lost:
                path.unlink()
        found = Folder(
            folder, options.dataset, ENCODERS, (), {name: SYSTEMS.get(name, name) for name in systems},
            f"HuBERT base, {options.layer}, every second of 50 Hz", LICENCE, tuple(faults),
        )  # fmt: skip
        write_index(folder, found, _rows(folder, whole, pairs, options.dataset))
    return found


def _people(root: Path, folder: Path, stems: Iterable[str], options: Si184Options, faults: list) -> dict[str, int]:
    """Write every true person; how many frames each has. A fault is added with the person's stem."""

    def written(stem: str) -> tuple[int, int]:
        person, voice = read_person(root, stem, options.layer)
        write_person(folder / "people" / f"{stem}.safetensors", person, voice)
        return person.frames, voice.shape[1]

    frames, width = {}, None
    for stem, found in _by_threads(written, stems):
        if not isinstance(found, DataError):
            width = width or found[1]
            if found[1] == width:
                frames[stem] = found[0]
                continue
            (folder / "people" / f"{stem}.safetensors").unlink()
            found = DataError(
                f"{root / 'GT' / f'{SPLIT}_hubert' / stem}.npz: {options.layer} is {found[1]} wide, the "
                f"others {width}; extract all with one network."
            )
        faults.append((stem, "GT", str(found)))
    return frames


def _generated(root: Path, folder: Path, stems, systems, frames: dict[str, int], faults: list) -> None:
    for system in systems:

        def written(stem: str, system: str = system) -> None:
            tracks = read_system(root, system, stem, frames[stem])
            write_tracks(folder / "systems" / system / f"{stem}.safetensors", tracks)

        faults += [(stem, system, str(fault)) for stem, fault in _by_threads(written, stems) if fault is not None]


def _by_threads(function: Callable[[str], Any], stems: Iterable[str]) -> Iterator[tuple[str, Any]]:
    """Each stem with what `function` gives or the DataError it ends with, in order; unpacking takes time, not the GIL.

    A pickle is no fault of one dialogue, and raised: someone may want it to run.
    """

    def found(stem: str) -> tuple[str, Any]:
        try:
            return stem, function(stem)
        except DataError as error:
            if "could run code" in str(error):
                raise
            return stem, error

    with ThreadPoolExecutor(2) as pool:
        try:
            yield from pool.map(found, stems)
        finally:
            pool.shutdown(cancel_futures=True)


def _decide(faults: list[tuple[str, str, str]], whole: list[str], options: Si184Options) -> None:
    for _, _, reason in faults:
        print(f"left out: {reason}" if options.faulty == "exclude" else f"fault: {reason}", file=sys.stderr)
    if faults and options.faulty == "refuse":
        raise DataError(
            f"{faults[0][2]} ({len(faults)} fault{'s' * (len(faults) > 1)}, told above; --options "
            """'{"faulty": "exclude"}' leaves their dialogues out for all systems)"""
        )
    if not whole:
        raise DataError("no dialogue is left whose two sides and all systems can be read; mend the faults told above.")


def _rows(folder: Path, stems: Iterable[str], pairs: dict[str, str], dataset: str) -> list[dict]:
    rows, hashes = [], {}
    for stem in stems:
        for role, who in (("user", pairs[stem]), ("avatar", stem)):
            place = f"people/{who}.safetensors"
            hashes.setdefault(who, file_sha256(folder / place))
            session, _, person = STEM.fullmatch(who).groups()
            rows.append(
                {
                    "dataset": dataset, "kind": KIND, "split": "test", "dyad_id": stem, "role": role,
                    "subject_id": person, "session": session, "coefficients": place, "licence": LICENCE,
                    "sha256": hashes[who],
                }
            )  # fmt: skip
    return rows


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m dyads.adapters.si184", description=__doc__)
    parser.add_argument("--root", required=True, type=Path, help="the corpus: pairs184.txt, GT and a folder a system")
    parser.add_argument("--out", required=True, type=Path, help="the data folder to write")
    parser.add_argument("--options", default="{}", help="JSON object or @file; see Si184Options")
    args = parser.parse_args(arguments)
    options = parse_options(Si184Options, args.options)
    if not args.root.is_dir():
        raise ConfigError(f"--root {args.root} is no folder; fetch the corpus first, docs/si184.md says how.")
    found = adapt(args.root, args.out, options)
    left = len({stem for stem, _, _ in found.left_out})
    listed = len((args.out / "manifest.csv").read_text(encoding="utf-8").splitlines()) // 2
    print(f"{listed} dialogues of {len(found.systems)} systems ({left} left out) -> {args.out}", flush=True)


if __name__ == "__main__":
    run_cli(main)
