"""How near the frozen backbones come on people they never saw: `python -m benchmarks.backbones --help`.

Reads a data folder's test split. Pictures: truth, autoencoder and renderer side by side, six times enlarged.
"""

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
import torch
from einops import rearrange
from safetensors.numpy import load_file
from tabulate import tabulate

from baselines.motion.train_renderer import load_renderer
from dyads.contract import ROLES, Dyad, read_manifest
from dyads.files import atomic_path, write_json
from dyads.media.video import read_video
from dyads.synthetic.coefficients import EXPRESSION, EYES, LIPS
from echo_model.backbones.frames import FrameOptions, regions
from echo_model.backbones.phi import steps_of
from echo_model.backbones.vae import FaceVAE, to_frames, to_tensor
from echo_model.backbones.warping import AFFINE
from echo_model.commands.encode import load_inputs
from echo_model.commands.train_phi import emotion_labels, load_phi, memory_labels
from echo_model.commands.train_vae import load_vae
from evaluation.frechet import frechet_distance
from evaluation.metrics._series import pearson
from evaluation.probes.frames import to_tensor as channels_first
from evaluation.probes.image import ImageProbe
from evaluation.probes.motion import MotionProbe
from evaluation.probes.store import PROBES, load_probe
from training.device import limit_threads

AT_ONCE, SHOWN, FRAMES = 16, 6, 125
STILL = 1e-6  # standard deviation
EYES_FROM, EYES_TO = FrameOptions.eyes


@torch.no_grad()
def round_trip(network: torch.nn.Module, frames: np.ndarray) -> np.ndarray:
    """Frames uint8 (T, S, S, 3) coded against their first and decoded again."""
    reference = to_tensor(frames[:1])
    parts = [to_tensor(frames[k : k + AT_ONCE]) for k in range(0, len(frames), AT_ONCE)]
    return np.concatenate([to_frames(network.decode(network.encode(part, reference), reference)) for part in parts])


def decibels(error: np.ndarray, mask: np.ndarray) -> float:
    """Mean over frames of the PSNR inside `mask` (S, S), of squared errors (T, S, S) of values in 0..255."""
    inside = (error * mask).sum((1, 2)) / mask.sum()
    return float(np.mean(10 * np.log10(255**2 / np.maximum(inside, 0.5))))


def measured(network: torch.nn.Module, videos: list[np.ndarray], motion: MotionProbe, image: torch.nn.Module):
    """What the round trip keeps, mean over videos; and the round trips."""
    made = [round_trip(network, video) for video in videos]
    size = videos[0].shape[1]
    face, lips = (mask.numpy() for mask in regions(FrameOptions(), size))
    row = np.arange(size)[:, None] / size
    eyes = face * ((row >= EYES_FROM) & (row < EYES_TO))
    rows: dict[str, list[float]] = {}
    for true, own in zip(videos, made, strict=True):
        error = ((true.astype(np.float32) - own) ** 2).mean(-1)
        for name, mask in (("psnr", np.ones_like(face)), ("psnr_face", face), ("psnr_lips", lips), ("psnr_eyes", eyes)):
            rows.setdefault(name, []).append(decibels(error, mask))
        a, b = (motion.read(video, true[0]) for video in (own, true))
        for name, part in (("expression", EXPRESSION), ("mouth", LIPS), ("eyes", EYES)):
            rows.setdefault(f"{name}_correlation", []).append(pearson(a[:, part], b[:, part]))
    features = [
        np.concatenate([image.look(channels_first(video))[0].numpy() for video in own]) for own in (made, videos)
    ]
    found = {name: round(float(np.mean(values)), 3) for name, values in rows.items()}
    return found | {"fid_small": round(frechet_distance(*features), 2)}, made


def fitted(vae: FaceVAE, videos: list[np.ndarray], steps: int = 40) -> dict[str, float]:
    """PSNR of frames (every 15th) by the encoder's codes, and by codes fitted to each frame through the frozen decoder:
    roll, shift and size alone, the whole pose token, the whole code. What is gained is what the encoder overlooks."""
    frames = torch.cat([to_tensor(video[::15]) for video in videos])
    references = torch.cat([to_tensor(video[:1]).expand(len(video[::15]), -1, -1, -1) for video in videos])
    with torch.no_grad():
        codes = vae.encode_raw(frames, references)
    free = {"encoded": codes.new_zeros(codes.shape)}
    free |= {name: free["encoded"].clone() for name in ("roll_shift_size", "pose_token", "whole_code")}
    free["roll_shift_size"][:, -1, :AFFINE] = free["pose_token"][:, -1] = free["whole_code"][:] = 1
    step = torch.full_like(codes, 0.02)
    step[:, -1, :AFFINE] = 0.002  # radians and half-frames
    found = {}
    for name, mask in free.items():
        change = torch.zeros_like(codes).requires_grad_()
        optimiser = torch.optim.Adam([change], lr=1.0)
        for _ in range(steps if name != "encoded" else 0):
            for part in torch.arange(len(frames)).split(AT_ONCE):
                made = vae.decode_raw(codes[part] + (change * mask * step)[part], references[part])
                (made - frames[part]).square().mean((1, 2, 3)).sum().backward()
            optimiser.step()
            optimiser.zero_grad()
        with torch.no_grad():
            parts = zip((codes + change * mask * step).split(AT_ONCE), references.split(AT_ONCE), strict=True)
            error = torch.cat([vae.decode_raw(*part).clamp(0, 1) for part in parts]) - frames
            found[name] = round(float(-10 * error.square().mean((1, 2, 3)).clamp_min(1e-9).log10().mean()), 2)
    return found


