"""Adapter for a folder of real recordings: `python -m dyads.adapters.folder --pairs pairs.csv --root CLIPS --out DIR`.

Every dialogue of the pairs file (see `dyads.adapters.pairs`) is re-encoded to the Dyad contract: 25 fps by
timestamps, one fixed square face crop per video, mono 16 kHz sound of exactly 640 samples a frame. Both
sides are cut to the shorter one; what was cut is printed and written to `report.csv`, beside the source and
the crop. A finished dialogue is skipped when the same command runs again; the manifest is written last, so
its presence means that all is complete. The cropped frames of one dialogue are held in memory: an hour
takes 2.2 GB at 64x64 and 8.8 GB at 128x128.
"""

import argparse
import csv
import hashlib
import io
import json
import math
import shutil
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import numpy as np

from dyads.adapters.face_crop import SAMPLES, Crop, apply_crop, choose_crop
from dyads.adapters.pairs import Pair, Source, read_pairs
from dyads.errors import ConfigError, DataError, run_cli
from dyads.files import atomic_path, write_json, write_text
from dyads.manifest import file_sha256, write_manifest
from dyads.media.containers import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME, probe
from dyads.media.video import fit_audio, iter_video, read_audio, write_video, write_wav
from dyads.records import ROLES, Turn, read_turns, write_turns

VERSION = 1  # raise when the output changes for the same input, so that finished dialogues are made again
REPORT = ("dyad_id", "role", "source", "source_fps", "crop", "frames")
REPORT += ("cut_seconds", "dropped_seconds", "sound_fitted_seconds")


@dataclass(frozen=True)
class FolderOptions:
    """How recordings are adapted: side in pixels, seconds, and the quality of the stored video (x264 crf)."""

    dataset: str = "folder"
    size: int = 64
    segment_seconds: float = 0.0  # 0 keeps every dialogue whole
    minimum_seconds: float = 2.0  # a shorter rest after the last whole segment is dropped, and reported
    audio_tolerance: float = 0.5  # how far sound and its own video may differ in length
    crf: int = 12

    def __post_init__(self) -> None:
        if self.size < 16 or self.size % 2:
            raise ConfigError(f"size is {self.size}; give an even number of pixels from 16.")
        if self.segment_seconds < 0 or 0 < self.segment_seconds < self.minimum_seconds:
            raise ConfigError(
                f"segment_seconds is {self.segment_seconds:g}; give 0 or at least minimum_seconds "
                f"({self.minimum_seconds:g})."
            )


def find_crop(source: Source, start: float, end: float | None) -> Crop:
    """The fixed crop of a recording, from frames spread over the span that is used."""
    if source.box is not None:
        return choose_crop([next(iter_video(source.video, start=start, end=end))], source.box, str(source.video))
    info = probe(source.video)
    span = min(end or math.inf, info.duration) - start
    rate = SAMPLES / span if span > 0 else FPS
    return choose_crop(list(iter_video(source.video, min(rate, FPS), start, end)), None, str(source.video))


def read_side(
    source: Source, start: float, end: float | None, options: FolderOptions
) -> tuple[np.ndarray, np.ndarray, Crop, float]:
    """Frames uint8 (T,S,S,3), sound float32 (T*640,), the crop, and the seconds of silence added.

    Negative seconds: that much sound after the last frame was left out.
    """
    crop = find_crop(source, start, end)
    shown = iter_video(source.video, FPS, start, end)
    frames = np.stack([apply_crop(frame, crop, options.size) for frame in shown])
    if end is not None and len(frames) < (end - start) * FPS - 1:
        seconds = start + len(frames) / FPS
        raise DataError(f"{source.video}: the video ends at {seconds:.2f} s, before end {end:g} s; correct end.")
    audio = read_audio(source.audio, source.channel)
    first = round(start * SAMPLE_RATE)
    last = len(audio) if end is None else first + len(frames) * SAMPLES_PER_FRAME
    sound = audio[first:last]
    fitted = len(frames) / FPS - len(sound) / SAMPLE_RATE
    return frames, fit_audio(sound, len(frames), options.audio_tolerance, source.audio), crop, fitted


