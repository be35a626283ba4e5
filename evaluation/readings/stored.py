"""The readings of a row's clips in one safetensors file beside its values, for all that needs no pictures."""

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from dyads.errors import DataError
from dyads.files import write_arrays
from evaluation.cards import OK
from evaluation.clips import Clip, Truth

MOTION = {"generated", "true", "user", "whole", "reference"}  # `motion_...` of a Clip
TRUTH = {"truth", "expected", "emotion", "cue"}
LARGE = 64 * 2**20  # bytes of a readings file that nobody keeps in memory, and that are worth a process
CLIP_FIELDS = {field.name for field in fields(Clip)}


def seen_only(clip: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A clip's readings without the frames that some side did not see, for what does not ask for their order."""
    if "valid" not in clip:
        return clip
    here = clip["valid"].astype(bool)
    timed = ("generated", "true", "user", "speaking")
    found = {key: array[here] if key in timed else array for key, array in clip.items() if key != "valid"}
    return {"whole": seen_truth(clip["true"]), **found}


def seen_truth(true: np.ndarray) -> np.ndarray:
    """The frames (N, D) in which the true avatar was seen, what SID's clusters are fitted on."""
    return true[np.isfinite(true).all(1)]


def write_features(path: Path, clips: list[Clip], meta: dict) -> None:
    """What the probes read, per clip, under `<clip>/<name>`; see `read_features` for the names."""
    tensors = {}
    for clip in clips:
        if clip.status != OK:
            continue
        named = {
            "generated": clip.motion_generated.astype(np.float32),
            "true": clip.motion_true.astype(np.float32),
            "user": clip.motion_user.astype(np.float32),
            "whole": None if clip.motion_whole is None else clip.motion_whole.astype(np.float32),
            "reference": clip.motion_reference.astype(np.float32),
            "image_generated": clip.image_generated,
            "image_true": clip.image_true,
            "speaking": clip.speaking.astype(np.uint8),
            "speaker_known": None if clip.speaker_known else np.zeros(1, np.uint8),
            "valid": None if clip.valid is None else clip.valid.astype(np.uint8),
            **clip.features,
        }
        named = {key: value for key, value in named.items() if value is not None}
        if clip.truth is not None:
            named["truth"] = clip.truth.avatar.astype(np.float32)
            named["expected"] = clip.truth.expected.astype(np.float32)
            named["emotion"] = clip.truth.emotion.astype(np.uint8)
            named["cue"] = clip.truth.cue.astype(np.uint8)
        tensors.update({f"{clip.dyad_id}/{key}": value for key, value in named.items()})
    write_arrays(path, tensors, meta)


def read_features(path: Path | str) -> tuple[dict[str, dict[str, np.ndarray]], dict]:
    """Clips by id, and the header (method, seed, names, emotions).

    Each clip has motion readings `generated`, `true`, `user` (T, D) and `reference` (D,), image features
    `image_generated`, `image_true` (T, 64), `speaking` (T,), and in the synthetic world `truth`, `expected` (T, D),
    `emotion`, `cue` (T,); `whole` (N, D), all true frames, where `true` was cut;
    `valid` (T,) where some frames were not seen on every side; `speaker_known` (1,) where nobody
    knows who speaks. Of every further reader it has
    `<reader>_generated`, `<reader>_true` (N, D), and of those of identity `<reader>_reference` (D,); N is the number of
    frames or windows that the reader takes. `sync_generated`, `sync_true` and the like are readings of
    `evaluation.readings.lip_sync`, `voice_user`, `voice_avatar` (T, A) of `evaluation.readings.voice`.
    """
    return dict(each_clip(path)), read_meta(path)


def each_clip(path: Path | str) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """`read_features` without the header, one clip at a time."""
    with _opened(path) as (file, _):
        keys: dict[str, list[str]] = {}
        for name in file.keys():
            clip, _, key = name.rpartition("/")
            keys.setdefault(clip, []).append(key)
        for clip in sorted(keys):
            yield clip, {key: file.get_tensor(f"{clip}/{key}") for key in keys[clip]}


def read_meta(path: Path | str) -> dict[str, Any]:
    """The header alone."""
    with _opened(path) as (_, meta):
        return meta


@contextmanager
def _opened(path: Path | str) -> Iterator[tuple[Any, dict[str, Any]]]:
    try:
        with safe_open(str(path), "np") as file:
            meta = json.loads((file.metadata() or {})["meta"])
            meta["names"], meta["method"]  # what only such a file has
            yield file, meta
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise DataError(f"{path}: holds no probe readings ({error}); run `python -m evaluation.run`.") from error


def restored_clips(path: Path | str, whole: dict[str, Any] | None = None) -> Iterator[Clip]:
    """The clips of a readings file without their frames, failed ones too, in the order measured, one at a time.

    `whole`: the header of the set of which this file holds a part. DataError: the file does not say which failed.
    """
    with _opened(path) as (file, meta):
        if "clips" not in meta:
            raise DataError(
                f"{path} does not say which clips failed; run `python -m evaluation.run` for this row again."
            )
        keys: dict[str, list[str]] = {}
        for name in file.keys():
            clip, _, key = name.rpartition("/")
            keys.setdefault(clip, []).append(key)
        for dyad_id, frames, status in meta["clips"]:
            stored = {key: file.get_tensor(f"{dyad_id}/{key}") for key in keys[dyad_id]} if status == OK else {}
            yield _restored(stored, whole or meta, dyad_id, frames, status)


def _restored(stored: dict[str, np.ndarray], meta: dict[str, Any], dyad_id: str, frames: int, status: str) -> Clip:
    clip = Clip(dyad_id, frames, status, np.zeros(frames, bool), names=tuple(meta["names"]))
    clip.groups, clip.people = meta.get("groups"), meta.get("people", {}).get(dyad_id)
    clip.still = meta.get("still", clip.still)
    if status != OK:
        return clip
    for key, array in stored.items():
        name = f"motion_{key}" if key in MOTION else key
        if name in CLIP_FIELDS and key not in TRUTH:
            setattr(clip, name, array)
        elif key not in TRUTH:
            clip.features[key] = array
    clip.speaking = clip.speaking.astype(bool)
    clip.speaker_known = bool(np.all(clip.speaker_known))
    clip.valid = None if clip.valid is None else clip.valid.astype(bool)
    clip.truth = _truth(stored, clip, meta)
    return clip


def _truth(stored: dict[str, np.ndarray], clip: Clip, meta: dict[str, Any]) -> Truth | None:
    """The oracle's side of the truth; the user's true coefficients are not stored."""
    if "expected" not in stored:
        return None
    return Truth(
        names=tuple(meta["truth_names"]),
        user=np.full_like(stored["truth"], math.nan),
        avatar=stored["truth"],
        expected=stored["expected"],
        speaking=clip.speaking,
        emotion=stored["emotion"],
        cue=stored["cue"],
        emotions=tuple(meta["emotions"]),
    )
