"""Reading and writing video and sound with PyAV, on the project's clock: 25 frames and 16,000 samples a second.

Time zero of a file is its first video frame. Reading picks, for output frame k, the frame whose presentation time is
nearest to k / fps (the earlier one in a tie) and returns floor(duration * fps + 0.5) frames, so variable and odd frame
rates come out in real time. Sound is placed by its timestamps on the same clock: encoder priming, edit lists, late or
early starts and gaps are resolved, and the first sample belongs to the start of the first frame.
Colour: files without a colour tag are read as BT.601 limited range, which is what FFmpeg and OpenCV do; tags are
honoured; we write tagged BT.601. swscale's default rounding darkens by 1.2/255, hence the flags in `SCALING`.
"""

import math
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import soundfile
from av.video.reformatter import Interpolation, VideoReformatter
from PIL import Image

from dyads.errors import DataError
from dyads.files import atomic_path

FPS = 25
SAMPLE_RATE = 16_000
SAMPLES_PER_FRAME = SAMPLE_RATE // FPS
GAP_TOLERANCE = 0.02  # seconds of timestamp jitter in sound that are taken as continuous
SCALING = int(
    Interpolation.BICUBIC
    | Interpolation.ACCURATE_RND
    | Interpolation.BITEXACT
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
)
BT601, LIMITED = 6, 1  # AVColorSpace/Primaries/Transfer SMPTE170M; AVColorRange MPEG


@dataclass(frozen=True)
class MediaInfo:
    """What the headers say: fps, width and height (as displayed), frames and duration in seconds; zeros where absent."""

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
def _opened(path: Path | str) -> Iterator[av.container.InputContainer]:
    """Open for reading; every FFmpeg error in the block becomes a `DataError` naming the file and the remedy."""
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


def _video_stream(container: av.container.InputContainer, path: Path | str) -> av.VideoStream:
    if not container.streams.video:
        raise DataError(f"{path}: the file has no video stream; give a file with a picture.")
    stream = container.streams.video[0]
    stream.codec_context.thread_count = 1
    return stream


def probe(path: Path | str) -> MediaInfo:
    """Header facts of a video or sound file; frames are counted by reading packets where the header has no count."""
    with _opened(path) as container:
        video = container.streams.video[0] if container.streams.video else None
        sound = container.streams.audio[0] if container.streams.audio else None
        if video is None and sound is None:
            raise DataError(f"{path}: the file has neither a video nor an audio stream; give a media file.")
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


def _decoded(container, stream, path) -> Iterator[tuple[float, float, av.VideoFrame]]:
    """(time, duration, frame) in presentation order; a corrupt packet or frame is an error, never a grey picture."""
    nominal = float(1 / stream.average_rate) if stream.average_rate else 1 / FPS
    for packet in container.demux(stream):
        for frame in packet.decode():
            if packet.is_corrupt or frame.is_corrupt:
                raise DataError(
                    f"{path}: damaged picture data near {frame.time or 0:.2f} s; fetch or export the file again."
                )
            if frame.time is None:
                raise DataError(f"{path}: a frame has no timestamp; remux the file, for example into mp4.")
            yield frame.time, float(frame.duration * frame.time_base) if frame.duration else nominal, frame


def _to_rgb(frame: av.VideoFrame, aspect: float, reformatter: VideoReformatter) -> np.ndarray:
    """uint8 (H,W,3), upright and with square pixels."""
    width = round(frame.width * aspect)
    rgb = reformatter.reformat(
        frame, width=width, height=frame.height, format="rgb24", interpolation=SCALING, threads=1
    ).to_ndarray()
    return np.ascontiguousarray(np.rot90(rgb, round(frame.rotation / 90) % 4)) if frame.rotation else rgb


def _origin(container: av.container.InputContainer, path: Path | str) -> float:
    """Presentation time of the first video frame in seconds: the file's time zero."""
    stream = _video_stream(container, path)
    for time, _, _ in _decoded(container, stream, path):
        return time
    raise DataError(f"{path}: the video stream has no frames; fetch or export the file again.")


