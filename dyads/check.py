"""Deep check of a data folder: `python -m dyads.check PATH [--features DIR]` names every fault, one a line.

Checked: manifest, identities, files, turns, headers, 25 fps, size, lengths of both sides, checksums, that
every frame can be decoded, and for feature files that each dyad has one with finite tensors shaped like
those of the other dyads. Of a data set as it lies on disk (`dyads.layouts`), what it holds and what it lacks.
Exit code 0 with a summary where all is well, 1 with the faults otherwise.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from dyads.contract import inspect_side, read_wav
from dyads.errors import ConfigError, DataError, run_cli
from dyads.features import Pattern, read_features, shape_fault
from dyads.layouts.recognise import recognised
from dyads.manifest import file_sha256, scan
from dyads.media.video import FPS, iter_video
from dyads.records import REMEDY_ADAPT, Dyad, Side


def side_faults(side: Side, decode: bool = True) -> tuple[int, list[str]]:
    """Frames and faults of one side: headers, checksum, and with `decode` every frame and sample."""
    frames, faults = inspect_side(side)
    digest = file_sha256(side.video)
    if digest != side.sha256.lower():
        stated = side.sha256[:12] or "nothing"
        faults.append(
            f"{side.video}: sha256 is {digest[:12]}..., the manifest says {stated}...; restore the file "
            "or make the folder again."
        )
    if decode and not faults:
        try:
            count = sum(1 for _ in iter_video(side.video))
            if count != frames:
                faults.append(f"{side.video}: {count} of {frames} frames can be read; restore the file.")
            read_wav(side)
        except DataError as error:
            faults.append(str(error))
    return frames, faults


def dyad_faults(dyad: Dyad, user: int, avatar: int) -> list[str]:
    """Faults between the sides of a dyad, given their frame counts, and of its turns."""
    faults = []
    if user != avatar:
        faults.append(f"{dyad.folder}: the user has {user} frames, the avatar {avatar}; {REMEDY_ADAPT}.")
    length = max(user, avatar) / FPS
    for turn in dyad.turns:
        if length and turn.end > length + 1 / FPS:
            faults.append(
                f"{dyad.folder / 'turns.jsonl'}: a turn ends at {turn.end:g} s, after the dialogue "
                f"({length:g} s); correct its times."
            )
    return faults


def feature_faults(folder: Path, lengths: dict[str, int], expect: dict[str, Pattern] | None) -> list[str]:
    """Faults of `<folder>/<dyad_id>.safetensors` for every dyad; `lengths` gives their frames, bound to T.

    Without `expect`, tensors must have the names, types and trailing sizes of the first sound file.
    """
    faults: list[str] = []
    first: tuple[Path, dict] | None = None
    for dyad_id, frames in lengths.items():
        path = folder / f"{dyad_id}.safetensors"
        try:
            tensors, _ = read_features(path)
        except DataError as error:
            faults.append(str(error))
            continue
        bound = {"T": frames}
        for name, pattern in (expect or {}).items():
            fault = shape_fault(tensors[name].shape, pattern, bound) if name in tensors else "is missing"
            if fault:
                faults.append(f"{path}: tensor {name!r} {fault}; delete the file and extract again.")
        kinds = {name: (str(tensor.dtype), tuple(tensor.shape[1:])) for name, tensor in tensors.items()}
        first = first or (path, kinds)
        for name in sorted(kinds.keys() | first[1].keys()):
            if kinds.get(name) != first[1].get(name):
                faults.append(
                    f"{path}: tensor {name!r} is {_kind(kinds.get(name))} but {_kind(first[1].get(name))} in "
                    f"{first[0].name}; delete the odd one and extract again."
                )
    return faults


def _kind(kind: tuple[str, tuple[int, ...]] | None) -> str:
    return "absent" if kind is None else f"{kind[0].removeprefix('torch.')} (*, {', '.join(map(str, kind[1]))})"


def check(
    data: Path, features: Path | None = None, expect: dict[str, Pattern] | None = None, decode: bool = True
) -> tuple[str, list[str]]:
    """A one-line summary and every fault of a data folder (and of its features) as a sentence."""
    found = scan(data)
    faults, frames = list(found.faults), {}
    for side in found.sides:
        frames[side.video], more = side_faults(side, decode)
        faults += more
    lengths = {}
    for dyad in found.dyads:
        user, avatar = frames[dyad.user.video], frames[dyad.avatar.video]
        faults += dyad_faults(dyad, user, avatar)
        lengths[dyad.dyad_id] = min(user, avatar)
    if features is not None:
        faults += feature_faults(features, lengths, expect)
    splits = sorted({dyad.split for dyad in found.dyads})
    counts = ", ".join(f"{sum(dyad.split == split for dyad in found.dyads)} {split}" for split in splits)
    return (
        f"{data}: {len(found.dyads)} dyads ({counts}), {sum(lengths.values()) / FPS:.1f} s of dialogue",
        faults,
    )


def main() -> int:
    """Command line; see the module docstring."""
    parser = argparse.ArgumentParser(prog="python -m dyads.check", description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with a manifest.csv")
    parser.add_argument("--features", type=Path, help="folder with a feature file per dyad")
    parser.add_argument("--expect", help='JSON object of shape patterns, such as {"latents": "T 8 8 4"}')
    parser.add_argument("--headers-only", action="store_true", help="do not decode every frame")
    arguments = parser.parse_args()
    kinds = [] if (arguments.data / "manifest.csv").is_file() else recognised(arguments.data)
    if kinds:
        print(f"{arguments.data}: recordings as {kinds[0]} lays them out, not yet adapted", flush=True)
        listing = ("--kind", kinds[0], "--root", str(arguments.data), "--out", os.devnull, "--list")
        return subprocess.run([sys.executable, "-m", "dyads.adapters", *listing]).returncode
    try:
        expect = json.loads(arguments.expect) if arguments.expect else None
    except ValueError as error:
        raise ConfigError(f"--expect is not JSON ({error}); give an object of shape patterns.") from error
    summary, faults = check(arguments.data, arguments.features, expect, not arguments.headers_only)
    if faults:
        print("\n".join(faults))
        return 1
    print(f"{summary}, no faults")
    return 0


if __name__ == "__main__":
    run_cli(main)