def cut_turns(turns: tuple[Turn, ...], start: float, stop: float) -> list[Turn]:
    """Turns between two times, clipped and counted from `start`; one across a cut is in both parts."""
    return [
        replace(turn, start=max(turn.start, start) - start, end=min(turn.end, stop) - start)
        for turn in turns
        if turn.end > start and turn.start < stop
    ]


def segments(frames: int, options: FolderOptions) -> list[tuple[int, int]]:
    """(start, stop) frames of the stored dialogues that one recording gives."""
    if not options.segment_seconds:
        return [(0, frames)]
    length, minimum = round(options.segment_seconds * FPS), options.minimum_seconds * FPS
    bounds = [(start, min(start + length, frames)) for start in range(0, frames, length)]
    kept = [(start, stop) for start, stop in bounds if stop - start >= minimum]
    return kept or [(0, frames)]  # a recording shorter than the minimum is kept whole


def convert(pair: Pair, out: Path, options: FolderOptions) -> dict:
    """Write the dialogue folders of one pair; returns its manifest rows and report lines."""
    turns = read_turns(pair.turns) if pair.turns else ()
    sides = {role: read_side(pair.source(role), pair.start, pair.end, options) for role in ROLES}
    frames = min(len(sides[role][0]) for role in ROLES)
    parts = segments(frames, options)
    rows = []
    for index, (start, stop) in enumerate(parts):
        dyad_id = f"{pair.dyad_id}_s{index:03d}" if options.segment_seconds else pair.dyad_id
        folder = out / pair.split / dyad_id
        if folder.exists():
            shutil.rmtree(folder)  # left by other options or another version of the sources
        origin = pair.start + start / FPS
        with atomic_path(folder) as temporary:
            temporary.mkdir()
            write_turns(temporary / "turns.jsonl", cut_turns(turns, origin, pair.start + stop / FPS))
            for role in ROLES:
                pictures, audio, crop, _ = sides[role]
                sound = audio[start * SAMPLES_PER_FRAME : stop * SAMPLES_PER_FRAME]
                write_video(temporary / f"{role}.mp4", pictures[start:stop], sound, crf=options.crf)
                write_wav(temporary / f"{role}.wav", sound)
                rows.append(
                    {
                        "dataset": options.dataset,
                        "split": pair.split,
                        "dyad_id": dyad_id,
                        "role": role,
                        "subject_id": pair.source(role).subject_id,
                        "video": f"{pair.split}/{dyad_id}/{role}.mp4",
                        "audio": f"{pair.split}/{dyad_id}/{role}.wav",
                        "audio_channel": "",
                        "mixed_audio": "true" if pair.mixed_audio else "false",
                        "fps": FPS,
                        "width": options.size,
                        "height": options.size,
                        "licence": pair.licence,
                        "crop": crop.origin,
                        "sha256": file_sha256(temporary / f"{role}.mp4"),
                    }
                )
    report = [
        {
            "dyad_id": pair.dyad_id,
            "role": role,
            "source": pair.source(role).video.name,
            "source_fps": round(probe(pair.source(role).video).fps, 3),
            "crop": sides[role][2].origin,
            "frames": frames,
            "cut_seconds": (len(sides[role][0]) - frames) / FPS,
            "dropped_seconds": (frames - parts[-1][1]) / FPS,
            "sound_fitted_seconds": round(sides[role][3], 4),
        }
        for role in ROLES
    ]
    return {"rows": rows, "report": report}


def describe(line: dict) -> str:
    """One report line in words."""
    text = "{dyad_id} {role}: {frames} frames of {source} ({source_fps:g} fps), crop {crop}".format(**line)
    for key, words in (
        ("cut_seconds", "cut {:.2f} s from its end to match the other side"),
        ("dropped_seconds", "dropped a rest of {:.2f} s"),
        ("sound_fitted_seconds", "sound fitted by {:+.3f} s"),
    ):
        text += f", {words.format(line[key])}" if abs(line[key]) > 1e-9 else ""
    return text