def iter_video(
    path: Path | str, fps: float = FPS, start: float = 0.0, end: float | None = None
) -> Iterator[np.ndarray]:
    """Yield uint8 (H,W,3) RGB frames at `fps`, from `start` to `end` seconds after the first frame.

    Holds few frames in memory, so long recordings are safe. Raises `DataError` for a missing, truncated or
    corrupt file, one without a video stream or frames, and a span that lies outside the video.
    """
    with _opened(path) as container:
        origin = _origin(container, path)
    with _opened(path) as container:
        stream = _video_stream(container, path)
        aspect = float(stream.sample_aspect_ratio or 1)
        if start > 1:  # a seek may land late in files without an index; a second of margin costs little
            container.seek(int((origin + start - 1) / stream.time_base), stream=stream)
        reformatter, pending = VideoReformatter(), deque()
        made = emitted = 0  # output frames chosen, and handed out once they are known to lie within the video
        limit = math.inf if end is None else end - start
        shown = frame = image = None
        finish = -math.inf
        for time, duration, following in _decoded(container, stream, path):
            time -= origin + start
            if shown is not None and time <= shown:
                continue
            if shown is not None:
                while made / fps <= (shown + time) / 2 + 1e-9:
                    image = _to_rgb(frame, aspect, reformatter) if image is None else image
                    pending.append(image)
                    made += 1
                while pending and (emitted + 0.5) / fps <= min(time, limit):
                    yield pending.popleft()
                    emitted += 1
            elif time > 1 / fps and start > 0:
                raise DataError(f"{path}: cannot seek to {start:g} s; remux the file, for example into mp4.")
            shown, frame, image, finish = time, following, None, time + duration
            if time > limit:
                break
        stated = float(stream.duration * stream.time_base) if stream.duration else 0.0
        if end is None and stated - (finish + start) > max(0.5, 0.02 * stated):
            raise DataError(
                f"{path}: the header promises {stated:.2f} s of video but only {finish + start:.2f} s can be read, "
                "the file is truncated; fetch or export it again."
            )
        total = math.floor(min(finish, limit) * fps + 0.5 + 1e-6)
        if total < 1:
            if start <= 0 and end is None:
                total = 1  # a still shorter than half an output frame is still one frame
            else:
                raise DataError(
                    f"{path}: no frame lies between {start:g} s and {end} s; correct start and end."
                )
        if made < total:
            image = _to_rgb(frame, aspect, reformatter) if image is None else image
            pending.extend([image] * (total - made))
        while emitted < total:
            yield pending.popleft()
            emitted += 1


