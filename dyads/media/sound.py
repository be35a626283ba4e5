"""Sound: mono 16 kHz float32 placed on the video's clock, resampling without delay, and PCM16 files.

Sound is placed by its timestamps: encoder priming, edit lists, late or early starts and gaps are resolved,
and sample 0 belongs to the start of the first video frame (to the first sound sample in a file without
video).
"""

import os
import tempfile
import wave
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np

from dyads.errors import DataError
from dyads.files import atomic_path
from dyads.media.containers import (
    FPS,
    SAMPLE_RATE,
    SAMPLES_PER_FRAME,
    audio_stream,
    check_complete,
    opened,
    promised_end,
    time_zero,
)

GAP_TOLERANCE = 0.02  # seconds of timestamp jitter that are taken as continuous


def _to_float(frame: av.AudioFrame) -> np.ndarray:
    """float32 (channels, samples) in [-1,1] from any sample format."""
    array = frame.to_ndarray()
    if not frame.format.is_planar:
        array = array.reshape(-1, frame.layout.nb_channels).T
    if array.dtype == np.uint8:
        return (array.astype(np.float32) - 128) / 128
    if np.issubdtype(array.dtype, np.integer):
        return (array / float(np.iinfo(array.dtype).max + 1)).astype(np.float32)
    return array.astype(np.float32)


def resample(audio: np.ndarray, rate: int, target: int = SAMPLE_RATE) -> np.ndarray:
    """Resample mono float32 (N,) with libswresample to round(N * target / rate) samples, without delay."""
    length = round(len(audio) * target / rate)
    if rate == target or length == 0:
        return audio[:length].astype(np.float32)
    chunks = (audio[first : first + (1 << 16)] for first in range(0, len(audio), 1 << 16))
    result = np.concatenate(list(_resampled(chunks, rate, target)))
    return np.pad(result, (0, max(0, length - len(result))))[:length]


