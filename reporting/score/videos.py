"""What is read of one video: pictures and sound once, the face and the networks' features kept in a cache.

The cache's key is the file's content and all that decides a reading, so a second system costs only itself.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

import faces
from dyads.files import write_arrays
from dyads.manifest import file_sha256
from dyads.media.containers import SAMPLES_PER_FRAME, probe, uneven
from dyads.media.video import read_audio
from evaluation.readings import lip_sync
from evaluation.readings.clip import Tools
from faces.reader import VERSION as FACES
from reporting.score.frames import Frames, read_frames
from reporting.score.given import Given, beside

VERSION = 1
IDENTITY = "face_recognition_models-0.3.0"  # dlib's network, which ships with a package


@dataclass
class Video:
    """A video at 25 frames a second, and what was read of it.

    `frames` uint8 (T, H, W, 3), at most `--size` pixels a side, long ones decoded as they are asked for; `sound`
    float32 (640 T,) or None; `readings` by name.
    """

    path: Path
    key: str
    source_fps: float
    source_size: tuple[int, int]
    frames: np.ndarray | Frames
    sound: np.ndarray | None
    readings: dict[str, np.ndarray] = field(default_factory=dict)
    uneven: bool = False  # frames do not lie where 25 a second would
    given: Given = field(default_factory=Given)  # what others found in it

    def __len__(self) -> int:
        return len(self.frames)


def hashes(weights: dict[str, str]) -> dict[str, str]:
    """SHA-256 of the networks' files."""
    return {slot: file_sha256(Path(path)) for slot, path in sorted(weights.items())}


class Reader:
    """Reads videos with the mesh reader and the networks that were given, and keeps what it found."""

    def __init__(
        self,
        tools: Tools,
        cache: Path,
        weights: dict[str, str],
        size: int,
        faces: bool = True,
        regions: dict[str, np.ndarray] | None = None,
    ) -> None:
        self.tools, self.cache, self.size, self.faces, self.regions = tools, cache, size, faces, regions or {}
        self.hashes = hashes(weights)
        self.heard: dict[str, tuple[str, np.ndarray]] = {}  # of each listener: the last voice, by its hash
        self.hashes |= {name: IDENTITY for name in tools.networks if name not in self.hashes}

    def open(self, path: Path, shape: tuple[int, int] | None = None) -> Video:
        """Decode; `shape` (H, W) rescales to another video's size. `DataError` if it cannot be read or held."""
        info = probe(path)
        frames = read_frames(path, self.size, shape)
        high, wide = frames.shape[1:3]
        sound = None
        if info.has_audio:
            samples = read_audio(path)
            wanted = len(frames) * SAMPLES_PER_FRAME
            sound = np.pad(samples, (0, max(0, wanted - len(samples))))[:wanted]
        content = json.dumps([VERSION, FACES, file_sha256(path), high, wide])
        key = hashlib.sha256(content.encode()).hexdigest()[:32]
        size, given = (
            (info.height, info.width),
            beside(path, len(frames), max(high, wide) / max(info.height, info.width)),
        )
        return Video(path, key, info.fps, size, frames, sound, uneven=uneven(path), given=given)

    def read(self, video: Video, voice: np.ndarray | None = None) -> None:
        """Fill `readings`: of the face, of every network; `voice` (640 T,) is what its lips are compared with."""
        for name, function in self._readings(video, voice).items():
            self._fill(video, name, function)

    def read_face(self, video: Video) -> None:
        """Fill `readings` of the face alone."""
        self._fill(video, "face", lambda: _face(video))

    def _fill(self, video: Video, name: str, function: Callable[[], dict[str, np.ndarray]]) -> None:
        path = self.cache / video.key[:2] / f"{video.key}-{name}.safetensors"
        video.readings |= _kept(path) or _keep(path, function())

    def _readings(self, video: Video, voice: np.ndarray | None) -> dict[str, Any]:
        found = {"face": lambda: _face(video)} if self.faces else {}
        for name, reader in self.tools.readers.items():
            found[f"{name}-{self.hashes[name][:16]}"] = lambda n=name, r=reader: {
                n: r.features_of(video.frames).astype(np.float16)
            }
        if voice is not None:
            sound = hashlib.sha256(voice.tobytes()).hexdigest()[:16]
            for name in self.tools.listeners:
                found[f"{name}-{self.hashes[name][:16]}-{sound}"] = lambda n=name: self._lips(n, sound, video, voice)
        return found

    def _lips(self, name: str, sound: str, video: Video, voice: np.ndarray) -> dict[str, np.ndarray]:
        """Lips beside a voice; that of the last video is known, for systems mostly share the truth's sound."""
        network = self.tools.listeners[name]
        if self.heard.get(name, ("",))[0] != sound:
            self.heard[name] = sound, network.listen(voice)
        return {name: lip_sync.reading(network.look(video.frames), self.heard[name][1], voice)}


def _face(video: Video) -> dict[str, np.ndarray]:
    track = faces.read_frames(video.frames, name=str(video.path))
    return {
        "points": np.array(track.points, np.float32),
        "found": track.found,
        "score": track.score,
        "box": track.box,
        "others": track.others,
        "repeated": track.repeated,
    }


def track_of(video: Video) -> faces.FaceTrack:
    """The face of a read video as `faces` gives it."""
    keys = ("found", "score", "box", "points", "others", "repeated")
    height, width = video.frames.shape[1:3]
    return faces.FaceTrack(width, height, **{key: video.readings[key] for key in keys})


def _kept(path: Path) -> dict[str, np.ndarray] | None:
    try:
        return load_file(path) if path.is_file() else None
    except (SafetensorError, OSError):
        return None  # damaged: read again


def _keep(path: Path, found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    write_arrays(path, found)
    return found
