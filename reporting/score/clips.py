"""A pair of videos as the metrics see it: a `Clip` whose motion is the mesh reader's, read against the true face."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import faces
from dyads.errors import DataError
from dyads.media.containers import FPS, SAMPLES_PER_FRAME
from evaluation.cards import OK
from evaluation.clips import Clip
from evaluation.networks.syncnet import SyncNet
from evaluation.probes.mesh import MeshProbe
from faces.voice import speech
from reporting.score.frames import first
from reporting.score.given import blank, features_of
from reporting.score.items import Item
from reporting.score.videos import Reader, Video, track_of

LEAST_SHARE = 0.9  # of the frames must show every face that is compared
COMMON_SHARE = 0.5  # of the longer video that a common part must have
# What a video says of itself, or beside whom it answers. Other metrics compare with a truth.
ALONE = ("cpbd", "blink_rate", "blink_duration", "beat_align", "lip_stability", "var", "lse_", "tlcc_", "diversity")


@dataclass
class Pair:
    """One name in one system: the clip, and what was said about its files. `alone`: there is no truth; `answers`: the
    user's side is there."""

    item: Item
    system: str
    clip: Clip
    alone: bool
    notes: list[str]
    frames: int = 0
    wanted: int = 0
    answers: bool = False


def cut(video: Video, frames: int, readers: dict[str, Any]) -> Video:
    """The first frames of a video, with what was read of them; the lips' distances from the voice stay whole."""
    if frames == len(video):
        return video
    rows = {name: reader.rows_of(frames) for name, reader in readers.items()}
    readings = {
        key: value[: rows.get(key, frames if len(value) == len(video) else len(value))]
        for key, value in video.readings.items()
    }
    sound = None if video.sound is None else video.sound[: frames * SAMPLES_PER_FRAME]
    given = replace(video.given, arrays={name: array[:frames] for name, array in video.given.arrays.items()})
    return replace(video, frames=first(video.frames, frames), sound=sound, readings=readings, given=given)


def failed(item: Item, system: str, status: str, note: str, alone: bool, frames: int = 0, wanted: int = 0) -> Pair:
    """A pair without values."""
    return Pair(item, system, Clip(item.name, frames, status, np.zeros(frames, bool)), alone, [note], frames, wanted)


def speaking(sound: np.ndarray | None, frames: int) -> np.ndarray:
    """bool (T,): frames with speech; none without sound."""
    if sound is None or np.abs(sound).max(initial=0) < 1e-4:
        return np.zeros(frames, bool)
    found = np.asarray(speech(sound), bool)[:frames]
    return np.pad(found, (0, frames - len(found)))


def make_pair(
    item: Item, system: str, generated: Video, true: Video | None, user: Video | None, reader: Reader, common: bool
) -> Pair:
    """The clip of a generated video with what it is compared with; unequal lengths without `common` are a status."""
    alone, notes = true is None, []
    lengths = [len(video) for video in (generated, true, user) if video is not None]
    count = min(lengths)
    if true is not None and len(generated) != len(true):
        words = f"{generated.path.name}: {len(generated)} frames at {FPS} fps, the truth {len(true)}"
        if not common:
            note = f"{words}: no values (--common scores the common part)"
            return failed(item, system, "length_mismatch", note, alone, len(generated), len(true))
        if count < COMMON_SHARE * max(len(generated), len(true)):
            note = f"{words}: less than half is common, no values"
            return failed(item, system, "length_mismatch", note, alone, len(generated), len(true))
        notes.append(f"{words}: the first {min(len(generated), len(true))} are scored")
        count = min(len(generated), len(true))
    if true is None:
        count = len(generated)
    if user is not None and len(user) < count:
        notes.append(f"{user.path.name}: {len(user)} frames are fewer than {count}; the user's side is left out")
        user = None
    for video in (generated, true, user):
        if video is not None and (abs(video.source_fps - FPS) > 1e-3 or video.uneven):
            rate = f"{video.source_fps:g} fps" if abs(video.source_fps - FPS) > 1e-3 else "frames at uneven times"
            side = "" if video is generated else "the truth, " if video is true else "the user, "
            notes.append(f"{side}{video.path.name}: {rate}, taken at {FPS} by timestamps")
    if true is not None and generated.source_size != true.source_size:
        sizes = ["{1}x{0}".format(*video.source_size) for video in (generated, true)]
        notes.append(f"{generated.path.name}: {sizes[0]}, rescaled to the truth's {sizes[1]}")
    readers = reader.tools.readers
    videos = {"generated": cut(generated, count, readers)}
    videos["true"] = videos["generated"] if alone else cut(true, count, readers)
    if user is not None:
        videos["user"] = cut(user, count, readers)
    clip, said = _clip(item, videos, reader, count)
    return Pair(item, system, clip, alone, notes + said, len(generated), count, user is not None)


