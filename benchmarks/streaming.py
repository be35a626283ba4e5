"""Seconds and memory of a clip as a dialogue goes on: `python -m benchmarks.streaming [--minutes 10]`.

Without --checkpoint the networks are untrained, of the default size: their cost is the same.
"""

import argparse
import statistics
import time

import numpy as np
import torch
from tqdm import tqdm

from benchmarks.report import resident_mib, show
from dyads.contract import FPS, Turn
from echo_model.backbones.audio import FRAME
from echo_model.backbones.phi import Phi, PhiOptions
from echo_model.backbones.vae import FaceVAE, VAEOptions, small_sizes
from echo_model.model.generator import EchoGenerator
from echo_model.model.lcu import LCU
from echo_model.model.options import ModelOptions, SamplingOptions
from echo_model.pretrained import Echo
from echo_model.stream import Networks


def untrained(context: int) -> Echo:
    """An Echo of the default size with random weights."""
    torch.manual_seed(0)
    model, vae = ModelOptions(context=context), FaceVAE(VAEOptions())
    generator = EchoGenerator(model, vae.mask_lip, vae.mask_face)
    networks = Networks(generator, LCU(model, torch.ones(17) > 0, small_sizes(model.tubelet)), vae, Phi(PhiOptions()))
    return Echo.of(networks, model, SamplingOptions(), {"label": "untrained"})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--checkpoint", help="folder of Echo.save_pretrained")
    parser.add_argument("--context", type=int, default=192, help="T in frames, without a checkpoint")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    echo = Echo.from_pretrained(arguments.checkpoint) if arguments.checkpoint else untrained(arguments.context)
    clip, size = echo.model.clip, echo.vae.options.size
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 255, (clip, size, size, 3), dtype=np.uint8)
    sound = (0.1 * rng.standard_normal(clip * FRAME)).astype(np.float32)
    stream, seconds, memory = echo.stream(frames[0]), [], []
    count = round(arguments.minutes * 60 * FPS / clip)
    for k in tqdm(range(count), "stream", unit="clip", disable=None):
        now = k * clip / FPS
        start = time.perf_counter()
        stream.step(frames, sound, sound, [Turn(start=now, end=now + 0.5, role="user", text="that is so good")])
        seconds.append(time.perf_counter() - start)
        memory.append(resident_mib())
    each = round(60 * FPS / clip)
    minutes = [slice(k, min(k + each, count)) for k in range(0, count, each)]
    rows = [
        {
            "minute": k + 1,
            "seconds a clip": statistics.median(seconds[part]),
            "frames a second": clip / statistics.median(seconds[part]),
            "resident MiB": memory[part][-1],
        }
        for k, part in enumerate(minutes)
    ]
    figures = {
        "last_over_first_minute": round(rows[-1]["seconds a clip"] / rows[0]["seconds a clip"], 4),
        "resident_growth_mib": round(rows[-1]["resident MiB"] - rows[0]["resident MiB"], 2),
        "frames_per_second": round(rows[-1]["frames a second"], 2),
        "minutes": len(rows),
        "clip_frames": clip,
        "torch": torch.__version__,
    }
    show(f"one stream, {size}x{size}, clips of {clip} frames, one thread", rows, figures)


if __name__ == "__main__":
    main()
