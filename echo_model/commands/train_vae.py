"""Train the small video autoencoder on true frames of training people: `python -m echo_model.commands.train_vae`."""

import argparse
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dyads.contract import file_sha256
from dyads.errors import ConfigError, run_cli
from dyads.seeding import torch_generator
from echo_model.backbones.frames import FrameOptions, FrameSample, heavier, regions, sample_frames
from echo_model.backbones.vae import TOKENS, FaceVAE, VAEOptions
from echo_model.backbones.warping import affine_grid, warp
from training.device import limit_threads
from training.engine.checkpoint import sha256_file
from training.engine.loop import TrainOptions, read_summary, train
from training.engine.weights import load_weights, read_options, save_weights
from training.options import from_dict, parse_json
from training.provenance import write_provenance
from training.shipped import shipped
from training.shipped.start import require_sizes, start_from_shipped

POSE_KNOWN = 0.02  # radians and half-frames: how near coefficients tell the head's motion in the picture


class VAETask:
    """L1 + gradient L1, heavier on the face, on the lips and wherever the frame differs from its reference."""

    def __init__(self, vae: FaceVAE, sample: FrameSample, options: FrameOptions, batch_size: int):
        self.module, self.sample, self.options, self.batch_size = vae, sample, options, batch_size
        face, lip = regions(options, vae.options.size)
        self.region = heavier(face, lip, options)

    def batch(self, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        sample = self.sample
        pick = torch.randint(len(sample.frames), (self.batch_size,), generator=generator)
        frames, references = sample.frames[pick] / 255.0, sample.references[sample.owner[pick]] / 255.0
        gain = 1 + 0.2 * (torch.rand(self.batch_size, 3, 1, 1, generator=generator) - 0.5)
        frames, references = (frames * gain).clamp(0, 1), (references * gain).clamp(0, 1)
        batch = {"frames": frames, "references": references}
        if sample.coefficients is not None:
            told = {"coefficients": sample.coefficients[pick]}
            return batch | told | ({} if sample.moved is None else {"moved": sample.moved[pick]})
        region = self.region.expand(self.batch_size, 1, -1, -1)
        if sample.masks is not None:
            region = heavier(*sample.masks[pick].float().div(255).split(1, 1), self.options)
        flip = torch.rand(self.batch_size, generator=generator) < 0.5  # coefficients have a handedness
        batch["region"] = torch.where(flip[:, None, None, None], region.flip(-1), region)
        frames[flip], references[flip] = frames[flip].flip(-1), references[flip].flip(-1)
        return batch

    def loss(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        frames, references = batch["frames"], batch["references"]
        output, latents, told = self.module(frames, references, generator)
        output, latents = output.float(), latents.float()
        change = F.avg_pool2d((frames - references).abs().mean(1, keepdim=True), 5, 1, 2)
        weight = batch.get("region", self.region).to(frames) * (
            1 + 3 * change / (change.mean((2, 3), keepdim=True) + 0.02)
        )
        weight = weight / weight.mean()
        l1 = (weight * (output - frames).abs()).mean()
        error = output - frames
        gradient = sum((weight * torch.diff(error, dim=d, append=error.narrow(d, -1, 1)).abs()).mean() for d in (2, 3))
        mse = (output.clamp(0, 1) - frames).square().mean()
        loss = l1 + 0.5 * gradient + 8.0 * mse + 1e-3 * latents[:, :-1].square().mean()
        logs = {"psnr": float(-10 * torch.log10(mse.detach()))}
        if told is not None:
            tell = self.coefficient_error(told, batch["coefficients"])
            loss, logs["tell"] = loss + self.options.tell_weight * tell, float(tell.detach())
            if "moved" in batch:
                # told for faces of one size: within half a pixel the pictures know better
                pose = ((self.module.pose_of(latents)[:, :3] - batch["moved"]).abs() - POSE_KNOWN).clamp_min(0).mean()
                loss, logs["pose"] = loss + self.options.pose_weight * pose, float(pose.detach())
            if self.options.show_weight:
                show = self.coefficient_error(self.read(output.clamp(0, 1), references), batch["coefficients"])
                loss, logs["show"] = loss + self.options.show_weight * show, float(show.detach())
        return loss, logs

    def coefficient_error(self, told: Tensor, true: Tensor) -> Tensor:
        """Weighted mean squared error of standardised coefficients."""
        weight = torch.ones(true.shape[1]).to(true)
        weight[: self.options.lip_coefficients] = self.options.lip_coefficient_weight
        return ((told.float() - true).square() * (weight / weight.mean())).mean()

    def read(self, output: Tensor, references: Tensor) -> Tensor:
        """Coefficients that the encoder reads in a decoded picture; only the picture is trained by it.

        A smile is a few pixels, and an L1 loss is content with a third of it; the reader is not.
        """
        reader = [p for p in coding_parameters(self.module) if p.requires_grad]
        for parameter in reader:
            parameter.requires_grad_(False)
        told = self.module.tell(self.module.guess(output, references).flatten(1))
        for parameter in reader:
            parameter.requires_grad_(True)
        return told


def coding_parameters(network: nn.Module) -> list[nn.Parameter]:
    """What decides a frame's code, and what is told from it; everything else paints."""
    parts = (getattr(network, name) for name in ("pose_net", "encoder", "tell"))
    return [parameter for part in parts if part is not None for parameter in part.parameters()]


@torch.no_grad()
def relative_latents(vae: FaceVAE, sample: FrameSample, limit: int = 3000) -> Tensor:
    """Raw latents of some training frames, relative to their reference's own."""
    pick = torch.randperm(len(sample.frames), generator=torch_generator(0, "whitening"))[:limit]
    origins = torch.cat([vae.origin(chunk / 255.0) for chunk in sample.references.split(64)])
    parts = []
    for chunk in pick.split(64):
        owner = sample.owner[chunk]
        parts.append(vae.encode_raw(sample.frames[chunk] / 255.0, sample.references[owner] / 255.0) - origins[owner])
    return torch.cat(parts)


@torch.no_grad()
def latent_masks(
    vae: FaceVAE, sample: FrameSample, options: FrameOptions, videos: int = 32, frames: int = 8
) -> tuple[Tensor, Tensor]:
    """M_lip and M_face on the latent grid, (17,) each: how far a token answers to the lips, or to the rest of the face.

    Frames are brought to their reference's pose, and get the lips, or the rest of the face, of another frame of the
    same video, by the masks of the picture (the reference's own where it has them). A token's share is how much of what
    moves it then are lips, relative to the token of the largest share. The pose token is face.
    """
    face, lip = (each[None].expand(len(sample.references), -1, -1) for each in regions(options, vae.options.size))
    if sample.reference_masks is not None:
        face, lip = (sample.reference_masks / 255).unbind(1)
    moved = torch.zeros(2, TOKENS)
    for video in range(min(videos, len(sample.references))):
        own, reference = sample.frames[sample.owner == video][:frames] / 255.0, sample.references[video][None] / 255.0
        pose = vae.pose_of(vae.encode_raw(own, reference))
        still = warp(own, affine_grid(pose, vae.options.size, inverse=True))
        latents = vae.encode(still, reference)
        for total, mask in zip(moved, (lip[video], face[video]), strict=True):
            other = vae.encode(still + mask * (still.roll(1, 0) - still), reference)
            total += (other - latents).square().sum((0, 2))
    share = moved[0] / moved.sum(0).clamp_min(1e-12)
    m_lip = share / share[:-1].max().clamp_min(1e-12)
    m_lip[-1] = 0.0
    return m_lip, 1 - m_lip


def train_on_frames(
    kind: type[nn.Module],
    options_kind: type,
    name: str,
    description: str,
    finish: Callable[[nn.Module, FrameSample, FrameOptions], None] | None = None,
) -> nn.Module:
    """The command line of a stage that trains an autoencoder of frames, whitens its latent and saves it.

    Args:
        kind, options_kind: the network and its frozen dataclass of options, with `size` and `coefficients`.
        name: of the network in messages, in the address of randomness and in the checkpoint's identity.
        description: of the command.
        finish: what is still to be set in the trained, whitened network before it is saved.

    Returns:
        The network as saved, on the CPU, in eval mode.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--options", default="{}", help="JSON: model, frames, train; start: shipped or null")
    parser.add_argument("--checkpoints", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    started = time.monotonic()
    limit_threads(int(os.environ.get("OMP_NUM_THREADS", 1)))
    options = parse_json(arguments.options, "--options")
    begin = start_of(name, options)
    sizes = (read_options(shipped(name)) | {"coefficients": 0} if begin else {}) | options.get("model", {})
    model = from_dict(options_kind, sizes, f"{name}.model")
    which = from_dict(FrameOptions, options.get("frames", {}), f"{name}.frames")
    schedule = from_dict(TrainOptions, options.get("train", {}), f"{name}.train")
    sample = sample_frames(arguments.data, which, model.size)
    if sample.coefficients is not None:
        model = replace(model, coefficients=sample.coefficients.shape[1])
    torch.manual_seed(arguments.seed)
    identity = {name: model, "frames": which, "data": file_sha256(arguments.data / "manifest.csv")}
    network = kind(model)
    if begin:
        start_from_shipped(network, name, ("tell.",), f"{name}.start")
        identity["start"] = sha256_file(shipped(name))
    task = VAETask(network, sample, which, schedule.batch_size)
    train(task, schedule, arguments.checkpoints, seed=arguments.seed, stage=name, identity=identity)
    summary = read_summary(arguments.checkpoints)
    network = network.cpu().eval()
    network.fit_whitening(relative_latents(network, sample))
    if finish is not None:
        finish(network, sample, which)
    save_weights(arguments.out, network, {"options": asdict(model), "precision": summary["precision"]})
    resolved = {"model": model, "frames": which, "train": schedule}
    resolved |= {"start": begin} if begin else {}
    trained = {key: summary[key] for key in ("steps", "samples", "train_seconds", "cpu_seconds", "precision")}
    write_provenance(
        arguments.out.with_suffix(".json"), resolved, arguments.seed, {name: arguments.out}, started=started, **trained
    )
    return network


def start_of(name: str, options: dict[str, Any]) -> str | None:
    """What a training goes on from, `shipped` or None. ConfigError for anything else, and for sizes that the shipped
    network does not have."""
    start = options.get("start")
    if start not in (None, "shipped"):
        raise ConfigError(f"{name}.start is {start!r}; give shipped, to train on from the shipped {name}, or null.")
    if start:
        require_sizes(options.get("model", {}), read_options(shipped(name)), f"{name}.model", name, f"{name}.start")
    return start


def load_on_frames(path: Path, kind: type[nn.Module], options_kind: type) -> nn.Module:
    """The frozen network that `train_on_frames` saved."""
    network = kind(from_dict(options_kind, read_options(path), str(path)))
    load_weights(path, network)
    return network.eval().requires_grad_(False)


def set_masks(vae: FaceVAE, sample: FrameSample, options: FrameOptions) -> None:
    m_lip, m_face = latent_masks(vae, sample, options)
    vae.mask_lip.copy_(m_lip)
    vae.mask_face.copy_(m_face)


def load_vae(path: Path) -> FaceVAE:
    """The frozen autoencoder saved by this stage."""
    return load_on_frames(path, FaceVAE, VAEOptions)


def main() -> None:
    vae = train_on_frames(FaceVAE, VAEOptions, "vae", __doc__, set_masks)
    print(json.dumps({"m_lip": [round(float(v), 2) for v in vae.mask_lip]}))


if __name__ == "__main__":
    run_cli(main)
