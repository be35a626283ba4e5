"""Decoding a dialogue once and letting the probes read it; readings of true videos are kept for the next method."""

import inspect
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from dyads.contract import ROLES, Dyad, file_sha256, load_arrays
from dyads.errors import DataError
from dyads.manifest import datasets_of
from dyads.media.video import read_video
from dyads.shards import WHOLE, Shard
from evaluation.cards import OK
from evaluation.clips import Clip, avatar_speaking, read_truth
from evaluation.metrics._series import Undefined
from evaluation.metrics.pictures.perceptual import map_distance
from evaluation.networks import known as known_network
from evaluation.networks import load_networks, syncnet
from evaluation.networks.dlib_identity import DlibIdentity
from evaluation.networks.files import verified
from evaluation.networks.syncnet import SyncNet
from evaluation.probes import frames, image, mesh, motion, pca
from evaluation.probes.frames import to_tensor
from evaluation.probes.mesh import MeshProbe
from evaluation.probes.store import PROBES, load_probe
from evaluation.readings import lip_sync, voice
from evaluation.readings.known import TRUE_KEYS, Known
from evaluation.readings.mesh import KEYS as MESH_KEYS
from evaluation.readings.mesh import mesh_readings
from faces import Coefficients
from faces.finding import detect, eyes, models, track
from faces.finding import mesh as squares
from training.device import pick_device
from training.provenance import content_hash

IMAGE_BATCH = 64
LEAST_SEEN = 0.5  # share of the frames in which a face must be found
SIDES = ("generated", "true", "reference")


@dataclass
class Tools:
    """What metrics need beside the clip: probes by name, and reference networks by slot, of those that were given."""

    probes: dict[str, nn.Module] = field(default_factory=dict)
    networks: dict[str, Any] = field(default_factory=dict)
    known: Known = field(default_factory=lambda: Known(None))
    known_features: dict[str, Known] = field(default_factory=dict)  # by reader

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


def load_tools(
    probes: dict[str, Path], weights: dict[str, str], data: Path, split: str, keep: bool, shard: Shard = WHOLE
) -> tuple[Tools, dict[str, dict]]:
    """Probes (name -> file) and networks (slot -> file) on this process's device, and the probes' headers."""
    device, manifest = pick_device(), file_sha256(data / "manifest.csv")
    for slot, path in weights.items():
        verified(known_network(slot), path)
    loaded = {name: load_probe(path, PROBES[name]) for name, path in probes.items()}
    refuse_names(*loaded["motion"], manifest, datasets_of(data))
    data_key = (manifest, split, *([] if shard.whole else [str(shard)]))
    read_by = [module.__file__ for module in (frames, motion, pca, mesh, detect, squares, models, eyes, track)]
    code = [content_hash(file) for file in (*read_by, inspect.getfile(Coefficients))]
    folder = probes["motion"].parent / "readings" if keep else None
    kept = MESH_KEYS if isinstance(loaded["motion"][0], MeshProbe) else TRUE_KEYS
    tools = Tools(
        probes={name: probe.to(device) for name, (probe, _) in loaded.items()},
        networks=load_networks(weights, device),
        known=Known(folder, content_hash(probes["motion"]), *data_key, *code, keys=kept),
    )
    if isinstance(tools.probes["motion"], MeshProbe):
        tools.networks["dlib"] = DlibIdentity()
    for name, reader in tools.readers.items():
        code = [content_hash(file) for file in (frames.__file__, inspect.getfile(type(reader)))]
        keys = tuple(f"{name}_{side}" for side in _sides(reader) if side != "generated")
        path = probes.get(name) or weights.get(name)  # none for a network that ships with a package
        held = content_hash(path) if path else inspect.getmodule(reader).__name__
        tools.known_features[name] = Known(folder, name, held, *data_key, *code, keys=keys)
    for name, listener in tools.listeners.items():
        code = [content_hash(file) for file in (lip_sync.__file__, syncnet.__file__, inspect.getfile(type(listener)))]
        keys = lip_sync.kept(name, name == "syncnet" and "s3fd" in tools.networks)
        files = [content_hash(path) for path in (probes.get(name) or weights[name], weights.get("s3fd")) if path]
        tools.known_features[name] = Known(folder, name, *files, *data_key, *code, keys=keys)
    return tools, {name: meta for name, (_, meta) in loaded.items()}


