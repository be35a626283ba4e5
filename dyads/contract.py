"""What a dialogue is: the Dyad contract on disk, its validating reader and the writers of its index files.

`<data>/manifest.csv` has one row per dyad and role; `<data>/<split>/<dyad_id>/` holds `{user,avatar}.{mp4,wav}` and
`turns.jsonl`. `read_manifest` makes the light checks (index, files, turns); `python -m dyads.check` the deep ones.
"""

import csv
import hashlib
import io
import json
import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import soundfile

from dyads.errors import DataError
from dyads.files import write_text
from dyads.media import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME, iter_video, probe, read_video

__all__ = ["FPS", "SAMPLE_RATE", "SAMPLES_PER_FRAME"]
ROLES = ("user", "avatar")
SPLITS = ("train", "test")
COLUMNS = (
    *("dataset", "split", "dyad_id", "role", "subject_id", "video", "audio", "audio_channel", "mixed_audio"),
    *("fps", "width", "height", "licence", "crop", "sha256"),
)
REMEDY_ADAPT = "convert the recordings with `python -m dyads.folder`"


@dataclass(frozen=True)
class Side:
    """One person's recording in a dyad."""

    role: str
    subject_id: str
    video: Path
    audio: Path
    audio_channel: int | None
    mixed_audio: bool
    fps: float
    width: int
    height: int
    licence: str
    crop: str
    sha256: str


@dataclass(frozen=True)
class Turn:
    """One stretch of speech: start and end in seconds from the first frame, who speaks and the words."""

    start: float
    end: float
    role: str
    text: str


@dataclass(frozen=True)
class Dyad:
    """One dialogue of a user (observed) and an avatar (to be generated)."""

    dataset: str
    split: str
    dyad_id: str
    user: Side
    avatar: Side
    turns: tuple[Turn, ...]
    folder: Path

    def side(self, role: str) -> Side:
        """The side of a role in `ROLES`."""
        return {"user": self.user, "avatar": self.avatar}[role]

    @property
    def truth_path(self) -> Path:
        """Where the synthetic world keeps its ground truth; absent for real recordings."""
        return self.folder / "truth.safetensors"


@dataclass(frozen=True)
class DyadArrays:
    """Decoded dyad: frames uint8 (T,H,W,3) or None where not asked for, audio float32 (T*640,) in [-1,1]."""

    dyad: Dyad
    user_frames: np.ndarray | None
    avatar_frames: np.ndarray | None
    user_audio: np.ndarray
    avatar_audio: np.ndarray
    reference: np.ndarray


def read_turns(path: Path) -> tuple[Turn, ...]:
    """Read and validate `turns.jsonl`; raises `DataError` naming the file and line."""
    if not path.is_file():
        raise DataError(f"{path}: there is no turns file; write an empty one where there is no transcript.")
    turns: list[Turn] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        where = f"{path} line {number}"
        try:
            row = json.loads(line)
            turn = Turn(float(row["start"]), float(row["end"]), row["role"], str(row["text"]))
        except (ValueError, TypeError, KeyError) as error:
            wanted = '{"start": s, "end": s, "role": "user", "text": "..."}'
            raise DataError(f"{where}: not a turn ({error!r}); write each line as {wanted}.") from error
        if turn.role not in ROLES:
            raise DataError(f"{where}: unknown role {turn.role!r}; use one of {', '.join(ROLES)}.")
        if not (math.isfinite(turn.start) and math.isfinite(turn.end) and 0 <= turn.start <= turn.end):
            raise DataError(
                f"{where}: the turn runs from {turn.start:g} to {turn.end:g} s; give 0 <= start <= end in seconds."
            )
        if turns and turn.start < turns[-1].start:
            raise DataError(f"{where}: the turn starts before the one above; sort the lines by start.")
        turns.append(turn)
    return tuple(turns)


def write_turns(path: Path, turns: Iterable[Turn]) -> None:
    """Write `turns.jsonl`, sorted by start, atomically."""
    lines = [
        json.dumps(asdict(turn), ensure_ascii=False) for turn in sorted(turns, key=lambda t: (t.start, t.end))
    ]
    write_text(path, "".join(line + "\n" for line in lines))


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
    """The dyads of a data folder (of one split, where given), sorted by dyad_id; the first fault is a `DataError`."""
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
    """The stored sound of a side, float32 (N,) in [-1,1]; must be 16 kHz, mono unless audio_channel picks one."""
    try:
        audio, rate = soundfile.read(side.audio, dtype="float32", always_2d=True)
    except soundfile.SoundFileError as error:
        raise DataError(f"{side.audio}: cannot be read as sound ({error}); {REMEDY_ADAPT}.") from error
    channels = audio.shape[1]
    if rate != SAMPLE_RATE or (channels > 1 and side.audio_channel is None):
        raise DataError(
            f"{side.audio}: stored sound must be mono at {SAMPLE_RATE} Hz, this has {channels} channels at {rate} Hz; "
            f"{REMEDY_ADAPT}."
        )
    if channels > 1 and not 0 <= side.audio_channel < channels:
        raise DataError(f"{side.audio}: there is no channel {side.audio_channel}; correct audio_channel.")
    return audio[:, side.audio_channel if channels > 1 else 0]


def side_frames(side: Side) -> int:
    """The frame count by the headers, after checking them: 25 fps, stated size, own sound, wav of 640 a frame."""
    info = probe(side.video)
    if info.width == 0 or info.frames == 0:
        raise DataError(f"{side.video}: the clip has no frames; {REMEDY_ADAPT}.")
    if abs(info.fps - FPS) > 1e-6:
        raise DataError(
            f"{side.video}: the video runs at {info.fps:.3f} fps, stored data must have {FPS}; {REMEDY_ADAPT}."
        )
    if (info.width, info.height) != (side.width, side.height):
        raise DataError(
            f"{side.video}: the video is {info.width}x{info.height} but the manifest says {side.width}x{side.height}; "
            "correct the manifest."
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
    """Decode a dyad; `frames` names the roles whose video is decoded (both sounds and the reference always are)."""
    counts = {role: side_frames(dyad.side(role)) for role in ROLES}
    if counts["user"] != counts["avatar"]:
        raise DataError(
            f"{dyad.folder}: the user has {counts['user']} frames and the avatar {counts['avatar']}; {REMEDY_ADAPT}."
        )
    videos: dict[str, np.ndarray] = {}
    for role in frames:
        videos[role] = read_video(dyad.side(role).video)
        if len(videos[role]) != counts[role]:
            raise DataError(
                f"{dyad.side(role).video}: {len(videos[role])} of {counts[role]} frames can be read; restore the file."
            )
    reference = videos["avatar"][0] if "avatar" in videos else next(iter_video(dyad.avatar.video))
    return DyadArrays(
        *(dyad, videos.get("user"), videos.get("avatar"), read_wav(dyad.user), read_wav(dyad.avatar)),
        reference.copy(),
    )