def vertices_of(sample: Video, generated: Video, true: Video | None, frames: int, reader: Reader) -> np.ndarray | str:
    """Vertices (T, V, 3) of a further sample of a clip, given ones or the mesh's, or the status that says why not.

    DataError: numbers that do not fit, or a truth without a face.
    """
    if len(sample) != len(generated):
        return "length_mismatch"
    sample, true = (cut(video, frames, {}) for video in (sample, true or generated))
    given = features_of({"generated": sample.given, "true": true.given}, reader.regions)
    if "vertices_generated" in given:
        return given["vertices_generated"]
    person = faces.person_of([track_of(true)], str(true.path))
    return faces.aligned_points(track_of(sample), person).astype(np.float32)


def _clip(item: Item, videos: dict[str, Video], reader: Reader, count: int) -> tuple[Clip, list[str]]:
    generated, true = videos["generated"], videos["true"]
    sound = generated.sound if generated.sound is not None else true.sound
    notes = [] if sound is not None else [f"{generated.path.name}: neither it nor a truth has sound"]
    motion, features, names, valid = _motion(videos, notes)
    try:
        features |= features_of({side: videos[side].given for side in ("generated", "true")}, reader.regions)
    except DataError as error:
        notes.append(f"given numbers are left out: {error}")
        features |= blank({name for side in ("generated", "true") for name in videos[side].given.arrays}, count)
    clip = Clip(
        dyad_id=item.name,
        frames=count,
        status=OK,
        speaking=speaking(true.sound if true.sound is not None else sound, count),
        names=names,
        generated=generated.frames,
        true=true.frames,
        audio=np.zeros(count * SAMPLES_PER_FRAME, np.float32) if sound is None else sound,
        features=features,
        groups=MeshProbe.groups if names else None,
        valid=valid,
        **motion,
    )
    for side in ("generated", "true"):
        for name, network in reader.tools.readers.items():
            clip.features[f"{name}_{side}"] = videos[side].readings[name]
            if getattr(network, "with_reference", False):  # nobody gave a picture: the truth's first frame is one
                clip.features[f"{name}_reference"] = true.readings[name][0]
        for name, network in reader.tools.listeners.items():
            if isinstance(network, SyncNet) and name in videos[side].readings:
                clip.features[f"{name}_{side}"] = videos[side].readings[name][: max(0, count - 5)]
    return clip, notes


def _motion(videos: dict[str, Video], notes: list[str]):
    """Readings of the face of every side, against the true person's neutral face; what is not seen is not valid."""
    count = len(videos["generated"])
    features: dict[str, np.ndarray] = {}
    motion: dict[str, np.ndarray] = {}
    empty = np.full((count, len(faces.NAMES)), np.nan, np.float32)
    nothing = {f"motion_{side}": empty for side in ("generated", "true", "user")}
    if "points" not in videos["true"].readings:  # no metric asked for them
        return nothing, features, (), None
    tracks = {side: track_of(video) for side, video in videos.items()}
    for side in ("generated", "true"):
        features[f"points_{side}"] = tracks[side].points
    try:
        person = faces.person_of([tracks["true"]], str(videos["true"].path))
        other = faces.person_of([tracks["user"]], str(videos["user"].path)) if "user" in tracks else None
    except DataError as error:
        notes.append(str(error))
        return nothing, features, (), np.zeros(count, bool)
    valid = np.ones(count, bool)
    for side, track in tracks.items():
        found = faces.coefficients(track, other if side == "user" else person)
        motion[f"motion_{side}"] = found.values
        valid &= track.found
        if track.coverage < LEAST_SHARE:
            notes.append(f"{videos[side].path.name}: a face is seen in {track.coverage:.0%} of the frames")
        if side != "user":
            features[f"vertices_{side}"] = faces.aligned_points(track, person).astype(np.float32)
    motion.setdefault("motion_user", np.full_like(motion["motion_true"], np.nan))
    motion["motion_reference"] = np.nan_to_num(motion["motion_true"][int(np.argmax(tracks["true"].found))])
    return motion, features, tuple(faces.NAMES), None if valid.all() else valid
