"""Decoding a dialogue once and letting the probes read it; readings of true videos are kept for the next method."""

import inspect
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from torch import nn

from dyads.contract import Dyad, file_sha256, load_arrays
from dyads.errors import DataError
from dyads.files import atomic_path
from dyads.media import read_video
from evaluation import listening
from evaluation.cards import OK
from evaluation.clips import Clip, avatar_speaking, read_truth
from evaluation.metrics._series import Undefined
from evaluation.metrics.perceptual import map_distance
from evaluation.networks import known as known_network
from evaluation.networks import load_networks, syncnet
from evaluation.networks.files import verified
from evaluation.networks.syncnet import SyncNet
from evaluation.probes import frames, image, motion, pca
from evaluation.probes.frames import to_tensor
from evaluation.probes.store import PROBES, load_probe
from training.device import pick_device
from training.options import options_hash
from training.provenance import content_hash

IMAGE_BATCH = 64
TRUE_KEYS = ("motion_true", "motion_user", "motion_reference")
SIDES = ("generated", "true", "reference")


@dataclass
class Tools:
    """What metrics need beside the clip: probes by name, and reference networks by slot, of those that were given."""

    probes: dict[str, nn.Module] = field(default_factory=dict)
    networks: dict[str, Any] = field(default_factory=dict)
    known: "Known" = field(default_factory=lambda: Known(None))
    known_features: "dict[str, Known]" = field(default_factory=dict)  # by reader

    @property
    def readers(self) -> dict[str, Any]:
        """Those that read frames on their own: `features_of(frames) -> (N, D)`, and perhaps of the reference too."""
        return {name: net for name, net in (self.probes | self.networks).items() if hasattr(net, "features_of")}

    @property
    def listeners(self) -> dict[str, SyncNet]:
        """Those that compare the lips with the voice."""
        return {name: net for name, net in (self.probes | self.networks).items() if isinstance(net, SyncNet)}

    def save(self) -> None:
        """Keep what was found in true videos for the next method."""
        for known in (self.known, *self.known_features.values()):
            known.save()

    def probe(self, name: str) -> nn.Module:
        """A probe by its name; Undefined `weights_missing` without it."""
        return _given(self.probes, name)

    def network(self, slot: str) -> Any:
        """A reference network by its slot; Undefined `weights_missing` without it."""
        return _given(self.networks, slot)


def _given(found: dict[str, Any], name: str) -> Any:
    if name not in found:
        raise Undefined("weights_missing")
    return found[name]


class Known:
    """What one reader found in true videos, kept in one file per (reader, data, split) beside the motion probe.

    It is the same for every method and seed. `folder` None keeps nothing; `keys` are what it finds in each dialogue.
    """

    def __init__(self, folder: Path | None, *key: str | None, keys: tuple[str, ...] = TRUE_KEYS) -> None:
        self.keys = keys
        self.path = folder / f"{options_hash(key)}.safetensors" if folder else None
        self.readings: dict[str, np.ndarray] = {}
        self.added = False
        if self.path is not None and self.path.is_file():
            try:
                with safe_open(str(self.path), "np") as file:
                    self.readings = {name: file.get_tensor(name) for name in file.keys()}
            except SafetensorError as error:
                raise DataError(f"{self.path}: cannot be read ({error}); delete it.") from error

    def get(self, dyad_id: str) -> dict[str, np.ndarray] | None:
        """The readings `keys` of a dyad, if they are there."""
        names = {key: f"{dyad_id}/{key}" for key in self.keys}
        if not all(name in self.readings for name in names.values()):
            return None
        return {key: self.readings[name] for key, name in names.items()}

    def put(self, dyad_id: str, values: dict[str, np.ndarray]) -> None:
        self.readings.update({f"{dyad_id}/{key}": values[key] for key in self.keys})
        self.added = True

    def save(self) -> None:
        """Write what is new; of two processes at once, the later file stays, and both are complete."""
        if self.added and self.path is not None:
            with atomic_path(self.path) as temporary:
                save_file(self.readings, temporary)


def load_tools(
    probes: dict[str, Path], weights: dict[str, str], data: Path, split: str, keep: bool
) -> tuple[Tools, dict[str, dict]]:
    """Probes (name -> file) and networks (slot -> file) on this process's device, and the probes' headers."""
    device = pick_device()
    for slot, path in weights.items():
        verified(known_network(slot), path)
    loaded = {name: load_probe(path, PROBES[name]) for name, path in probes.items()}
    data_key = (file_sha256(data / "manifest.csv"), split)
    code = [content_hash(module.__file__) for module in (frames, motion, pca)]
    folder = probes["motion"].parent / "readings" if keep else None
    tools = Tools(
        probes={name: probe.to(device) for name, (probe, _) in loaded.items()},
        networks=load_networks(weights, device),
        known=Known(folder, content_hash(probes["motion"]), *data_key, *code),
    )
    for name, reader in tools.readers.items():
        code = [content_hash(file) for file in (frames.__file__, inspect.getfile(type(reader)))]
        keys = tuple(f"{name}_{side}" for side in _sides(reader) if side != "generated")
        path = probes.get(name) or weights[name]
        tools.known_features[name] = Known(folder, name, content_hash(path), *data_key, *code, keys=keys)
    for name, listener in tools.listeners.items():
        code = [content_hash(file) for file in (listening.__file__, syncnet.__file__, inspect.getfile(type(listener)))]
        keys = listening.kept(name, name == "syncnet" and "s3fd" in tools.networks)
        files = [content_hash(path) for path in (probes.get(name) or weights[name], weights.get("s3fd")) if path]
        tools.known_features[name] = Known(folder, name, *files, *data_key, *code, keys=keys)
    return tools, {name: meta for name, (_, meta) in loaded.items()}