@torch.no_grad()
def seen_motion(image: ImageProbe, videos: list[np.ndarray], truths: list[np.ndarray]) -> dict[str, float]:
    """How well the image reader's features tell the true coefficients (T, 17) of people it never saw."""
    told = [image.motion(torch.relu(image.look(channels_first(video))[0])).numpy() for video in videos]
    pairs = [(np.concatenate(told)[:, [k]], np.concatenate(truths)[:, [k]]) for k in range(truths[0].shape[1])]
    # a reading that stands still tells nothing; a coefficient that does cannot be told
    found = [pearson(a, b) if a.std() > STILL else 0.0 for a, b in pairs if b.std() > STILL]
    return {"motion_correlation": round(float(np.mean(found)), 3)}


@torch.no_grad()
def understood(path: Path, features: Path, dyads: list[Dyad]) -> dict[str, float]:
    """How much Phi recognises in test dialogues: recall of shown emotions, now and in memory."""
    phi, hits = load_phi(path), {"emotion_recall": [], "memory_recall": []}
    stride = phi.options.stride
    for dyad in dyads:
        inputs = load_inputs(features, dyad.dyad_id)
        audio, video = (steps_of(inputs[f"user_{kind}"], stride)[None].float() for kind in ("audio", "latents"))
        tokens, emotion = phi(audio, video)[0], emotion_labels(dyad, audio.shape[1], stride)
        memory = memory_labels(emotion, stride)
        for name, head, true in (("emotion", phi.emotion, emotion), ("memory", phi.memory, memory)):
            hits[f"{name}_recall"] += (head(tokens).argmax(-1) == true)[true > 0].float().tolist()
    return {name: round(float(np.mean(values)), 3) for name, values in hits.items()}


def picture(path: Path, videos: list[np.ndarray], columns: list[list[np.ndarray]]) -> None:
    """Reference, truth and each network's round trip of one frame a video, six times enlarged."""
    rows = []
    for k, video in enumerate(videos[:SHOWN]):
        at = int(np.abs(video.astype(np.int16) - video[0]).mean((1, 2, 3)).argmax())
        rows.append(np.concatenate([video[0], video[at], *(column[k][at] for column in columns)], 1))
    image = rearrange(np.stack(rows), "(a b) h w c -> (b h) (a w) c", a=2)[..., ::-1]
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path.with_suffix(".png")) as temporary:
        encoded = cv2.imencode(".png", cv2.resize(image, None, fx=6, fy=6, interpolation=cv2.INTER_NEAREST))[1]
        temporary.write_bytes(encoded.tobytes())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.backbones", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder whose test people none of them saw")
    parser.add_argument("--features", type=Path, help="what the autoencoder made of that folder, for Phi")
    parser.add_argument("--backbones", type=Path, required=True, help="folder of vae, renderer (and phi) .safetensors")
    parser.add_argument("--readers", type=Path, required=True, help="folder of the probes")
    parser.add_argument("--videos", type=int, default=18, help="test videos, at most")
    parser.add_argument(
        "--fit", action="store_true", help="fit the autoencoder's codes to frames too: its decoder alone"
    )
    parser.add_argument("--pictures", type=Path, help="folder for pictures of the round trips")
    parser.add_argument("--out", type=Path, help="JSON to write: name -> what was measured")
    args = parser.parse_args()
    limit_threads(1)
    dyads = read_manifest(args.data, "test")
    sides = [(dyad, ROLES[k % 2]) for k, dyad in enumerate(dyads)][: args.videos]
    videos = [read_video(dyad.side(role).video)[:FRAMES] for dyad, role in sides]
    truths = [load_file(dyad.truth_path)[f"{role}_coefficients"][:FRAMES] for dyad, role in sides]
    motion, image = (load_probe(args.readers / f"{name}.safetensors", PROBES[name])[0] for name in ("motion", "image"))
    found, made = {}, []
    for name, load in (("vae", load_vae), ("renderer", load_renderer)):
        if (args.backbones / f"{name}.safetensors").is_file():
            found[name], own = measured(load(args.backbones / f"{name}.safetensors"), videos, motion, image)
            made.append(own)
    if args.fit:
        print("PSNR of fitted codes:", fitted(load_vae(args.backbones / "vae.safetensors"), videos))
    if args.pictures:
        picture(args.pictures / "round_trips", videos, made)
    print(tabulate([{"network": name, **row} for name, row in found.items()], headers="keys"))
    if args.features and (args.backbones / "phi.safetensors").is_file():
        found["phi"] = understood(args.backbones / "phi.safetensors", args.features, dyads)
    for name in PROBES:
        record = args.readers / f"{name}.json"
        if record.is_file():
            said = json.loads(record.read_text(encoding="utf-8"))
            found[name] = {key: value for key, value in said.items() if key.startswith("test_")}
    found["image"] = seen_motion(image, videos, truths)
    if args.out:
        write_json(args.out, found)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
