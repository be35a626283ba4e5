"""Recordings of synthetic people as a camera would give them: wide pictures and sound at any rate."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import soundfile

from dyads.media.containers import FPS, SAMPLE_RATE
from dyads.media.sound import resample
from dyads.media.writer import VideoWriter
from dyads.synthetic.drawing.render import render_frames
from dyads.synthetic.world import Dialogue

WALL = (126, 134, 142)


def write_recording(
    path: Path,
    dialogue: Dialogue,
    role: str,
    fps: Fraction | int = 30,
    seconds: float | None = None,
    height: int = 144,
    width: int = 256,
    sound: bool = False,
    start: float = 0.0,
) -> int:
    """A side's picture, the face's square in the middle of a wall, as mp4; the number of frames."""
    values = dialogue.faces.user if role == "user" else dialogue.faces.avatar
    span = min(len(values) / FPS - start, seconds or np.inf)
    count = int(span * fps)
    chosen = np.minimum(((start + np.arange(count) / float(fps)) * FPS).round().astype(int), len(values) - 1)
    faces = render_frames(dialogue.identity[role], values[chosen], height, dialogue.seed)
    wall = np.full((height, width, 3), WALL, np.uint8)
    left = (width - height) // 2
    with VideoWriter(path, height, width, fps, crf=16, sound=sound) as writer:
        for face in faces:
            wall[:, left : left + height] = face
            writer.write(wall)
        first = round(start * SAMPLE_RATE)
        writer.finish([dialogue.sound[role][first : first + round(count / float(fps) * SAMPLE_RATE)]] if sound else [])
    return count


def write_sound(path: Path, dialogue: Dialogue, role: str, seconds: float, rate: int = 48_000) -> None:
    """A side's voice as 16-bit wav of exactly so many seconds."""
    audio = dialogue.sound[role][: round(seconds * SAMPLE_RATE)]
    audio = np.pad(audio, (0, round(seconds * SAMPLE_RATE) - len(audio)))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, resample(audio, SAMPLE_RATE, rate), rate, subtype="PCM_16")