def _resampled(chunks: Iterable[np.ndarray], rate: int, target: int) -> Iterator[np.ndarray]:
    """Chunks of mono float32 at another rate, by libswresample, without delay; a sample long or short at the end."""
    resampler, first = av.AudioResampler(format="fltp", layout="mono", rate=target), 0
    for chunk in chunks:
        chunk = np.ascontiguousarray(chunk[None], dtype=np.float32)
        frame = av.AudioFrame.from_ndarray(chunk, format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, first, Fraction(1, rate)
        first += chunk.shape[1]
        yield from (part.to_ndarray()[0] for part in resampler.resample(frame))
    yield from (part.to_ndarray()[0] for part in resampler.resample(None))


def _placed(path: Path | str, channel: int | None, index: int = 0) -> Iterator[tuple[int, np.ndarray, int]]:
    """(position, float32 samples, rate) of every decoded piece, in samples after the file's time zero.

    Raises `DataError` where there is no audio stream, no such channel, another rate within the file, NaN, or where the
    stream ends clearly before its header says.
    """
    origin = None
    with opened(path) as container:
        stream = audio_stream(container, path, index)
        promised = promised_end(stream)
        if container.streams.video and "attached_pic" not in str(container.streams.video[0].disposition):
            origin = time_zero(container, path)
    rate, expected = 0, None
    with opened(path) as container:
        for frame in container.decode(audio_stream(container, path, index)):
            samples = _to_float(frame)
            if channel is not None and not 0 <= channel < len(samples):
                raise DataError(
                    f"{path}: there is no audio channel {channel}, it has {len(samples)}; correct the number."
                )
            if rate not in (0, frame.sample_rate):
                raise DataError(f"{path}: the sample rate changes within the file; export it at one rate.")
            rate = frame.sample_rate
            time = frame.time if frame.time is not None else 0.0 if expected is None else expected / rate
            origin = time if origin is None else origin
            position = round((time - origin) * rate)
            if expected is not None and abs(position - expected) <= GAP_TOLERANCE * rate:
                position = expected
            expected = position + samples.shape[1]
            piece = samples.mean(0) if channel is None else samples[channel]
            if not np.isfinite(piece).all():
                raise DataError(f"{path}: the sound contains NaN or infinity; export it again.")
            if expected > 0:
                yield max(0, position), piece[max(0, -position) :], rate
    if expected is None or expected <= 0:
        raise DataError(f"{path}: the audio stream holds no samples; give the sound as a separate file.")
    check_complete(path, "sound", promised, origin + expected / rate)


def read_audio(path: Path | str, channel: int | None = None, index: int = 0) -> np.ndarray:
    """Decode sound: float32 (N,) mono 16 kHz from the file's time zero; all channels averaged, or one.

    `index` counts the file's audio streams. Raises `DataError` where there is no such stream or channel, or nothing
    decodable; silence is fine.
    """
    pieces = list(_placed(path, channel, index))
    audio = np.zeros(max(start + len(piece) for start, piece, _ in pieces), np.float32)
    for start, piece, _ in pieces:
        audio[start : start + len(piece)] = piece
    return resample(audio, pieces[-1][2])


def _blocks(source: BinaryIO) -> Iterator[np.ndarray]:
    """A raw float32 file, 65,536 samples at a time."""
    while data := source.read(4 << 16):
        yield np.frombuffer(data, np.float32)


def spool_audio(path: Path | str, channel: int | None, target: Path, index: int = 0) -> int:
    """As `read_audio`, into a raw float32 file at `target`; the number of samples. Memory does not grow with them."""
    placed = target.with_name(target.name + ".placed")
    rate = 0
    try:
        with open(placed, "wb") as handle:
            for position, piece, own in _placed(path, channel, index):
                rate = own
                handle.seek(4 * position)  # a gap stays zero, what overlaps is overwritten
                handle.write(np.ascontiguousarray(piece, np.float32).tobytes())
            length = handle.seek(0, 2) // 4
        wanted, written = round(length * SAMPLE_RATE / rate), 0
        with open(placed, "rb") as source, open(target, "wb") as handle:
            chunks = _blocks(source)
            for part in chunks if rate == SAMPLE_RATE else _resampled(chunks, rate, SAMPLE_RATE):
                part = part[: wanted - written]
                handle.write(part.astype(np.float32).tobytes())
                written += len(part)
            handle.write(bytes(4 * (wanted - written)))
    finally:
        placed.unlink(missing_ok=True)
    return wanted


def fit_audio(audio: np.ndarray, frames: int, tolerance_s: float = 0.1, name: Path | str = "audio") -> np.ndarray:
    """Pad or trim the end to exactly frames * 640 samples; more than `tolerance_s` off is a `DataError`."""
    wanted = _fitting(len(audio), frames, tolerance_s, name)
    return np.pad(audio, (0, max(0, wanted - len(audio))))[:wanted]


def fitted_blocks(path: Path | str, channel: int | None, frames: int, tolerance_s: float = 0.1) -> Iterator[np.ndarray]:
    """`fit_audio` of `read_audio`, in blocks for `VideoWriter.finish`: memory does not grow with the sound's length."""
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "sound.raw"
        wanted = _fitting(spool_audio(path, channel, raw), frames, tolerance_s, path)
        os.truncate(raw, 4 * wanted)  # what it lacks at its end becomes zeros
        with open(raw, "rb") as source:
            yield from _blocks(source)


def _fitting(samples: int, frames: int, tolerance_s: float, name: Path | str) -> int:
    """The samples that so many frames last; `DataError` where there are clearly more or fewer."""
    wanted = frames * SAMPLES_PER_FRAME
    if abs(samples - wanted) > tolerance_s * SAMPLE_RATE:
        raise DataError(
            f"{name}: the sound lasts {samples / SAMPLE_RATE:.3f} s but the video {frames / FPS:.3f} s "
            f"({frames} frames), more than {tolerance_s:g} s apart; give the sound of this video."
        )
    return wanted


def write_wav(path: Path | str, audio: np.ndarray) -> None:
    """Write float32 (N,) in [-1,1] as mono 16 kHz PCM16, atomically; louder ones are clipped, NaN refused."""
    audio = np.asarray(audio)
    if audio.ndim != 1 or not np.isfinite(audio).all():
        raise DataError(f"{path}: sound must be a finite mono signal, got shape {audio.shape}; repair it first.")
    with wav_writer(path) as file:
        file.writeframes(pcm16(audio))


def pcm16(audio: np.ndarray) -> bytes:
    """16-bit samples of float32 (N,) in [-1,1]; louder ones are clipped."""
    return np.clip(np.rint(audio * 32768.0), -32768, 32767).astype("<i2").tobytes()


@contextmanager
def wav_writer(path: Path | str) -> Iterator[wave.Wave_write]:
    """A mono 16 kHz PCM16 file to be written in parts (`writeframes`), whole at the end or not there at all.

    By Python's own writer: libsndfile's "System error." does not tell a full disk.
    """
    with atomic_path(path) as temporary, wave.open(str(temporary), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        yield file
