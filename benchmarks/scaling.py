"""Samples a second of one training over processes: `python -m benchmarks.scaling [--processes 1 2]`, and equal weights.

The step is not tiny: a transformer over a batch of sequences, by the engine that trains every method, under
`training.launch`. Efficiency is the speed over that of one process, divided by the processes; gloo, one core each.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from torch import nn

from benchmarks.report import show
from training.device import seeded
from training.engine import checkpoint
from training.engine.loop import read_summary, train
from training.engine.weights import write_tensors
from training.options import TrainOptions

ROOT = Path(__file__).resolve().parents[1]
WIDTH, LENGTH, BATCH = 128, 64, 8


class SequenceTask:
    """Next vectors of random sequences by a transformer: what a step of the study costs, without data to read."""

    def __init__(self) -> None:
        with seeded(0, "scaling"):
            layer = nn.TransformerEncoderLayer(WIDTH, 4, 4 * WIDTH, dropout=0.0, batch_first=True)
            self.module = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)

    def batch(self, step: int, generator: torch.Generator) -> dict:
        return {"x": torch.randn(BATCH, LENGTH, WIDTH, generator=generator)}

    def loss(self, batch: dict, generator: torch.Generator) -> tuple[torch.Tensor, dict]:
        return (self.module(batch["x"])[:, :-1] - batch["x"][:, 1:]).square().mean(), {}


def work(folder: Path, steps: int) -> None:
    """One rank."""
    torch.set_num_threads(1)
    options = TrainOptions(steps=steps, batch_size=BATCH, learning_rate=1e-3, checkpoint_every=steps, tensorboard=False)
    module = train(SequenceTask(), options, folder, seed=0, stage="scaling", identity={}, device="cpu")
    write_tensors(folder / f"rank{os.environ.get('RANK', 0)}.safetensors", module.state_dict())


def measure(processes: int, steps: int) -> tuple[float, bool]:
    """Samples a second, and whether all ranks ended with the same bits."""
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "training.launch", f"--processes={processes}", "-m", "benchmarks.scaling"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        subprocess.run([*command, "--work", scratch, "--steps", str(steps)], cwd=ROOT, env=environment, check=True)
        summary = read_summary(Path(scratch))
        weights = {checkpoint.sha256_file(path) for path in Path(scratch).glob("rank*.safetensors")}
        return summary["samples"] / summary["train_seconds"], len(weights) == 1


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=3, help="in turns; the best of each counts")
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.work:
        work(args.work, args.steps)
        return
    speeds, equal = dict.fromkeys(args.processes, 0.0), True
    for _ in range(args.repeats):
        for count in args.processes:
            speed, same = measure(count, args.steps)
            speeds[count], equal = max(speeds[count], speed), equal and same
    first = speeds[args.processes[0]] / args.processes[0]
    rows = [
        {"processes": n, "samples/s": speed, "times one": speed / first, "efficiency": speed / first / n}
        for n, speed in speeds.items()
    ]
    figures = {f"speedup_{n}": round(speed / first, 3) for n, speed in speeds.items()} | {"equal_weights": equal}
    show("One training over processes (gloo, one thread each)", rows, figures)


if __name__ == "__main__":
    main()
