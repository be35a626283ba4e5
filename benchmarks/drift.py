"""Does a long video drift? `python -m benchmarks.drift --checkpoint DIR --data DIR --probe image.safetensors`.

One stream runs through test dialogues one after the other (other users, one avatar) for a minute or more; every few
seconds its frames are held against the reference image. A drift is a fall from span to span: one step from the first
span on is the head leaving the pose of the reference.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from benchmarks.report import show
from dyads.contract import FPS, load_arrays, read_manifest
from dyads.errors import DataError, run_cli
from dyads.media.video import write_video
from echo_model.backbones.audio import FRAME
from echo_model.pretrained import Echo
from evaluation.metrics.pictures.psnr import psnr
from evaluation.probes.frames import to_tensor
from evaluation.probes.store import load_probe


def material(data: Path, split: str, seconds: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """User frames, user sound, avatar sound and the first avatar's reference, over dialogues joined end to end."""
    parts, frames, reference = [], 0, None
    dyads = read_manifest(data, split)
    while frames < seconds * FPS:
        for dyad in dyads:
            arrays = load_arrays(dyad)
            reference = arrays.reference if reference is None else reference
            parts.append((arrays.user_frames, arrays.user_audio, arrays.avatar_audio))
            frames += len(arrays.user_frames)
            if frames >= seconds * FPS:
                break
    total = round(seconds * FPS)
    pictures, heard, voice = (np.concatenate(side) for side in zip(*parts, strict=True))
    return pictures[:total], heard[: total * FRAME], voice[: total * FRAME], reference


@torch.no_grad()
def identity(probe, frames: np.ndarray, reference: np.ndarray) -> float:
    """Mean cosine of the image probe's features to those of the reference."""
    features, target = probe.look(to_tensor(frames))[0], probe.look(to_tensor(reference[None]))[0]
    return float(torch.nn.functional.cosine_similarity(features, target).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--probe", type=Path, required=True)
    parser.add_argument("--split", default="test")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--every", type=float, default=10.0, help="seconds of one line")
    parser.add_argument("--out", type=Path, help="mp4 of the whole minute, to look at")
    arguments = parser.parse_args()
    if arguments.seconds < 2 * arguments.every:
        raise DataError(f"{arguments.seconds:g} s hold no two spans of {arguments.every:g} s; ask for more seconds.")
    torch.set_num_threads(1)
    echo, probe = Echo.from_pretrained(arguments.checkpoint), load_probe(arguments.probe, ("image",))[0]
    user, heard, voice, reference = material(arguments.data, arguments.split, arguments.seconds)
    stream, made, clip = echo.stream(reference), [], echo.model.clip
    for start in tqdm(range(0, len(user), clip), "stream", unit="clip", disable=None):
        sound = slice(start * FRAME, (start + clip) * FRAME)
        made.append(stream.step(user[start : start + clip], heard[sound], voice[sound]))
    video, step = np.concatenate(made), round(arguments.every * FPS)
    rows = []
    for start in range(0, len(video) - step + 1, step):
        part = video[start : start + step]
        target = np.repeat(reference[None], len(part), 0)
        jumps = np.abs(np.diff(part.astype(np.float32), axis=0)).mean((1, 2, 3))
        rows.append(
            {
                "from s": start / FPS,
                "identity": identity(probe, part, reference),
                "PSNR to reference": float(psnr(part, target).mean()),
                "frame change": float(jumps.mean()),
            }
        )
    if arguments.out:
        write_video(arguments.out, video, voice)
    first, last = rows[0], rows[-1]
    figures = {
        "identity_first": round(first["identity"], 4),
        "identity_last": round(last["identity"], 4),
        "psnr_first": round(first["PSNR to reference"], 3),
        "psnr_last": round(last["PSNR to reference"], 3),
        "seconds": arguments.seconds,
    }
    show(f"{arguments.seconds:g} s of one stream against its reference image", rows, figures)


if __name__ == "__main__":
    run_cli(main)