def read_video(path: Path | str, fps: float = FPS, size: int | tuple[int, int] | None = None) -> np.ndarray:
    """Decode a whole video: uint8 (T,H,W,3) RGB at `fps` (see the module docstring for the frame choice).

    `size` (one side of a square, or (height, width)) rescales with antialiased bicubic interpolation.
    """
    frames = iter_video(path, fps)
    if size is not None:
        height, width = (size, size) if isinstance(size, int) else size
        frames = (
            frame
            if frame.shape[:2] == (height, width)
            else np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.BICUBIC))
            for frame in frames
        )
    return np.stack(list(frames))


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
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=target)
    parts = []
    for first in range(0, len(audio), 1 << 16):
        chunk = np.ascontiguousarray(audio[None, first : first + (1 << 16)], dtype=np.float32)
        frame = av.AudioFrame.from_ndarray(chunk, format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, first, Fraction(1, rate)
        parts += [part.to_ndarray()[0] for part in resampler.resample(frame)]
    parts += [part.to_ndarray()[0] for part in resampler.resample(None)]
    result = np.concatenate(parts)
    return np.pad(result, (0, max(0, length - len(result))))[:length]


def read_audio(path: Path | str, channel: int | None = None) -> np.ndarray:
    """Decode sound: float32 (N,) mono 16 kHz, sample 0 at the file's time zero; channels averaged or one picked.

    Raises `DataError` where there is no audio stream, no such channel or nothing decodable; silence is fine.
    """
    origin = None
    with _opened(path) as container:
        if not container.streams.audio:
            raise DataError(f"{path}: the file has no audio stream; give the sound as a separate file.")
        if container.streams.video and "attached_pic" not in str(container.streams.video[0].disposition):
            origin = _origin(container, path)
    pieces, rate, expected = [], 0, None
    with _opened(path) as container:
        stream = container.streams.audio[0]
        stream.codec_context.thread_count = 1
        for frame in container.decode(stream):
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
            pieces.append((position, samples.mean(0) if channel is None else samples[channel]))
    audio = np.zeros(max((start + len(piece) for start, piece in pieces), default=0), np.float32)
    for start, piece in pieces:
        piece = piece[max(0, -start) :]
        audio[max(0, start) : max(0, start) + len(piece)] = piece
    if not len(audio):
        raise DataError(f"{path}: the audio stream holds no samples; give the sound as a separate file.")
    if not np.isfinite(audio).all():
        raise DataError(f"{path}: the sound contains NaN or infinity; export it again.")
    return resample(audio, rate)


def fit_audio(
    audio: np.ndarray, frames: int, tolerance_s: float = 0.1, name: Path | str = "audio"
) -> np.ndarray:
    """Pad with zeros or trim the end to exactly frames * 640 samples; more than `tolerance_s` off is a `DataError`."""
    wanted = frames * SAMPLES_PER_FRAME
    if abs(len(audio) - wanted) > tolerance_s * SAMPLE_RATE:
        raise DataError(
            f"{name}: the sound lasts {len(audio) / SAMPLE_RATE:.3f} s but the video {frames / FPS:.3f} s "
            f"({frames} frames), more than {tolerance_s:g} s apart; give the sound that belongs to this video."
        )
    return np.pad(audio, (0, max(0, wanted - len(audio))))[:wanted]


def write_video(
    path: Path | str,
    frames: np.ndarray,
    audio: np.ndarray | None,
    fps: int = FPS,
    crf: int = 12,
    threads: int = 1,
) -> None:
    """Write uint8 (T,H,W,3) RGB as h264 yuv420p mp4, with mono 16 kHz `audio` float32 (N,) in [-1,1] as aac.

    Atomic; byte-identical for the same input on one platform with one thread. Raises `DataError` for odd sides
    (4:2:0 colour needs even ones), no frames, or sound that differs from the video by more than a frame.
    """
    path, frames = Path(path), np.asarray(frames)
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3:
        raise DataError(
            f"{path}: frames must be uint8 (T,H,W,3), got {frames.dtype} {frames.shape}; convert them first."
        )
    count, height, width, _ = frames.shape
    if count == 0:
        raise DataError(f"{path}: there are no frames to write; give at least one.")
    if height % 2 or width % 2:
        raise DataError(f"{path}: {width}x{height} has an odd side; crop or resize to even sides.")
    if audio is not None:
        audio = np.clip(np.asarray(audio, dtype=np.float32), -1, 1)
        if audio.ndim != 1 or abs(len(audio) / SAMPLE_RATE - count / fps) > 1 / fps + 1e-9:
            raise DataError(
                f"{path}: sound of shape {audio.shape} does not match {count} frames at {fps} fps; "
                "fit it to the video first (fit_audio)."
            )
        if not np.isfinite(audio).all():
            raise DataError(f"{path}: the sound contains NaN or infinity; repair it first.")
    with atomic_path(path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        container.flags |= av.container.Flags.bitexact.value
        video = container.add_stream("h264", rate=fps, options={"crf": str(crf), "preset": "veryfast"})
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        context = video.codec_context
        context.thread_count, context.time_base = threads, Fraction(1, fps)
        context.colorspace = context.color_primaries = context.color_trc = BT601
        context.color_range = LIMITED
        sound = None
        if audio is not None:
            sound = container.add_stream("aac", rate=SAMPLE_RATE, layout="mono", options={"b": "96k"})
        reformatter = VideoReformatter()
        for index, picture in enumerate(frames):
            rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame = reformatter.reformat(
                rgb,
                format="yuv420p",
                dst_colorspace=5,
                dst_color_range=LIMITED,
                interpolation=SCALING,
                threads=1,
            )
            frame.pts, frame.time_base = index, Fraction(1, fps)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if sound is not None:
            for first in range(0, len(audio), 1024):
                frame = av.AudioFrame.from_ndarray(
                    audio[None, first : first + 1024], format="fltp", layout="mono"
                )
                frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, first, Fraction(1, SAMPLE_RATE)
                container.mux(sound.encode(frame))
            container.mux(sound.encode(None))


def write_wav(path: Path | str, audio: np.ndarray) -> None:
    """Write float32 (N,) in [-1,1] as mono 16 kHz PCM16, atomically; louder samples are clipped, NaN is refused."""
    audio = np.asarray(audio)
    if audio.ndim != 1 or not np.isfinite(audio).all():
        raise DataError(
            f"{path}: sound must be a finite mono signal, got shape {audio.shape}; repair it first."
        )
    pcm = np.clip(np.rint(audio * 32768.0), -32768, 32767).astype(np.int16)
    with atomic_path(path) as temporary:
        soundfile.write(temporary, pcm, SAMPLE_RATE, subtype="PCM_16", format="WAV")
