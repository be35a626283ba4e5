"""What a dialogue is on disk: the validating reader of a data folder and the writer of its manifest.

`<data>/manifest.csv` has one row per dyad and role; `<data>/<split>/<dyad_id>/` holds `{user,avatar}.{mp4,wav}`
and `turns.jsonl`. `read_manifest` makes the light checks (index, files, turns), `python -m dyads.check` the deep
ones.
"""

import csv
import hashlib
import io
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import soundfile

from dyads.errors import DataError
from dyads.files import write_text
from dyads.media import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME, iter_video, probe, read_video
from dyads.records import (
    COLUMNS,
    REMEDY_ADAPT,
    ROLES,
    SPLITS,
    Dyad,
    DyadArrays,
    Side,
    Turn,
    read_turns,
    write_turns,
)

__all__ = ["COLUMNS", "FPS", "ROLES", "SAMPLE_RATE", "SAMPLES_PER_FRAME", "SPLITS", "Dyad", "DyadArrays"]
__all__ += ["Side", "Turn", "read_manifest", "load_arrays", "read_turns", "write_turns", "write_manifest"]
__all__ += ["file_sha256"]


def file_sha256(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def write_manifest(data: Path, rows: Iterable[dict]) -> None:
    """Write `<data>/manifest.csv` atomically from dictionaries with exactly the keys `COLUMNS`."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: "" if row[key] is None else row[key] for key in COLUMNS})
    write_text(Path(data) / "manifest.csv", buffer.getvalue())


def _parse_side(row: dict[str, str], data: Path, where: str) -> Side:
    """One manifest row; raises `DataError` on a bad value or a missing media file."""
    for key in ("dataset", "dyad_id", "subject_id", "video", "audio"):
        if not row[key].strip():
            raise DataError(f"{where}: column {key} is empty; fill it in.")
    if row["role"] not in ROLES:
        raise DataError(f"{where}: unknown role {row['role']!r}; use one of {', '.join(ROLES)}.")
    if row["split"] not in SPLITS:
        raise DataError(f"{where}: unknown split {row['split']!r}; use one of {', '.join(SPLITS)}.")
    if row["dyad_id"].startswith(".") or set(row["dyad_id"]) & set("/\\"):
        raise DataError(
            f"{where}: dyad_id {row['dyad_id']!r} cannot name a folder; drop the leading dot or slashes."
        )
    if row["mixed_audio"].lower() not in ("true", "false", "1", "0"):
        raise DataError(f"{where}: mixed_audio is {row['mixed_audio']!r}; write true or false.")
    try:
        channel = int(row["audio_channel"]) if row["audio_channel"].strip() else None
        fps, width, height = float(row["fps"]), int(row["width"]), int(row["height"])
    except ValueError as error:
        raise DataError(
            f"{where}: audio_channel, fps, width or height is no number ({error}); correct it."
        ) from error
    if fps != FPS:
        raise DataError(f"{where}: fps is {fps:g}, stored data must have {FPS}; {REMEDY_ADAPT}.")
    if width < 2 or height < 2 or width % 2 or height % 2:
        raise DataError(f"{where}: {width}x{height} are no even frame sides; {REMEDY_ADAPT}.")
    for key in ("video", "audio"):
        if not (data / row[key]).is_file():
            raise DataError(
                f"{where}: {key} file {data / row[key]} is missing; restore it or drop the dyad's rows."
            )
    return Side(
        *(row["role"], row["subject_id"], data / row["video"], data / row["audio"], channel),
        *(
            row["mixed_audio"].lower() in ("true", "1"),
            fps,
            width,
            height,
            row["licence"],
            row["crop"],
            row["sha256"],
        ),
    )


def scan(data: Path | str) -> tuple[list[Dyad], list[str]]:
    """Light checks of a data folder: the sound dyads, sorted by dyad_id, and every fault as a sentence."""
    data = Path(data)
    manifest = data / "manifest.csv"
    if not manifest.is_file():
        return [], [
            f"{manifest}: there is no manifest; give a data folder or make one with `python -m dyads.folder`."
        ]
    try:
        reader = csv.DictReader(io.StringIO(manifest.read_text(encoding="utf-8-sig"), newline=""))
        rows = list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        return [], [f"{manifest}: not a UTF-8 CSV file ({error}); save it as UTF-8 CSV."]
    missing = [key for key in COLUMNS if key not in (reader.fieldnames or ())]
    if missing:
        return [], [f"{manifest}: missing column {', '.join(missing)}; add it to the header."]
    faults, groups = [], defaultdict(list)
    splits: dict[str, dict[str, int]] = defaultdict(dict)
    for number, row in enumerate(rows, 2):
        where = f"{manifest} line {number}"
        if None in row or None in row.values():
            faults.append(f"{where}: the row does not have {len(COLUMNS)} values; correct it.")
            continue
        splits[row["subject_id"]].setdefault(row["split"], number)
        groups[row["dyad_id"]].append((number, row))
    for subject, seen in splits.items():
        if len(seen) > 1:
            places = " and ".join(f"{split} (line {number})" for split, number in seen.items())
            faults.append(
                f"{manifest}: subject {subject!r} is in splits {places}; keep each identity in one split."
            )
    dyads = []
    for dyad_id, members in sorted(groups.items()):
        before, sides = len(faults), {}
        for number, row in members:
            where = f"{manifest} line {number}"
            try:
                side = _parse_side(row, data, where)
            except DataError as error:
                faults.append(str(error))
                continue
            if side.role in sides:
                faults.append(
                    f"{where}: dyad {dyad_id!r} has a second row for role {side.role}; keep one per role."
                )
            sides[side.role] = side
        roles = {row["role"] for _, row in members}
        for role in ROLES:
            if role not in roles and roles <= set(ROLES):
                faults.append(
                    f"{manifest}: dyad {dyad_id!r} has no row for role {role}; add it or drop the dyad."
                )
        first = members[0][1]
        for key in ("split", "dataset"):
            if len({row[key] for _, row in members}) > 1:
                faults.append(f"{manifest}: the rows of dyad {dyad_id!r} differ in {key}; make them equal.")
        folder, turns = data / first["split"] / dyad_id, ()
        if len(faults) == before:
            try:
                turns = read_turns(folder / "turns.jsonl")
            except DataError as error:
                faults.append(str(error))
        if len(faults) == before:
            split = first["split"]
            dyads.append(
                Dyad(first["dataset"], split, dyad_id, sides["user"], sides["avatar"], turns, folder)
            )
    if not rows:
        faults.append(f"{manifest}: the manifest lists no dyads; add rows or make the folder again.")
    return dyads, faults


def read_manifest(data: Path | str, split: str | None = None) -> list[Dyad]:
    """The dyads of a data folder (or of one split), sorted by dyad_id; the first fault is a `DataError`."""
    dyads, faults = scan(data)
    if faults:
        more = f" (and {len(faults) - 1} more: run `python -m dyads.check {data}`)" if len(faults) > 1 else ""
        raise DataError(faults[0] + more)
    if split is None:
        return dyads
    chosen = [dyad for dyad in dyads if dyad.split == split]
    if not chosen:
        raise DataError(
            f"{Path(data) / 'manifest.csv'}: no dyad is in split {split!r}; use train or test, or add rows."
        )
    return chosen


def read_wav(side: Side) -> np.ndarray:
    """The stored sound of a side, float32 (N,) in [-1,1]; 16 kHz, mono unless audio_channel picks one."""
    try:
        audio, rate = soundfile.read(side.audio, dtype="float32", always_2d=True)
    except soundfile.SoundFileError as error:
        raise DataError(f"{side.audio}: cannot be read as sound ({error}); {REMEDY_ADAPT}.") from error
    channels = audio.shape[1]
    if rate != SAMPLE_RATE or (channels > 1 and side.audio_channel is None):
        raise DataError(
            f"{side.audio}: stored sound must be mono at {SAMPLE_RATE} Hz, not {channels} channels at {rate} Hz; "
            f"{REMEDY_ADAPT}."
        )
    if channels > 1 and not 0 <= side.audio_channel < channels:
        raise DataError(f"{side.audio}: there is no channel {side.audio_channel}; correct audio_channel.")
    return audio[:, side.audio_channel if channels > 1 else 0]


def side_frames(side: Side) -> int:
    """The frame count, after checking the headers: 25 fps, stated size, own sound, wav of 640 a frame."""
    info = probe(side.video)
    if info.width == 0 or info.frames == 0:
        raise DataError(f"{side.video}: the clip has no frames; {REMEDY_ADAPT}.")
    if abs(info.fps - FPS) > 1e-6:
        raise DataError(
            f"{side.video}: the video runs at {info.fps:.3f} fps, stored data must have {FPS}; "
            f"{REMEDY_ADAPT}."
        )
    if (info.width, info.height) != (side.width, side.height):
        raise DataError(
            f"{side.video}: the video is {info.width}x{info.height} but the manifest says "
            f"{side.width}x{side.height}; correct the manifest."
        )
    if not info.has_audio:
        raise DataError(f"{side.video}: the video has no audio stream; {REMEDY_ADAPT}.")
    try:
        samples = soundfile.info(side.audio).frames
    except soundfile.SoundFileError as error:
        raise DataError(f"{side.audio}: cannot be read as sound ({error}); {REMEDY_ADAPT}.") from error
    if samples != info.frames * SAMPLES_PER_FRAME:
        raise DataError(
            f"{side.audio}: {samples} samples do not match the {info.frames} frames of {side.video.name}, "
            f"{info.frames * SAMPLES_PER_FRAME} are needed; {REMEDY_ADAPT}."
        )
    return info.frames


def load_arrays(dyad: Dyad, frames: tuple[str, ...] = ROLES) -> DyadArrays:
    """Decode a dyad; `frames` names the roles whose video is wanted (sounds and reference always come)."""
    counts = {role: side_frames(dyad.side(role)) for role in ROLES}
    if counts["user"] != counts["avatar"]:
        raise DataError(
            f"{dyad.folder}: the user has {counts['user']} frames and the avatar {counts['avatar']}; "
            f"{REMEDY_ADAPT}."
        )
    videos: dict[str, np.ndarray] = {}
    for role in frames:
        videos[role] = read_video(dyad.side(role).video)
        if len(videos[role]) != counts[role]:
            raise DataError(
                f"{dyad.side(role).video}: {len(videos[role])} of {counts[role]} frames can be read; restore it."
            )
    reference = videos["avatar"][0] if "avatar" in videos else next(iter_video(dyad.avatar.video))
    return DyadArrays(
        *(dyad, videos.get("user"), videos.get("avatar"), read_wav(dyad.user), read_wav(dyad.avatar)),
        reference.copy(),
    )
