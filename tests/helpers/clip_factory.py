"""Small media files and data folders for the tests: frames that carry their own number, and any container."""

import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from dyads.contract import Turn, file_sha256, write_manifest, write_turns
from dyads.media.video import SAMPLE_RATE, SAMPLES_PER_FRAME, write_video, write_wav

BITS = 8
REAL_CLIPS = Path(os.environ.get("REAL_CLIPS", Path(__file__).parents[3] / "shared" / "real_clips"))
needs_real_clips = pytest.mark.skipif(
    not (REAL_CLIPS / "af_user.mp4").is_file(),
    reason="the real clips are absent; point REAL_CLIPS at the folder that holds them",
)


def numbered(count: int, size: int = 64, first: int = 0) -> np.ndarray:
    """uint8 (count,size,size,3): frame k shows the bits of k as black and white bars."""
    frames = np.full((count, size, size, 3), 128, np.uint8)
    for k in range(count):
        for bit in range(BITS):
            shade = 235 if (k + first) >> bit & 1 else 20
            frames[k, :, bit * size // BITS : (bit + 1) * size // BITS] = shade
    return frames


def numbers(frames: np.ndarray) -> list[int]:
    """The numbers shown by frames of `numbered`."""
    bars = frames.mean(axis=(1, 3)).reshape(len(frames), BITS, -1).mean(-1) > 128
    return [int(sum(1 << bit for bit in range(BITS) if row[bit])) for row in bars]


def smooth(count: int, height: int = 64, width: int = 64) -> np.ndarray:
    """uint8 (count,height,width,3): slowly moving colour gradients, which 4:2:0 keeps well."""
    t, y, x = np.meshgrid(np.arange(count), np.arange(height), np.arange(width), indexing="ij")
    red = 60 + 120 * x / width + 0.5 * t
    green = 200 - 100 * y / height
    blue = 90 + 80 * (x + y) / (height + width)
    return np.stack([red, green, blue], -1).astype(np.uint8)


def noise(samples: int, seed: int = 0) -> np.ndarray:
    """float32 white noise at -20 dB."""
    return (0.1 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def lag(one: np.ndarray, other: np.ndarray) -> int:
    """Samples by which `one` is later than `other`, at the peak of their cross-correlation."""
    n = len(one) + len(other)
    peak = int(np.argmax(np.fft.irfft(np.fft.rfft(one, n) * np.conj(np.fft.rfft(other, n)), n)))
    return peak if peak < n // 2 else peak - n


def write_any(
    path: Path,
    frames: np.ndarray | None = None,
    times: np.ndarray | None = None,
    audio: np.ndarray | None = None,
    *,
    rate: int = SAMPLE_RATE,
    audio_start: float = 0.0,
    audio_parts: list[tuple[float, np.ndarray]] | None = None,
    video_codec: str = "h264",
    audio_codec: str = "aac",
    options: dict[str, str] | None = None,
    colour: tuple[int, int] | None = None,
) -> Path:
    """Write frames at given times (s) and audio (channels, N) as any container, without our own writer.

    `audio_parts` are (start, samples) pieces; `colour` is (AVColorSpace, AVColorRange) and tags and converts.
    """
    with av.open(str(path), "w", options=options or {}) as container:
        video = sound = None
        if frames is not None:
            base = Fraction(1, 1000) if video_codec == "h264" else Fraction(1, 25)
            video = container.add_stream(video_codec, rate=25, options={"crf": "10", "qscale": "2"})
            video.height, video.width = frames.shape[1:3]
            video.pix_fmt, video.codec_context.time_base = "yuv420p", base
            if colour:
                video.codec_context.colorspace, video.codec_context.color_range = colour
        parts = audio_parts or ([(audio_start, audio)] if audio is not None else [])
        if parts:
            layout = {1: "mono", 2: "stereo"}[len(parts[0][1])]
            sound = container.add_stream(audio_codec, rate=rate, layout=layout)
        if video is not None:
            for picture, time in zip(frames, times, strict=True):
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                if colour:
                    space = {1: 1, 6: 5}[colour[0]]
                    frame = frame.reformat(format="yuv420p", dst_colorspace=space, dst_color_range=colour[1])
                frame.pts, frame.time_base = round(time / base), base
                container.mux(video.encode(frame))
            container.mux(video.encode(None))
        for start, samples in parts:
            for first in range(0, samples.shape[1], 1024):
                chunk = np.ascontiguousarray(samples[:, first : first + 1024], np.float32)
                frame = av.AudioFrame.from_ndarray(chunk, format="fltp", layout=layout)
                frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
                frame.pts = round(start * rate) + first
                container.mux(sound.encode(frame))
        if sound is not None:
            container.mux(sound.encode(None))
    return path


def make_data(data: Path, frames: int = 10, size: int = 32, people: dict[str, list[str]] | None = None) -> Path:
    """A sound data folder: per split a list of `user>avatar` dyads with numbered frames and noise."""
    rows = []
    for split, pairs in (people or {"train": ["ann>bob"], "test": ["cat>dan"]}).items():
        for pair in pairs:
            dyad_id = pair.replace(">", "_")
            folder = data / split / dyad_id
            for role, subject in zip(("user", "avatar"), pair.split(">"), strict=True):
                sound = noise(frames * SAMPLES_PER_FRAME, seed=len(rows))
                write_video(folder / f"{role}.mp4", numbered(frames, size), sound)
                write_wav(folder / f"{role}.wav", sound)
                rows.append(
                    {
                        **{"dataset": "tiny", "split": split, "dyad_id": dyad_id, "role": role},
                        **{"subject_id": subject, "video": f"{split}/{dyad_id}/{role}.mp4"},
                        **{
                            "audio": f"{split}/{dyad_id}/{role}.wav",
                            "audio_channel": "",
                            "mixed_audio": "false",
                        },
                        **{"fps": 25, "width": size, "height": size, "licence": "CC0", "crop": "synthetic"},
                        "sha256": file_sha256(folder / f"{role}.mp4"),
                    }
                )
            turns = [Turn(0.0, 0.2, "user", "hello"), Turn(0.2, 0.4, "avatar", "grüß dich")]
            write_turns(folder / "turns.jsonl", turns)
    write_manifest(data, rows)
    return data
