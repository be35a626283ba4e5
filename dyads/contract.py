"""What a dialogue is on disk: the validating reader of a data folder.

`<data>/manifest.csv` has one row per dyad and role; `<data>/<split>/<dyad_id>/` holds
`{user,avatar}.{mp4,wav}` and `turns.jsonl`. `read_manifest` makes the light checks (index, files, turns),
`load_arrays` checks what it decodes, `python -m dyads.check` checks everything.
"""

import re
from pathlib import Path

import numpy as np
import soundfile

from dyads.errors import DataError
from dyads.manifest import Scan, file_sha256, scan, write_manifest
from dyads.media.video import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME, iter_video, probe, read_video
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
from dyads.shards import WHOLE, Shard

__all__ = ["COLUMNS", "FPS", "ROLES", "SAMPLE_RATE", "SAMPLES_PER_FRAME", "SPLITS"]
__all__ += ["Dyad", "DyadArrays", "Scan", "Side", "Turn", "scan", "data_folders", "read_manifest", "load_arrays"]
__all__ += ["read_turns", "write_turns", "write_manifest", "file_sha256"]


def data_folders(results: Path | str) -> list[Path]:
    """A run's data folders, `<results>/data/*` with a manifest; a replicate's are its study's, one folder above."""
    results = Path(results)
    found = sorted(path.parent for path in results.glob("data/*/manifest.csv"))
    return found or (data_folders(results.parent) if re.fullmatch(r"replicate\d+", results.name) else [])


def read_manifest(data: Path | str, split: str | None = None, shard: Shard = WHOLE) -> list[Dyad]:
    """The dyads of a data folder (or of one split), sorted by dyad_id; the first fault is a `DataError`.

    With a `shard`, its run of them, which may be empty.
    """
    found = scan(data, split, shard)
    dyads, faults = found.dyads, found.faults
    if faults:
        more = f" (and {len(faults) - 1} more: run `python -m dyads.check {data}`)" if len(faults) > 1 else ""
        raise DataError(faults[0] + more)
    if split is None or not shard.whole:
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
            f"{side.audio}: stored sound is mono at {SAMPLE_RATE} Hz, not {channels} channels at {rate} Hz; "
            f"{REMEDY_ADAPT}."
        )
    if channels > 1 and not 0 <= side.audio_channel < channels:
        raise DataError(f"{side.audio}: there is no channel {side.audio_channel}; correct audio_channel.")
    return audio[:, side.audio_channel if channels > 1 else 0]


def inspect_side(side: Side) -> tuple[int, list[str]]:
    """Header checks of one side: its frame count (0 where unknown) and every fault as a sentence."""
    faults, frames = [], 0
    try:
        info = probe(side.video)
        frames = info.frames
        if frames == 0 or info.width == 0:
            faults.append(f"{side.video}: the clip has no frames; {REMEDY_ADAPT}.")
        elif abs(info.fps - FPS) > 1e-6:
            faults.append(
                f"{side.video}: the video has {info.fps:.3f} fps, stored data must have {FPS}; {REMEDY_ADAPT}."
            )
        if frames and (info.width, info.height) != (side.width, side.height):
            faults.append(
                f"{side.video}: the video is {info.width}x{info.height} but the manifest says "
                f"{side.width}x{side.height}; correct the manifest."
            )
        if not info.has_audio:
            faults.append(f"{side.video}: the video has no audio stream; {REMEDY_ADAPT}.")
    except DataError as error:
        faults.append(str(error))
    try:
        samples = soundfile.info(side.audio).frames
    except soundfile.SoundFileError as error:
        return frames, [*faults, f"{side.audio}: cannot be read as sound ({error}); {REMEDY_ADAPT}."]
    if frames and samples != frames * SAMPLES_PER_FRAME:
        faults.append(
            f"{side.audio}: {samples} samples do not match the {frames} frames of {side.video.name}, "
            f"{frames * SAMPLES_PER_FRAME} are needed; {REMEDY_ADAPT}."
        )
    return frames, faults


def dyad_frames(dyad: Dyad) -> int:
    """The frame count of a dyad after the header checks of both sides; the first fault is a `DataError`."""
    (user, faults), (avatar, more) = inspect_side(dyad.user), inspect_side(dyad.avatar)
    if user != avatar:
        more.append(f"{dyad.folder}: the user has {user} frames, the avatar {avatar}; {REMEDY_ADAPT}.")
    if faults + more:
        raise DataError((faults + more)[0])
    return user


def load_arrays(dyad: Dyad, frames: tuple[str, ...] = ROLES) -> DyadArrays:
    """Decode a dyad; `frames` names the roles whose video is wanted (sounds and reference always come)."""
    count = dyad_frames(dyad)
    videos: dict[str, np.ndarray] = {}
    for role in frames:
        path = dyad.side(role).video
        videos[role] = read_video(path)
        if len(videos[role]) != count:
            raise DataError(f"{path}: {len(videos[role])} of {count} frames can be read; restore the file.")
    reference = videos["avatar"][0] if "avatar" in videos else next(iter_video(dyad.avatar.video))
    return DyadArrays(
        dyad=dyad,
        user_frames=videos.get("user"),
        avatar_frames=videos.get("avatar"),
        user_audio=read_wav(dyad.user),
        avatar_audio=read_wav(dyad.avatar),
        reference=reference.copy(),
    )