def refuse_names(probe: nn.Module, meta: dict, manifest: str, datasets: tuple[str, ...] = ()) -> None:
    """Take the names from a motion probe that was trained on another data set: it reads its own faces alone.

    Another world of the same data set has the same coefficients. The mesh was trained on no data set of ours, and a
    probe without a header is taken at its word.
    """
    trained, of = meta.get("data_manifest_sha256"), tuple(meta.get("datasets") or ())
    if meta.get("kind") == "motion" and trained not in (None, manifest) and (not of or of != datasets):
        print(
            "The motion probe was trained on other data (its header says which), so its coefficients have no names "
            "here; train one on this data, or use the mesh (`python -m evaluation.fits --probe motion`).",
            flush=True,
        )
        probe.names = ()


def read_clip(dyad: Dyad, video: Path, tools: Tools, absent: str = "missing_video") -> Clip:
    """Decode one dialogue and let the probes read it; a missing or unfit generated video becomes a status.

    `absent`: the status where there is no such file.
    """
    if not video.exists() and absent != "missing_video":
        return Clip(dyad.dyad_id, 0, absent, np.zeros(0, bool))
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
    points: dict[str, np.ndarray] = {}
    if isinstance(probe, MeshProbe):
        read, points = mesh_readings(probe, tools.known, dyad.dyad_id, arrays, generated, known)
    else:
        read = _probe_motion(probe, tools.known, dyad.dyad_id, arrays, generated, known)
    truth = read_truth(dyad)
    speaking = _speaking(dyad, count, arrays.avatar_audio, truth, probe, read)
    clip = Clip(
        dyad_id=dyad.dyad_id,
        frames=count,
        status=OK,
        speaking=np.zeros(count, bool) if speaking is None else speaking,
        speaker_known=speaking is not None,
        resized=resized,
        truth=truth,
        names=probe.names,
        generated=generated,
        true=true,
        audio=arrays.avatar_audio,
        people=(dyad.avatar.subject_id, dyad.user.subject_id),
        groups=getattr(probe, "groups", None),
        valid=_valid(read),
        features=points,
        **read,
    )
    if count > voice.SHORTEST:
        for role in ROLES:
            sound = getattr(arrays, f"{role}_audio")
            clip.features[f"voice_{role}"] = voice.voice_features(sound, count).astype(np.float16)
    _look(clip, tools.probes["image"])
    for name, reader in tools.readers.items():
        _read_features(clip, name, reader, arrays.reference, tools.known_features.get(name) or Known(None))
    for name, listener in tools.listeners.items():
        finder = tools.networks.get("s3fd") if name == "syncnet" else None
        known = tools.known_features.get(name) or Known(None, keys=lip_sync.kept(name, finder is not None))
        lip_sync.listen(clip, name, listener, finder, known)
    return clip


def _probe_motion(probe, store: Known, dyad_id: str, arrays, generated: np.ndarray, known: dict | None) -> dict:
    """Motion that a probe reads, given the reference image."""
    if known is None:
        known = {
            "motion_true": probe.read(arrays.avatar_frames, arrays.reference),
            "motion_user": probe.read(arrays.user_frames, arrays.user_frames[0]),
            "motion_reference": probe.read(arrays.reference[None], arrays.reference)[0],
        }
        store.put(dyad_id, known)
    return {**known, "motion_generated": probe.read(generated, arrays.reference)}


def _valid(read: dict[str, np.ndarray]) -> np.ndarray | None:
    """bool (T,): frames in which every side's face was seen; None where that is all of them.

    A side that is seen in less than half of its frames is not judged by the rest: then there are none.
    """
    sides = [np.isfinite(read[key]).all(1) for key in ("motion_true", "motion_user", "motion_generated")]
    seen = np.logical_and.reduce(sides)
    if min(side.mean() for side in sides) < LEAST_SEEN:
        return np.zeros_like(seen)
    return None if seen.all() else seen


def _speaking(dyad: Dyad, frames: int, audio: np.ndarray, truth, probe, read: dict) -> np.ndarray | None:
    """Frames in which the avatar speaks; on a shared track the true lips of both help to tell."""
    jaws = None
    if "jaw_open" in probe.names:
        jaw = probe.names.index("jaw_open")
        jaws = read["motion_true"][:, jaw], read["motion_user"][:, jaw]
    return avatar_speaking(dyad, frames, audio, truth, jaws)


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
