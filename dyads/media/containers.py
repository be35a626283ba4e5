"""Opening media files: the clock, header facts, and FFmpeg's errors as sentences with file and remedy."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av

from dyads.errors import DataError

FPS = 25
SAMPLE_RATE = 16_000
SAMPLES_PER_FRAME = SAMPLE_RATE // FPS


@dataclass(frozen=True)
class MediaInfo:
    """What the headers say: fps, width and height as coded, frames, duration in seconds; 0 where absent."""

    fps: float
    width: int
    height: int
    frames: int
    duration: float
    has_audio: bool
    sample_rate: int
    channels: int
    codec: str


@contextmanager
def opened(path: Path | str) -> Iterator[av.container.InputContainer]:
    """Open for reading; an FFmpeg error in the block becomes a `DataError` with file and remedy."""
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: there is no such file; check the path or fetch the file.")
    if path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty (0 bytes); fetch or export it again.")
    try:
        with av.open(str(path)) as container:
            yield container
    except av.FFmpegError as error:
        reason = (error.strerror or str(error)).rstrip(".")
        raise DataError(
            f"{path}: cannot be decoded ({reason}), the file is truncated, corrupt or no media file; "
            "fetch or export it again."
        ) from error


def _decodable(stream: av.stream.Stream, path: Path | str) -> None:
    """Refuse a stream without a decoder (an unknown codec, or a file cut before the first packet)."""
    if stream.codec_context is None:
        raise DataError(
            f"{path}: the {stream.type} stream has no known codec, the file is truncated or of an unknown "
            "kind; fetch it again or export it as h264 and aac."
        )
    stream.codec_context.thread_count = 1


def audio_stream(container: av.container.InputContainer, path: Path | str, index: int = 0) -> av.AudioStream:
    """An audio stream, the first one unless said otherwise, set to decode on one thread."""
    if not container.streams.audio:
        raise DataError(f"{path}: the file has no audio stream; give the sound as a separate file.")
    if not 0 <= index < len(container.streams.audio):
        held = len(container.streams.audio)
        raise DataError(f"{path}: there is no audio stream {index}, it has {held} (from 0); correct the number.")
    _decodable(container.streams.audio[index], path)
    return container.streams.audio[index]


def count_audio(path: Path | str) -> int:
    """How many audio streams a file has."""
    with opened(path) as container:
        return len(container.streams.audio)


def video_stream(container: av.container.InputContainer, path: Path | str) -> av.VideoStream:
    """The first video stream, set to decode on one thread."""
    if not container.streams.video:
        raise DataError(f"{path}: the file has no video stream; give a file with a picture.")
    _decodable(container.streams.video[0], path)
    return container.streams.video[0]


def promised_end(stream: av.stream.Stream) -> float:
    """When a stream ends by its header, in seconds of the file's clock; 0 where it says nothing."""
    if stream.container.format.name == "aac":  # no header: a duration guessed from the first frames' bit rate
        return 0.0
    if stream.duration:
        return float(((stream.start_time or 0) + stream.duration) * stream.time_base)
    parts = stream.metadata.get("DURATION", "").split(":")  # Matroska keeps the end in a tag
    try:
        hours, minutes, seconds = (float(part) for part in parts)
    except ValueError:
        return 0.0
    return 3600 * hours + 60 * minutes + seconds


def check_complete(path: Path | str, what: str, promised: float, found: float) -> None:
    """Raise `DataError` where a stream can be read clearly less far than its header promises."""
    if promised - found > max(0.5, 0.02 * promised):
        raise DataError(
            f"{path}: the {what} runs to {promised:.2f} s by its header, it can be read to {found:.2f} s, "
            "the file is truncated; fetch or export it again."
        )


def probe(path: Path | str) -> MediaInfo:
    """Header facts of a video or sound file; packets are counted where the header states no frame count."""
    with opened(path) as container:
        video = container.streams.video[0] if container.streams.video else None
        sound = container.streams.audio[0] if container.streams.audio else None
        if video is None and sound is None:
            raise DataError(f"{path}: the file has neither a video nor an audio stream; give a media file.")
        for stream in (video, sound):
            if stream is not None:
                _decodable(stream, path)
        main = video or sound
        duration = float(main.duration * main.time_base) if main.duration else (container.duration or 0) / 1e6
        frames = 0
        if video is not None:
            frames = video.frames or sum(packet.size > 0 for packet in container.demux(video))
        return MediaInfo(
            fps=float(video.average_rate or 0) if video else 0.0,
            width=video.width if video else 0,
            height=video.height if video else 0,
            frames=frames,
            duration=duration,
            has_audio=sound is not None,
            sample_rate=sound.rate if sound else 0,
            channels=sound.channels if sound else 0,
            codec=main.codec_context.name,
        )


def uneven(path: Path | str, fps: float = FPS, most: float = 0.01) -> bool:
    """Whether a picture lies more than `most` seconds beside its place at `fps`, by the packets' times: nothing is
    decoded. What a header calls 25 frames a second may be so on average alone."""
    with opened(path) as container:
        stream = video_stream(container, path)
        stamps = (packet.dts if packet.pts is None else packet.pts for packet in container.demux(stream) if packet.size)
        times = sorted(float(stamp * stream.time_base) for stamp in stamps if stamp is not None)
    return any(abs(time - times[0] - place / fps) > most for place, time in enumerate(times))


def decoded(container, stream, path) -> Iterator[tuple[float, float, av.VideoFrame]]:
    """(time, duration, frame) in presentation order; corrupt data is an error, never a grey picture."""
    nominal = float(1 / stream.average_rate) if stream.average_rate else 1 / FPS
    for packet in container.demux(stream):
        for frame in packet.decode():
            if packet.is_corrupt or frame.is_corrupt:
                seconds = frame.time or 0.0
                raise DataError(f"{path}: damaged picture data at {seconds:.2f} s; fetch or export it again.")
            if frame.time is None:
                raise DataError(f"{path}: a frame has no timestamp; remux the file, for example into mp4.")
            yield frame.time, float(frame.duration * frame.time_base) if frame.duration else nominal, frame


def time_zero(container: av.container.InputContainer, path: Path | str) -> float:
    """Presentation time of the first video frame in seconds: the file's time zero."""
    stream = video_stream(container, path)
    for time, _, _ in decoded(container, stream, path):
        return time
    raise DataError(f"{path}: the video stream has no frames; fetch or export the file again.")