def source_key(pair: Pair, options: FolderOptions) -> str:
    """Hash of all that decides the output of one pair; files count by name, size and modification time."""
    files = {source.video for source in (pair.user, pair.avatar)} | {pair.user.audio, pair.avatar.audio}
    files |= {pair.turns} if pair.turns else set()
    stats = sorted((str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files)
    text = json.dumps([VERSION, asdict(pair), asdict(options), stats], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _finished(record: Path, key: str, out: Path) -> dict | None:
    """The record of a finished dialogue, None where it must be made."""
    if not record.is_file():
        return None
    try:
        value = json.loads(record.read_text(encoding="utf-8"))
        whole = all((out / row[kind]).is_file() for row in value["rows"] for kind in ("video", "audio"))
    except (ValueError, KeyError, TypeError):
        return None
    return value if value.get("key") == key and whole else None


def adapt(pairs: list[Pair], out: Path, options: FolderOptions) -> list[dict]:
    """Convert all pairs into a data folder; returns the report lines."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "manifest.csv").unlink(missing_ok=True)
    rows, report = [], []
    for pair in pairs:
        record, key = out / "sources" / f"{pair.dyad_id}.json", source_key(pair, options)
        value = _finished(record, key, out)
        state = "kept" if value else "made"
        if value is None:
            record.unlink(missing_ok=True)
            value = {"key": key, **convert(pair, out, options)}
            write_json(record, value)
        rows += value["rows"]
        report += value["report"]
        for line in value["report"]:
            print(f"{state} {describe(line)}")
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, REPORT, lineterminator="\n")
    writer.writeheader()
    writer.writerows(report)
    write_text(out / "report.csv", buffer.getvalue())
    write_manifest(out, rows)
    return report


def parse_options(text: str | None, **given: object) -> FolderOptions:
    """Options from a JSON object; arguments that are not None win, unknown keys are a `ConfigError`."""
    try:
        values = json.loads(text) if text else {}
    except ValueError as error:
        raise ConfigError(f"--options is not JSON ({error}); give an object.") from error
    known = {field.name: type(field.default) for field in fields(FolderOptions)}
    if not isinstance(values, dict):
        raise ConfigError('--options is no JSON object; give one such as {"size": 64}.')
    for key, value in values.items():
        if key not in known:
            raise ConfigError(f"--options: unknown key {key!r}; use one of {', '.join(known)}.")
        wanted = (int, float) if known[key] is float else known[key]
        if not isinstance(value, wanted) or isinstance(value, bool):
            raise ConfigError(f"--options: {key} is {value!r}; give a {known[key].__name__}.")
    return FolderOptions(**{**values, **{key: value for key, value in given.items() if value is not None}})


def main() -> int:
    """Command line; see the module docstring."""
    parser = argparse.ArgumentParser(prog="python -m dyads.adapters.folder", description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=Path, required=True, help="CSV with one row per dialogue")
    parser.add_argument("--root", type=Path, help="folder that its paths are relative to (default: its own)")
    parser.add_argument("--out", type=Path, required=True, help="data folder to write")
    parser.add_argument("--size", type=int, help="side of the square frames in pixels (default 64)")
    parser.add_argument("--segment-seconds", type=float, help="cut dialogues into parts of this length")
    parser.add_argument("--options", help="JSON object with the fields of FolderOptions")
    arguments = parser.parse_args()
    options = parse_options(arguments.options, size=arguments.size, segment_seconds=arguments.segment_seconds)
    root = arguments.root or arguments.pairs.parent
    if not root.is_dir():
        raise DataError(f"{root}: there is no such folder; give the folder of the recordings as --root.")
    adapt(read_pairs(arguments.pairs, root), arguments.out, options)
    return 0


if __name__ == "__main__":
    run_cli(main)
