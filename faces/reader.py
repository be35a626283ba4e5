"""Reading a recording's face: pictures in, one row a frame out, kept in a cache so that a video is read once.

The cache's key is the video's content, the span and rate asked for, the options and this reader's version.
"""

import hashlib
import json
import math
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from dyads.errors import DataError
from dyads.media.containers import FPS, probe
from dyads.media.video import iter_video
from faces import store
from faces.finding.track import Options, Tracker

VERSION = 4  # raise when a reading changes for the same pictures


@dataclass(frozen=True)
class FaceTrack:
    """One face through a recording, T frames; positions in source pixels, x right, y down.

    found bool (T,); score float32 (T,) presence of a face in 0..1; box float32 (T, 4) x, y, w, h round the points;
    points float32 (T, 468, 3), z away from the camera in the scale of x and y; others int32 (T,) further faces seen
    (looked for once a second, held between); repeated bool (T,) the picture repeats the one before. What was not
    found is NaN.
    """

    width: int
    height: int
    found: np.ndarray
    score: np.ndarray
    box: np.ndarray
    points: np.ndarray
    others: np.ndarray
    repeated: np.ndarray

    def __len__(self) -> int:
        return len(self.found)

    @property
    def coverage(self) -> float:
        """Share of the frames in which the face was found, 0..1."""
        return float(self.found.mean()) if len(self) else 0.0


def read_frames(frames: Iterable[np.ndarray], options: Options | None = None, name: str = "the video") -> FaceTrack:
    """The face in pictures uint8 RGB (H, W, 3), in order; memory grows by 30 bytes a frame.

    DataError: no pictures, or one that is no uint8 (H, W, 3). A video without a face is no error: nothing is found.
    """
    tracker, points, rows = Tracker(options), store.Points(), array("f")
    height = width = 0
    for frame in frames:
        if not (isinstance(frame, np.ndarray) and frame.dtype == np.uint8 and frame.ndim == 3 and frame.shape[2] == 3):
            raise DataError(f"{name}: a picture must be uint8 (H,W,3), got {getattr(frame, 'shape', type(frame))}.")
        height, width = height or frame.shape[0], width or frame.shape[1]
        reading = tracker(frame)
        points.add(reading.points)
        if reading.points is None:
            box = (math.nan,) * 4
        else:
            low, high = reading.points[:, :2].min(0), reading.points[:, :2].max(0)
            box = (*low, *(high - low))
        rows.extend((reading.score, reading.others, reading.repeated, *box))
    if not rows:
        raise DataError(f"{name}: there are no pictures to read; give at least one.")
    table = np.frombuffer(rows, np.float32).reshape(-1, 7)
    return FaceTrack(
        width,
        height,
        found=np.isfinite(table[:, 3]),
        score=table[:, 0].copy(),
        box=table[:, 3:].copy(),
        points=points.mapped(),
        others=table[:, 1].astype(np.int32),
        repeated=table[:, 2].astype(bool),
    )


def cache_path(video: Path, options: Options, fps: float, start: float, end: float | None, cache: Path) -> Path:
    """Where a video's track is kept."""
    with open(video, "rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
    key = json.dumps([VERSION, content, asdict(options), fps, start, end], sort_keys=True)
    return Path(cache) / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.safetensors"


def _shown(frames: Iterator[np.ndarray], video: Path, fps: float, start: float, end: float | None, bar: bool):
    if not bar:
        return frames
    stop = probe(video).duration if end is None else end
    total = round((stop - start) * fps) if stop else None
    return tqdm(frames, desc=f"face in {video.name}", unit="frame", total=total)


def read(
    video: Path | str,
    options: Options | None = None,
    cache: Path | str | None = None,
    bar: bool = False,
    fps: float = FPS,
    start: float = 0.0,
    end: float | None = None,
) -> FaceTrack:
    """The face of a video on a clock of `fps`, from `start` to `end` seconds; kept in and taken from `cache`.

    DataError as `dyads.media.iter_video` for files that cannot be read.
    """
    video, options = Path(video), options or Options()
    path = None
    if cache is not None and video.is_file():
        path = cache_path(video, options, fps, start, end, Path(cache))
        if path.is_file():
            arrays, meta = store.load(path)
            return FaceTrack(**meta["size"], **arrays)
    frames = _shown(iter_video(video, fps, start, end), video, fps, start, end, bar)
    track = read_frames(frames, options, str(video))
    if path is not None:
        arrays = {key: getattr(track, key) for key in ("found", "score", "box", "others", "repeated", "points")}
        size = {"width": track.width, "height": track.height}
        store.save(path, arrays, {"size": size, "version": VERSION, "video": video.name, "options": asdict(options)})
        arrays, _ = store.load(path)
        track = FaceTrack(**size, **arrays)
    return track
