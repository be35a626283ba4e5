"""Encode every dialogue once for the generator `wan`, clip by clip, in bfloat16: `python -m echo_model.wan.encode`."""

import argparse
import csv
import io
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from torch import Tensor
from tqdm import tqdm

from dyads.contract import Dyad, iter_video, read_manifest, read_wav
from dyads.errors import ConfigError, DataError, run_cli
from dyads.features import read_features, write_features
from dyads.files import write_json, write_text
from dyads.masks import to_grid
from dyads.shards import add_shard
from echo_model.backbones.audio import FRAME, frame_energy
from echo_model.backbones.readers import weights_sha256
from echo_model.model.options import ModelOptions
from echo_model.wan.clips import COLUMNS, silence
from echo_model.wan.encoders.latents import WanLatents
from echo_model.wan.encoders.look import Look
from echo_model.wan.encoders.voice import Voice
from echo_model.wan.options import Sizes, WanOptions
from faces.masks import picture_masks
from training.device import limit_threads, pick_device
from training.options import from_dict, options_hash, parse_json, plain
from training.source import source_hash

ENCODERS = "encoders.json"  # which ones made this, with their weights' sha256


class Encoders:
    """The three frozen encoders, opened once."""

    def __init__(self, options: WanOptions, model: ModelOptions, device: torch.device | str = "cpu"):
        check_model(options, model)
        self.options, self.model = options, model
        dtype = torch.float32  # half of it would be seen in the pictures
        folders = {name: folder(options, name) for name in ("vae", "voice", "look")}
        self.latents = WanLatents(folders["vae"], options.size, device, dtype)
        voice, look = options.voice, options.look
        self.voice = Voice(folders["voice"], voice.kind, voice.layer, model.clip, voice.reach, device)
        self.look = Look(folders["look"], look.layer, look.grid, device)
        if self.latents.layout.stride != model.patch:
            raise ConfigError(
                f"model.patch is {model.patch} frames, but a latent step of this autoencoder holds "
                f"{self.latents.layout.stride}; set model.patch to that."
            )

    def masks(self, reference: np.ndarray, patch: int = 2) -> dict[str, Tensor]:
        """M_lip and M_face on the generator's patch grid, (tokens,) row by row, from the landmarks of I_ref."""
        face, lips = picture_masks(reference)
        rows = self.latents.rows // patch
        both = (("m_lip", lips), ("m_face", face))
        return {name: torch.from_numpy(to_grid(mask, rows, rows)).flatten() for name, mask in both}

    def still(self, reference: np.ndarray) -> Tensor:
        """Latent steps of I_ref standing still, for itself and the T_prev frames: where a dialogue begins."""
        return self.latents.encode(np.repeat(reference[None], 1 + self.model.previous, 0))

    def inputs(self, dyad: Dyad, frames: int) -> dict[str, Tensor]:
        """Everything a method may see of a dialogue; the avatar's video beyond its first frame is not opened."""
        whole = -(-frames // self.model.clip) * self.model.clip
        reference = next(iter_video(dyad.avatar.video))
        spoken = read_wav(dyad.avatar)
        every, tubelet = self.options.look.every, self.model.tubelet
        look = torch.cat([self.look.face(part) for part in chunks(seen(dyad, every), 32)])
        made = {
            "voice": silence(self.voice.encode(spoken), whole).bfloat16(),
            "user_voice": silence(self.voice.encode(read_wav(dyad.user)), whole).bfloat16(),
            "user_look": tubelets(look, tubelet // every, whole // tubelet),
            "energy": silence(frame_energy(spoken), whole),
            "reference_tokens": self.look.read(reference[None])[0].bfloat16(),
            "reference_image": torch.from_numpy(reference.copy()),
            "still": self.still(reference),
        }
        return made | self.masks(reference)

    def targets(self, dyad: Dyad, frames: int) -> dict[str, Tensor]:
        """The avatar's true latents by clip, (clips, steps, c, h, w): I_ref, the T_prev frames and the clip's.

        The last clip goes on with its last frame where the dialogue ends in it.
        """
        o, steps, before, read = self.model, [], None, 0
        reference = next(iter_video(dyad.avatar.video))
        for clip in chunks(iter_video(dyad.avatar.video), o.clip):
            if before is None:
                before = np.repeat(reference[None], o.previous, 0)
            read += len(clip)
            clip = np.concatenate([clip, np.repeat(clip[-1:], o.clip - len(clip), 0)])
            window = np.concatenate([reference[None], before, clip])
            steps.append(self.latents.encode(window).bfloat16())
            before = window[-o.previous :]
        if read != frames:
            raise DataError(f"{dyad.avatar.video}: {read} of {frames} frames can be read; restore the file.")
        return {"latents": torch.stack(steps)}

    def sizes(self) -> Sizes:
        """What ECHO's layers must know of the encoders."""
        frames = self.model.tubelet // self.options.look.every
        layout, look = self.latents.layout, self.look
        return Sizes(*layout.step, layout.stride, self.voice.width, look.width, look.grid**2, frames * look.width)


def check_model(options: WanOptions, model: ModelOptions) -> None:
    """ConfigError where the generator's options and LCU's do not go together."""
    if model.tubelet % options.look.every:
        raise ConfigError(
            f"model.tubelet is {model.tubelet} frames, but must be a multiple of generator.look.every "
            f"({options.look.every})."
        )
    if options.voice.reach % model.clip:
        raise ConfigError(
            f"generator.voice.reach is {options.voice.reach} frames, but must be a multiple of model.clip "
            f"({model.clip})."
        )


def folder(options: WanOptions, name: str) -> Path:
    """Folder of a pretrained part; ConfigError if none is named or its weights are not those recorded."""
    part = getattr(options, name)
    if part.path is None:
        raise ConfigError(f"generator.{name}.path is not set; name the folder of its checkpoint.")
    if part.sha256 and (found := weights_sha256(part.path)) != part.sha256:
        raise ConfigError(
            f"{part.path}: the weights' sha256 is {found}, but {part.sha256} is recorded; take the checkpoint that was "
            "trained with."
        )
    return part.path


def chunks(frames: Iterator[np.ndarray], count: int) -> Iterator[np.ndarray]:
    """Stacks of at most `count` frames."""
    while part := list(islice(frames, count)):
        yield np.stack(part)


def seen(dyad: Dyad, every: int) -> Iterator[np.ndarray]:
    """Every so many frames of the user's video."""
    return islice(iter_video(dyad.user.video), 0, None, every)


def tubelets(tokens: Tensor, frames: int, count: int) -> Tensor:
    """Tokens of single frames (n, g, d) -> of tubelets of so many frames, (count, g, frames * d), bfloat16."""
    return rearrange(silence(tokens, count * frames), "(s k) g d -> s g (k d)", k=frames).bfloat16()


def recorded(options: WanOptions) -> dict[str, str]:
    """SHA-256 of each encoder's weights."""
    return {name: weights_sha256(folder(options, name)) for name in ("vae", "voice", "look")}


def encode_dyad(encoders: Encoders, dyad: Dyad, out: Path, made_by: str) -> dict[str, str | int]:
    """Write one dialogue's files, unless they are there already, and give its row of the index."""
    inputs, target = out / f"{dyad.dyad_id}.safetensors", out / f"{dyad.dyad_id}.target.safetensors"
    made_by = options_hash([made_by, dyad.user.sha256, dyad.avatar.sha256])
    if inputs.is_file() and target.is_file():
        meta = read_features(inputs)[1]
        if meta.get("made_by") == made_by:
            return row_of(dyad, int(meta["frames"]), made_by)
    frames = len(read_wav(dyad.avatar)) // FRAME
    if frames < 1:
        raise DataError(f"{dyad.avatar.audio}: less than a frame of sound; take the dialogue out.")
    meta = {"dyad_id": dyad.dyad_id, "split": dyad.split, "frames": frames, "made_by": made_by}
    write_features(target, encoders.targets(dyad, frames), meta)
    write_features(inputs, encoders.inputs(dyad, frames), meta)
    return row_of(dyad, frames, made_by)


def row_of(dyad: Dyad, frames: int, made_by: str) -> dict[str, str | int]:
    return dict(zip(COLUMNS, (dyad.dyad_id, dyad.split, f"{dyad.dyad_id}.safetensors", frames, made_by), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m echo_model.wan.encode", description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--generator", default="{}", help="JSON or @file (echo_model.wan.options.WanOptions)")
    parser.add_argument("--model", default="{}", help="JSON or @file (echo_model.model.options.ModelOptions)")
    parser.add_argument("--out", type=Path, required=True)
    add_shard(parser)
    arguments = parser.parse_args()
    limit_threads(int(os.environ.get("OMP_NUM_THREADS", 1)))
    options = from_dict(WanOptions, parse_json(arguments.generator, "--generator"), "generator")
    model = from_dict(ModelOptions, parse_json(arguments.model, "--model"), "model")
    encoders, digests = Encoders(options, model, pick_device(None)), recorded(options)
    known = [model.clip, model.previous, model.tubelet, model.patch, options.size]
    known += [options.voice.layer, options.voice.reach, options.look.layer, options.look.grid, options.look.every]
    made_by = options_hash([digests, known, source_hash([Encoders])])
    index = io.StringIO()
    writer = csv.DictWriter(index, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for dyad in tqdm(read_manifest(arguments.data, shard=arguments.shard), "encode", disable=None):
        writer.writerow(encode_dyad(encoders, dyad, arguments.out, made_by))
    write_json(arguments.out / ENCODERS, {"sha256": digests, "sizes": plain(encoders.sizes())})
    write_text(arguments.shard.list_in(arguments.out), index.getvalue())


if __name__ == "__main__":
    run_cli(main)
