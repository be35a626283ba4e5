"""Encode every dialogue once: latents, audio features, reference tokens. `python -m echo_model.commands.encode`."""

import argparse
import csv
import io
import json
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from itertools import repeat
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from tqdm import tqdm

from dyads.contract import ROLES, Dyad, DyadArrays, file_sha256, load_arrays, read_manifest
from dyads.errors import DataError, run_cli
from dyads.features import read_features, write_features
from dyads.files import write_text
from dyads.shards import add_shard
from echo_model.backbones.audio import encode_audio, frame_energy
from echo_model.backbones.vae import FaceVAE, encode_video, to_tensor
from echo_model.commands.train_vae import load_vae
from training.device import limit_threads
from training.options import options_hash
from training.source import source_hash

PER_FRAME = {"user_latents", "user_audio", "avatar_audio", "energy", "avatar_latents", "user_motion", "avatar_motion"}


@torch.no_grad()
def encode_inputs(vae: FaceVAE, arrays: DyadArrays) -> dict[str, Tensor]:
    """Everything a method may see of a dialogue: the user's side, the avatar's voice and its reference image."""
    return {
        "user_latents": encode_video(vae, arrays.user_frames, arrays.user_frames[0]),
        "user_audio": encode_audio(arrays.user_audio),
        "avatar_audio": encode_audio(arrays.avatar_audio),
        "energy": frame_energy(arrays.avatar_audio),
        "reference": vae.reference_tokens(to_tensor(arrays.reference[None]))[0],
        "user_reference": vae.reference_tokens(to_tensor(arrays.user_frames[:1]))[0],
        "reference_image": torch.from_numpy(arrays.reference).permute(2, 0, 1).contiguous(),
        "user_reference_image": torch.from_numpy(arrays.user_frames[0]).permute(2, 0, 1).contiguous(),
    }


def encode_dyad(dyad: Dyad, vae_path: Path, out: Path, made_by: str = "") -> str:
    torch.set_num_threads(1)
    done = out / f"{dyad.dyad_id}.safetensors"
    if not kept(done, made_by):
        vae = load_vae(vae_path)
        arrays = load_arrays(dyad)
        targets = {"avatar_latents": encode_video(vae, arrays.avatar_frames, arrays.reference)}
        meta = {"dyad_id": dyad.dyad_id, "split": dyad.split, "frames": len(arrays.avatar_frames), "made_by": made_by}
        write_features(out / f"{dyad.dyad_id}.target.safetensors", targets, meta)
        write_features(done, encode_inputs(vae, arrays), meta)
    return dyad.dyad_id


def load_inputs(features: Path, dyad_id: str) -> dict[str, Tensor]:
    """The inputs of one dialogue, (T, ...) each."""
    return read_whole(features / f"{dyad_id}.safetensors")


def load_targets(features: Path, dyad_id: str) -> Tensor:
    """The avatar's true latents (T, 17, 8): for training only."""
    return read_whole(features / f"{dyad_id}.target.safetensors")["avatar_latents"]


def read_whole(path: Path) -> dict[str, Tensor]:
    """A dialogue's tensors; DataError where one of them is shorter or longer than the dialogue it was made of."""
    tensors, meta = read_features(path)
    for name in PER_FRAME & tensors.keys():
        if len(tensors[name]) != meta.get("frames", len(tensors[name])):
            raise DataError(
                f"{path}: tensor {name!r} has {len(tensors[name])} frames, but the dialogue has {meta['frames']}; "
                "delete the file and encode again."
            )
    return tensors


def kept(file: Path, made_by: str) -> bool:
    """Whether a dialogue's file is there and was made by the same weights, recordings and code."""
    if not file.is_file():
        return False
    try:
        with safe_open(file, "pt") as handle:
            return json.loads((handle.metadata() or {}).get("meta", "{}")).get("made_by") == made_by
    except (OSError, SafetensorError, ValueError):
        return False  # broken: made again


def encode_all(
    description: str,
    network: str,
    work: Callable[[Dyad, Path, Path, str], str],
    columns: tuple[str, ...] = ("dyad_id", "split", "file"),
) -> None:
    """The command line of a stage that encodes every dialogue by a frozen network, and then lists them in index.csv.

    `network` names the option that takes its weights; `work(dyad, weights, out, made_by)` writes one dialogue's files,
    in a process of its own if there is more than one worker, and gives its id; what `kept` finds is not made again.
    `columns` are those of the list, beside the file's SHA-256.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument(f"--{network}", dest="weights", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=1)
    add_shard(parser)
    arguments = parser.parse_args()
    limit_threads(int(os.environ.get("OMP_NUM_THREADS", 1)))
    dyads = read_manifest(arguments.data, shard=arguments.shard)
    by = [file_sha256(arguments.weights), source_hash([work])]
    made_by = [options_hash([*by, *(dyad.side(role).sha256 for role in ROLES)]) for dyad in dyads]
    given = dyads, repeat(arguments.weights), repeat(arguments.out), made_by
    with ProcessPoolExecutor(arguments.workers) if arguments.workers > 1 else nullcontext() as pool:
        encoded = pool.map(work, *given) if pool else map(work, *given)
        done = list(tqdm(encoded, "encode", total=len(dyads), disable=None))
    index = io.StringIO()
    writer = csv.DictWriter(index, (*columns, "sha256"), extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for dyad_id, dyad in zip(done, dyads, strict=True):
        file = f"{dyad_id}.safetensors"
        line = {"dyad_id": dyad_id, "split": dyad.split, "file": file, "sha256": file_sha256(arguments.out / file)}
        writer.writerow(line)
    write_text(arguments.shard.list_in(arguments.out), index.getvalue())


def main() -> None:
    encode_all(__doc__, "vae", encode_dyad)


if __name__ == "__main__":
    run_cli(main)