def read_clip(dyad: Dyad, video: Path, tools: Tools) -> Clip:
    """Decode one dialogue and let the probes read it; a missing or unfit generated video becomes a status."""
    try:
        generated = read_video(video)
    except DataError as error:
        print(f"missing_video: {error}", flush=True)
        return Clip(dyad.dyad_id, 0, "missing_video", np.zeros(0, bool))
    known = tools.known.get(dyad.dyad_id)
    arrays = load_arrays(dyad, ("avatar",) if known else ("user", "avatar"))
    true, count = arrays.avatar_frames, len(arrays.avatar_frames)
    if len(generated) != count:
        print(f"length_mismatch: {video} has {len(generated)} frames, the truth {count}", flush=True)
        return Clip(dyad.dyad_id, count, "length_mismatch", np.zeros(count, bool))
    resized = generated.shape != true.shape
    if resized:
        generated = read_video(video, size=true.shape[1:3])
    probe = tools.probes["motion"]
    if known is None:
        known = {
            "motion_true": probe.read(true, arrays.reference),
            "motion_user": probe.read(arrays.user_frames, arrays.user_frames[0]),
            "motion_reference": probe.read(arrays.reference[None], arrays.reference)[0],
        }
        tools.known.put(dyad.dyad_id, known)
    truth = read_truth(dyad)
    clip = Clip(
        dyad_id=dyad.dyad_id,
        frames=count,
        status=OK,
        speaking=avatar_speaking(dyad, count, arrays.avatar_audio, truth),
        resized=resized,
        truth=truth,
        names=probe.names,
        generated=generated,
        true=true,
        audio=arrays.avatar_audio,
        motion_generated=probe.read(generated, arrays.reference),
        **known,
    )
    _look(clip, tools.probes["image"])
    for name, reader in tools.readers.items():
        _read_features(clip, name, reader, arrays.reference, tools.known_features.get(name) or Known(None))
    for name, listener in tools.listeners.items():
        finder = tools.networks.get("s3fd") if name == "syncnet" else None
        known = tools.known_features.get(name) or Known(None, keys=listening.kept(name, finder is not None))
        listening.listen(clip, name, listener, finder, known)
    return clip


def _sides(reader: Any) -> tuple[str, ...]:
    return SIDES if getattr(reader, "with_reference", False) else SIDES[:2]


def _read_features(clip: Clip, name: str, reader: Any, reference: np.ndarray, known: Known) -> None:
    """Features `<name>_<side>` of both videos and, for some readers, of the reference image uint8 (H, W, 3).

    Rounded as they are stored, so that a value computed from the file is the same.
    """
    found = known.get(clip.dyad_id)
    if found is None:
        found = {f"{name}_true": reader.features_of(clip.true).astype(np.float16)}
        if "reference" in _sides(reader):
            found[f"{name}_reference"] = reader.features_of(reference[None])[0].astype(np.float16)
        if known.path is not None:
            known.put(clip.dyad_id, found)
    clip.features[f"{name}_generated"] = reader.features_of(clip.generated).astype(np.float16)
    clip.features |= found


def _look(clip: Clip, probe: image.ImageProbe) -> None:
    """Image features of both videos and the distance of their feature maps, batch by batch to save memory."""
    device = next(probe.parameters()).device
    features: dict[str, list] = {"generated": [], "true": []}
    distances = []
    for start in range(0, clip.frames, IMAGE_BATCH):
        maps = []
        for key in features:
            pictures = to_tensor(getattr(clip, key)[start : start + IMAGE_BATCH]).to(device)
            seen, layers = probe.look(pictures)
            features[key].append(seen.cpu().numpy())
            maps.append(layers)
        distances.append(map_distance(*maps).cpu().numpy())
    # rounded as they are stored, so that a value computed from the file is the same
    clip.image_generated = np.concatenate(features["generated"]).astype(np.float16)
    clip.image_true = np.concatenate(features["true"]).astype(np.float16)
    clip.map_distance = np.concatenate(distances)


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
            **clip.features,
        }
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
    `emotion`, `cue` (T,). Of every further reader it has `<reader>_generated`, `<reader>_true` (N, D), and of those of
    identity `<reader>_reference` (D,); N is the number of frames or windows that the reader takes. `sync_generated`,
    `sync_true` and the like are readings of `evaluation.listening`.
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
