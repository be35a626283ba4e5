"""Where a lesser processor falls off a cliff: `python -m benchmarks.processor`.

Every kind of step that the study spends its time on, in float32 and in bfloat16, on this processor as it is and as one
with AVX2 alone (`ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2`), each in a process of its own; CPU milliseconds,
one thread, in turns. The chosen precision is what the study takes there: `auto` for autoencoder and renderer, float32
for the rest. Last line, JSON: `chosen_over_best` is the worst ratio of the chosen precision's time over the better
one's, among the stages whose precision is chosen; `avx2_over_full` the worst ratio of the chosen paths between the two.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmarks.report import alternating, show
from training.device import autocast, limit_threads
from training.engine.precision import resolve

KINDS = {"full": {}, "avx2": {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}}
PRECISIONS = ("fp32", "bf16")
CHOSEN = ("autoencoder", "renderer")  # stages of precision auto
CPU = torch.device("cpu")


def frames_task(kind: type[nn.Module], options: object, batch_size: int) -> Callable[[], Tensor]:
    """The loss of a training step on frames (train_vae, train_renderer), of noise."""
    from echo_model.backbones.frames import FrameOptions, FrameSample
    from echo_model.commands.train_vae import VAETask

    noise = torch.Generator().manual_seed(0)
    shape = (3, options.size, options.size)
    frames, references = (torch.randint(0, 256, (n, *shape), generator=noise).byte() for n in (64, 8))
    told = torch.randn(64, options.coefficients, generator=noise)
    sample = FrameSample(frames, references, torch.arange(64) // 8, told)
    task = VAETask(kind(options), sample, FrameOptions(), batch_size)
    batch = task.batch(0, noise)
    return lambda: task.loss(batch, noise)[0]


def steps(batch: int) -> dict[str, Callable[[], Tensor]]:
    """Stage -> the loss of one of its steps."""
    from baselines.motion.renderer import MotionRenderer, RendererOptions
    from benchmarks.sdcm import build, random_batch
    from echo_model.backbones.vae import FaceVAE, VAEOptions
    from evaluation.probes.motion import MotionProbe
    from evaluation.probes.sync import SyncProbe
    from evaluation.probes.video import VideoProbe

    torch.manual_seed(0)
    echo = build(True, 64)
    dialogue, noise = random_batch(echo.options, batch), torch.Generator().manual_seed(0)
    motion, video, sync = MotionProbe(), VideoProbe(), SyncProbe()
    pictures, windows = torch.rand(batch, 3, 64, 64), torch.rand(batch, 3, 16, 32, 32)
    lips = torch.rand(batch, 3, 5, 64, 64)
    attention = nn.TransformerEncoderLayer(64, 4, 256, 0.0, batch_first=True)
    tokens = torch.randn(batch, 256, 64)
    return {
        "autoencoder": frames_task(FaceVAE, VAEOptions(coefficients=8), batch),
        "renderer": frames_task(MotionRenderer, RendererOptions(coefficients=8), batch),
        "ECHO, stage 2": lambda: echo.loss(dialogue, noise)[0],
        "transformer layer": lambda: attention(tokens).float().square().mean(),
        "motion probe": lambda: motion(pictures, pictures)[0].float().square().mean(),
        "video probe": lambda: video(windows).float().square().mean(),
        "sync probe": lambda: sync.forward_lip(lips).float().square().mean(),
    }


def measure(batch: int, repeats: int) -> dict[str, dict[str, float]]:
    """Stage -> precision -> CPU ms of a step on this process's processor; and what `auto` means here."""
    limit_threads(1)
    found = {}
    for name, loss in steps(batch).items():

        def step(precision: str, loss: Callable[[], Tensor] = loss) -> None:
            with autocast(CPU, precision):
                value = loss()
            value.backward()

        runs = {precision: (lambda precision=precision: step(precision)) for precision in PRECISIONS}
        times = alternating(runs, repeats, time.process_time)
        found[name] = {precision: 1e3 * seconds for precision, seconds in times.items()}
        found[name]["chosen"] = resolve("auto", CPU) if name in CHOSEN else "fp32"
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--here", action="store_true", help="measure this process alone, and print JSON")
    arguments = parser.parse_args()
    if arguments.here:
        print(json.dumps(measure(arguments.batch, arguments.repeats)))
        return
    found = {}
    for kind, environment in KINDS.items():
        command = [sys.executable, "-m", "benchmarks.processor", "--here"]
        command += ["--batch", str(arguments.batch), "--repeats", str(arguments.repeats)]
        done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr)
        found[kind] = json.loads(done.stdout.splitlines()[-1])
    rows, over_best, over_full = [], {}, {}
    for name in found["full"]:
        row = {"step": name}
        for kind, times in found.items():
            chosen = times[name]["chosen"]
            row |= {f"{kind} {precision} ms": times[name][precision] for precision in PRECISIONS} | {kind: chosen}
            if name in CHOSEN:
                over_best[f"{name}, {kind}"] = times[name][chosen] / min(times[name][p] for p in PRECISIONS)
        full, avx2 = (found[kind][name][found[kind][name]["chosen"]] for kind in KINDS)
        over_full[name] = row["avx2 / full"] = avx2 / full
        rows.append(row)
    figures = {
        "chosen_over_best": round(max(over_best.values()), 4),
        "chosen_over_best_by_stage": {name: round(ratio, 4) for name, ratio in over_best.items()},
        "avx2_over_full": round(max(over_full.values()), 4),
        "forced_bf16_over_fp32_avx2": round(max(t["bf16"] / t["fp32"] for t in found["avx2"].values()), 2),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
    }
    show(f"CPU ms of a training step, batch {arguments.batch}, one thread", rows, figures)


if __name__ == "__main__":
    main()
