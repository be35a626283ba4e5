"""Train the shared motion-latent renderer on true frames: `python -m baselines.motion.train_renderer`."""

import argparse
import os
from dataclasses import asdict, replace
from pathlib import Path

import torch

from baselines.motion.renderer import MotionRenderer, RendererOptions
from dyads.contract import file_sha256
from dyads.errors import run_cli
from echo_model.train_vae import FrameOptions, VAETask, relative_latents, sample_frames
from training.device import limit_threads
from training.loop import TrainOptions, train
from training.options import from_dict, parse_json
from training.weights import load_weights, read_meta, save_weights


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m baselines.motion.train_renderer", description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--options", default="{}", help="JSON with the sections model, frames and train")
    parser.add_argument("--checkpoints", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    limit_threads(int(os.environ.get("OMP_NUM_THREADS", 1)))
    options = parse_json(arguments.options, "--options")
    model = from_dict(RendererOptions, options.get("model", {}), "renderer.model")
    which = from_dict(FrameOptions, options.get("frames", {}), "renderer.frames")
    schedule = from_dict(TrainOptions, options.get("train", {}), "renderer.train")
    sample = sample_frames(arguments.data, which, model.size)
    if sample.coefficients is not None:
        model = replace(model, coefficients=sample.coefficients.shape[1])
    torch.manual_seed(arguments.seed)
    renderer = MotionRenderer(model)
    task = VAETask(renderer, sample, which, schedule.batch_size)  # the autoencoder's own losses
    identity = {"renderer": model, "frames": which, "data": file_sha256(arguments.data / "manifest.csv")}
    train(task, schedule, arguments.checkpoints, seed=arguments.seed, stage="renderer", identity=identity)
    renderer = renderer.cpu().eval()
    renderer.fit_whitening(relative_latents(renderer, sample))
    save_weights(arguments.out, renderer, {"options": asdict(model)})


def load_renderer(path: Path) -> MotionRenderer:
    """The frozen renderer saved by this stage."""
    renderer = MotionRenderer(from_dict(RendererOptions, read_meta(path)["options"], str(path)))
    load_weights(path, renderer)
    return renderer.eval().requires_grad_(False)


if __name__ == "__main__":
    run_cli(main)
