"""Reading and writing video on the project's clock of 25 frames a second; sound is in `dyads.media.sound`.

Time zero of a file is its first video frame. Reading picks, for output frame k, the frame whose
presentation time is nearest to k / fps (the earlier one in a tie) and returns floor(duration * fps + 0.5)
frames, so odd and variable frame rates come out in real time.

Colour: untagged files are read as BT.601 limited range, as FFmpeg and OpenCV do; tags are honoured, HDR is brought
to standard range (`dyads.media.colour`); we write tagged BT.601. swscale's default rounding darkens by 1.2/255, hence
the flags in `SCALING`.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from PIL import Image

from dyads.errors import DataError
from dyads.media.colour import shown, to_rgb
from dyads.media.containers import (
    FPS,
    SAMPLE_RATE,
    SAMPLES_PER_FRAME,
    MediaInfo,
    check_complete,
    decoded,
    opened,
    probe,
    promised_end,
    time_zero,
    video_stream,
)
from dyads.media.sound import fit_audio, read_audio, resample, write_wav
from dyads.media.writer import VideoWriter

__all__ = ["FPS", "SAMPLE_RATE", "SAMPLES_PER_FRAME", "MediaInfo", "probe", "read_video", "iter_video"]
__all__ += ["write_video", "read_audio", "write_wav", "fit_audio", "resample"]


def _to_rgb(frame: av.VideoFrame, aspect: float, reformatter: VideoReformatter) -> np.ndarray:
    """uint8 (H,W,3), upright and with square pixels."""
    return shown(to_rgb(frame, round(frame.width * aspect), frame.height, reformatter), frame)


def iter_video(
    path: Path | str,
    fps: float = FPS,
    start: float = 0.0,
    end: float | None = None,
    convert: Callable[[av.VideoFrame, float, VideoReformatter], Any] = _to_rgb,
) -> Iterator[Any]:
    """Yield uint8 (H,W,3) RGB frames at `fps`, from `start` to `end` seconds after the first frame.

    `convert` makes something else of the chosen decoded frames (see `dyads.media.regions`). Holds few frames in
    memory, so long recordings are safe. Raises `DataError` for a missing, truncated or
    corrupt file, one without a video stream or frames, and a span that lies outside the video.
    """
    with opened(path) as container:
        origin = time_zero(container, path)
    with opened(path) as container:
        stream = video_stream(container, path)
        aspect = float(stream.sample_aspect_ratio or 1)
        if start > 1:  # a seek may land late in files without an index; a second of margin costs little
            container.seek(int((origin + start - 1) / stream.time_base), stream=stream)
        reformatter, pending = VideoReformatter(), deque()
        made = emitted = 0  # output frames chosen, and handed out once they are known to lie within the video
        limit = math.inf if end is None else end - start
        current = frame = image = None
        finish = -math.inf
        for time, duration, following in decoded(container, stream, path):
            time -= origin + start
            if current is not None and time <= current:
                continue
            if current is not None:
                while made / fps <= (current + time) / 2 + 1e-9:
                    image = convert(frame, aspect, reformatter) if image is None else image
                    pending.append(image)
                    made += 1
                while pending and (emitted + 0.5) / fps <= min(time, limit):
                    yield pending.popleft()
                    emitted += 1
            elif time > 1 / fps and start > 0:
                raise DataError(f"{path}: cannot seek to {start:g} s; remux the file, for example into mp4.")
            current, frame, image, finish = time, following, None, time + duration
            if time > limit:
                break
        if end is None:
            check_complete(path, "video", promised_end(stream), origin + start + finish)
        total = math.floor(max(0.0, min(finish, limit)) * fps + 0.5 + 1e-6)
        if start <= 0 and end is None:
            total = max(total, 1)  # even half an output frame's worth of video shows something
        if total < 1:
            raise DataError(f"{path}: no frame lies between {start:g} s and {end} s; correct start and end.")
        if made < total:
            image = convert(frame, aspect, reformatter) if image is None else image
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


def write_video(
    path: Path | str,
    frames: np.ndarray,
    audio: np.ndarray | None,
    fps: int = FPS,
    crf: int = 12,
    threads: int = 1,
) -> None:
    """Write uint8 (T,H,W,3) RGB as h264 yuv420p mp4, with mono 16 kHz `audio` float32 (N,) in [-1,1] as aac.

    Atomic; byte-identical for the same input on one platform with one thread. Raises `DataError` for odd
    sides (4:2:0 colour needs even ones), no frames, or sound that differs from the video by more than a
    frame.
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
    with VideoWriter(path, height, width, fps, crf, threads, audio is not None) as writer:
        for picture in frames:
            writer.write(picture)
        writer.finish([] if audio is None else [audio])
