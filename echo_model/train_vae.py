"""Train the small video autoencoder on true frames of training identities: `python -m echo_model.train_vae`."""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from dyads.contract import file_sha256, read_manifest
from dyads.errors import DataError, run_cli
from dyads.masks import region_masks
from dyads.media import read_video
from dyads.seeding import rng, torch_generator
from echo_model.backbones.vae import CHANNELS, TOKENS, FaceVAE, VAEOptions
from training.loop import TrainOptions, train
from training.options import from_dict, parse_json
from training.weights import load_weights, save_weights


@dataclass(frozen=True)
class FrameOptions:
    """Which frames are decoded for training."""

    videos: int = 160  # spread over dyads and roles
    frames: int = 48  # kept from each


def sample_frames(data: Path, options: FrameOptions, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Random true frames of the training split: frames (N, 3, S, S) uint8, references (V, 3, S, S), index (N,)."""
    sides = [side for dyad in read_manifest(data, "train") for side in (dyad.user, dyad.avatar)]
    if not sides:
        raise DataError(f"{data}: the train split has no dyads; add some to the manifest.")
    chosen = rng(0, "vae-videos").permutation(len(sides))[: options.videos]
    frames, references, index = [], [], []
    for place, k in enumerate(tqdm(chosen, "decode", disable=None)):
        video = read_video(sides[k].video, size=size)
        keep = rng(0, "vae-frames", int(k)).permutation(len(video))[: options.frames]
        frames.append(video[np.sort(keep)])
        references.append(video[0])
        index += [place] * len(keep)
    stack = torch.from_numpy(np.concatenate(frames)).permute(0, 3, 1, 2).contiguous()
    return stack, torch.from_numpy(np.stack(references)).permute(0, 3, 1, 2).contiguous(), torch.tensor(index)


class VAETask:
    """L1 + gradient L1, heavier on the face, on the lips and wherever the frame differs from its reference."""

    def __init__(self, vae: FaceVAE, frames: Tensor, references: Tensor, index: Tensor, batch_size: int):
        self.module, self.frames, self.references, self.index = vae, frames, references, index
        self.batch_size = batch_size
        face, lip = (torch.from_numpy(np.asarray(m, dtype=np.float32)) for m in region_masks(vae.options.size))
        self.region = 1 + 2 * face + 4 * lip

    def batch(self, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        pick = torch.randint(len(self.frames), (self.batch_size,), generator=generator)
        frames, references = self.frames[pick] / 255.0, self.references[self.index[pick]] / 255.0
        gain = 1 + 0.2 * (torch.rand(self.batch_size, 3, 1, 1, generator=generator) - 0.5)
        frames, references = (frames * gain).clamp(0, 1), (references * gain).clamp(0, 1)
        flip = torch.rand(self.batch_size, generator=generator) < 0.5
        frames[flip], references[flip] = frames[flip].flip(-1), references[flip].flip(-1)
        return {"frames": frames, "references": references}

    def loss(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        frames, references = batch["frames"], batch["references"]
        output, latents = self.module(frames, references, generator)
        change = F.avg_pool2d((frames - references).abs().mean(1, keepdim=True), 5, 1, 2)
        weight = self.region.to(frames) * (1 + 3 * change / (change.mean((2, 3), keepdim=True) + 0.02))
        weight = weight / weight.mean()
        l1 = (weight * (output - frames).abs()).mean()
        gradient = sum(
            (weight * (torch.diff(output, dim=d, append=output.narrow(d, -1, 1)) - torch.diff(frames, dim=d, append=frames.narrow(d, -1, 1))).abs()).mean()
            for d in (2, 3)
        )
        mse = (output.clamp(0, 1) - frames).square().mean()
        loss = l1 + 0.5 * gradient + 2.0 * mse + 1e-3 * latents[:, :-1].square().mean()
        return loss, {"psnr": float(-10 * torch.log10(mse.detach()))}


@torch.no_grad()
def relative_latents(vae: FaceVAE, frames: Tensor, references: Tensor, index: Tensor, limit: int = 4000) -> Tensor:
    """Raw latents of some training frames, relative to their reference's own."""
    pick = torch.randperm(len(frames), generator=torch_generator(0, "whitening"))[:limit]
    origins = torch.cat([vae.origin(chunk / 255.0) for chunk in references.split(64)])
    parts = []
    for chunk in pick.split(64):
        owner = index[chunk]
        parts.append(vae.encode_raw(frames[chunk] / 255.0, references[owner] / 255.0) - origins[owner])
    return torch.cat(parts)


@torch.no_grad()
def latent_masks(vae: FaceVAE, references: Tensor) -> tuple[Tensor, Tensor]:
    """M_lip and M_face on the latent grid: how much of what a token paints lies on the lips, or on the face.

    Each grid token is moved by its own typical change and the decoded difference is summed over the lip and face
    masks of the picture; a mask is the token's density relative to the densest one. The pose token is face.
    """
    face, lip = (torch.from_numpy(np.asarray(m, dtype=np.float32)) for m in region_masks(vae.options.size))
    references = references / 255.0
    base = vae.decode(torch.zeros(len(references), TOKENS, CHANNELS), references)
    inside, around = torch.zeros(TOKENS), torch.zeros(TOKENS)
    for token in range(TOKENS - 1):
        for channel in range(CHANNELS):
            latents = torch.zeros(len(references), TOKENS, CHANNELS)
            latents[:, token, channel] = 1.0
            energy = (vae.decode(latents, references) - base).square().mean((0, 1))
            inside[token] += (energy * lip).sum()
            around[token] += (energy * face).sum()
    share = inside / (inside + around).clamp_min(1e-12)
    m_lip = share / share.max()
    m_lip[-1] = 0.0
    return m_lip, 1 - m_lip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--options", default="{}", help="JSON with the sections model, frames and train")
    parser.add_argument("--checkpoints", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    options = parse_json(arguments.options, "--options")
    model = from_dict(VAEOptions, options.get("model", {}), "vae.model")
    which = from_dict(FrameOptions, options.get("frames", {}), "vae.frames")
    schedule = from_dict(TrainOptions, options.get("train", {}), "vae.train")
    torch.manual_seed(arguments.seed)
    vae = FaceVAE(model)
    frames, references, index = sample_frames(arguments.data, which, model.size)
    identity = {"vae": model, "frames": which, "data": file_sha256(arguments.data / "manifest.csv")}
    task = VAETask(vae, frames, references, index, schedule.batch_size)
    train(task, schedule, arguments.checkpoints, seed=arguments.seed, stage="vae", identity=identity, device="cpu" if not torch.cuda.is_available() else None)
    vae = vae.cpu().eval()
    vae.fit_whitening(relative_latents(vae, frames, references, index))
    m_lip, m_face = latent_masks(vae, references[:32])
    vae.mask_lip.copy_(m_lip)
    vae.mask_face.copy_(m_face)
    save_weights(arguments.out, vae, {"options": {"size": model.size, "width": model.width, "noise": model.noise}})
    print(json.dumps({"m_lip": [round(float(v), 2) for v in m_lip]}))


def load_vae(path: Path) -> FaceVAE:
    """The frozen autoencoder saved by this stage."""
    from training.weights import read_meta

    vae = FaceVAE(from_dict(VAEOptions, read_meta(path)["options"], str(path)))
    load_weights(path, vae)
    return vae.eval().requires_grad_(False)


if __name__ == "__main__":
    run_cli(main)
