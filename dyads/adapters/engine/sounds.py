"""A dialogue's sound while it is made: a side's, in a temporary file from the video's start, and what it lacks."""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dyads.adapters.engine.options import AdaptOptions
from dyads.adapters.pairs import Pair, Skipped, Source
from dyads.errors import DataError
from dyads.manifest import same_content
from dyads.media.containers import FPS, SAMPLE_RATE, count_audio
from dyads.media.sound import spool_audio
from dyads.records import ROLES, Turn

BLOCK = 1 << 16  # samples of sound held at a time; a multiple of the sound encoder's frame
SILENT = 1e-4  # largest sample of a track in which nothing was recorded: -80 dB


@dataclass(frozen=True)
class Sound:
    """A side's sound: raw float32 at 16 kHz in `path` (None: silence), from the video's start."""

    path: Path | None
    samples: int

    def part(self, first: int, count: int) -> Iterator[np.ndarray]:
        """So many samples from one on, in blocks; silence where there are none."""
        with ExitStack() as stack:
            handle = stack.enter_context(open(self.path, "rb")) if self.path else None
            for start in range(first, first + count, BLOCK):
                wanted = min(BLOCK, first + count - start)
                block = np.zeros(wanted, np.float32)
                if handle is not None and start < self.samples:
                    handle.seek(4 * start)
                    found = np.frombuffer(handle.read(4 * min(wanted, self.samples - start)), np.float32)
                    block[: len(found)] = np.clip(found, -1, 1)
                yield block

    def silent(self) -> bool:
        """Whether nothing was recorded."""
        return all(np.abs(block).max(initial=0) < SILENT for block in self.part(0, self.samples))


def spool(source: Source, start: float, folder: Path, name: str) -> Sound:
    """A side's sound from `start` on."""
    if source.audio is None:
        return Sound(None, 0)
    path = folder / f"{name}.raw"
    samples = spool_audio(source.audio, source.channel, path, source.stream)
    first = round(start * SAMPLE_RATE)
    if first:
        with open(path, "rb") as handle, open(path.with_suffix(".cut"), "wb") as target:
            handle.seek(4 * first)
            shutil.copyfileobj(handle, target)
        os.replace(path.with_suffix(".cut"), path)
    return Sound(path, max(0, samples - first))


def fitted(source: Source, sound: Sound, frames: int, end: float | None, tolerance: float) -> float:
    """Seconds of silence added after a side's sound (below 0: left out); more than `tolerance` is a `DataError`."""
    if source.audio is None or source.video is None:
        return 0.0
    off = frames / FPS - sound.samples / SAMPLE_RATE
    if off < 0 and end is not None:
        return 0.0  # sound of the rest of the recording
    if abs(off) > tolerance:
        raise DataError(
            f"{source.audio}: the sound lasts {sound.samples / SAMPLE_RATE:.3f} s but the video {frames / FPS:.3f} s "
            f"({frames} frames), more than {tolerance:g} s apart; give the sound of this video, the span "
            "in which both are there (start, end), or a larger audio_tolerance."
        )
    return off


def one_track(pair: Pair) -> bool:
    """Whether both sides are one track: the same one of a file, or of a copy of it."""
    user, avatar = pair.user, pair.avatar
    if pair.mixed_audio or pair.mixed is not None or None in (user.audio, avatar.audio):
        return pair.mixed_audio
    return (user.stream, user.channel) == (avatar.stream, avatar.channel) and same_content(user.audio, avatar.audio)


def silences(pair: Pair, sounds: dict[str, Sound], turns: tuple[Turn, ...], options: AdaptOptions) -> list[str]:
    """Remarks on sides in which nothing was recorded; where a data set's own turns say otherwise it is a `Skipped`."""
    remarks = []
    for role in ROLES:
        if sounds[role].path is None or not sounds[role].silent():
            continue
        streams = count_audio(pair.source(role).audio)
        if streams > 1 and not pair.source(role).stream:
            raise DataError(
                f"{pair.source(role).audio}: the first of its {streams} audio streams is silent; choose another one "
                f"({role}_audio: #a1), or `none` for a side without sound."
            )
        said = sum(turn.end - turn.start for turn in turns if turn.role == role)
        words = f"{pair.dyad_id} {role}: its sound is silent throughout"
        if said > 0 and pair.notes:
            raise Skipped(f"{words}, its turns speak for {said:.1f} s; left out.")
        if options.silent_sides == "skip":
            raise Skipped(f"{words}; left out (option silent_sides).")
        remarks.append(f"{role}: silent throughout")
    return remarks
