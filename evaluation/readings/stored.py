"""The readings of a row's clips in one safetensors file beside its values, for all that needs no pictures."""

import json
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from dyads.errors import DataError
from dyads.files import atomic_path
from evaluation.cards import OK
from evaluation.clips import Clip


def seen_only(clip: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A clip's readings without the frames that some side did not see, for what does not ask for their order."""
    if "valid" not in clip:
        return clip
    here = clip["valid"].astype(bool)
    whole = ("generated", "true", "user", "speaking", "valid")
    return {key: array[here] if key in whole else array for key, array in clip.items()}


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
        tensors.update({f"{clip.dyad_id}/{key}": np.ascontiguousarray(value) for key, value in named.items()})
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata={"meta": json.dumps(meta)})


def read_features(path: Path | str) -> tuple[dict[str, dict[str, np.ndarray]], dict]:
    """Clips by id, and the header (method, seed, names, emotions).

    Each clip has motion readings `generated`, `true`, `user` (T, D) and `reference` (D,), image features
    `image_generated`, `image_true` (T, 64), `speaking` (T,), and in the synthetic world `truth`, `expected` (T, D),
    `emotion`, `cue` (T,); `valid` (T,) where some frames were not seen on every side; `speaker_known` (1,) where nobody
    knows who speaks. Of every further reader it has
    `<reader>_generated`, `<reader>_true` (N, D), and of those of identity `<reader>_reference` (D,); N is the number of
    frames or windows that the reader takes. `sync_generated`, `sync_true` and the like are readings of
    `evaluation.readings.lip_sync`, `voice_user`, `voice_avatar` (T, A) of `evaluation.readings.voice`.
    """
    try:
        with safe_open(str(path), "np") as file:
            meta = json.loads((file.metadata() or {})["meta"])
            meta["names"], meta["method"]  # what only such a file has
            clips: dict[str, dict[str, np.ndarray]] = {}
            for name in file.keys():
                clip, _, key = name.rpartition("/")
                clips.setdefault(clip, {})[key] = file.get_tensor(name)
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise DataError(f"{path}: holds no probe readings ({error}); run `python -m evaluation.run`.") from error
    return dict(sorted(clips.items())), meta
