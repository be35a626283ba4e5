"""A tiny task and method that the tests of the training engine share, and ways to run them in processes."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from training.device import seeded
from training.engine import checkpoint
from training.engine.loop import train
from training.engine.weights import load_weights
from training.method import Method, save_weights
from training.options import TrainOptions, from_dict

OPTIONS = {
    "steps": 30,
    "batch_size": 4,
    "learning_rate": 0.01,
    "warmup_steps": 5,
    "schedule": "cosine",
    "ema_decay": 0.9,
    "accumulate": 2,
    "checkpoint_every": 7,
    "log_every": 5,
    "tensorboard": False,
}


def options(**changes) -> TrainOptions:
    return from_dict(TrainOptions, {**OPTIONS, **changes}, "toy")


class ToyTask:
    """Regression with everything a resume can get wrong: dropout, running means, noise in batch and loss."""

    def __init__(self, seed: int = 0, kill_at: int | None = None, dropout: float = 0.3, pause: float = 0.0) -> None:
        with seeded(seed, "toy init"):
            layers = [nn.Linear(6, 16), nn.BatchNorm1d(16), nn.Dropout(dropout), nn.Linear(16, 1)]
            self.module = nn.Sequential(*layers)
        self.kill_at, self.pause = kill_at, pause

    def batch(self, step, generator):
        x = torch.randn(4, 6, generator=generator)
        return {"x": x, "y": x.square().sum(1, keepdim=True), "ids": [f"clip{step}-{i}" for i in range(4)]}

    def loss(self, batch, generator):
        noise = 0.1 * torch.randn(batch["x"].shape, generator=generator)
        loss = (self.module(batch["x"] + noise) - batch["y"]).square().mean()
        return loss, {"mse": loss.detach()}

    def on_step_end(self, step):
        time.sleep(self.pause)
        if step == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)


class LinearTask:
    """Linear regression without any layer randomness, for closed forms."""

    def __init__(self, loss_scale=lambda step: 1.0) -> None:
        with seeded(0, "linear init"):
            self.module = nn.Linear(3, 1)
        self.loss_scale, self.calls = loss_scale, 0

    def batch(self, step, generator):
        self.calls += 1
        return {"x": torch.randn(4, 3, generator=generator), "step": torch.tensor(step)}

    def loss(self, batch, generator):
        error = self.module(batch["x"]) - batch["x"].sum(1, keepdim=True)
        return error.square().mean() * self.loss_scale(int(batch["step"])), {}


class UnevenTask(LinearTask):
    """Batches of one to four samples."""

    def batch(self, step, generator):
        count = int(torch.randint(1, 5, (), generator=generator))
        x = torch.randn(count, 3, generator=generator)
        return {"x": x, "step": torch.tensor(step), "ids": [f"clip{i}" for i in range(count)]}


class ToyMethod(Method):
    """Fades the reference towards a trained grey; options can make it misbehave."""

    def __init__(self, options, resources):
        super().__init__(options, resources)
        self.module = LinearTask().module

    def fit(self, dyads, run):
        if self.options.get("control"):
            return
        settings = options(steps=3, batch_size=len(dyads))
        module = train(LinearTask(), settings, run.folder, seed=run.seed, stage="toy", identity={}, device="cpu")
        save_weights(run.out, module, checkpoint.read_summary(run.folder))

    def load(self, weights):
        self.meta = load_weights(weights, self.module)

    def generate(self, dyad, seed):
        if dyad.dyad_id == self.options.get("kill_on"):
            os.kill(os.getpid(), signal.SIGKILL)
        if dyad.dyad_id == self.options.get("absent_on"):
            return None
        shape = (10, dyad.avatar.height, dyad.avatar.width, 3)
        if self.options.get("wrong") == "shape":
            shape = (9, *shape[1:])
        dtype = np.float32 if self.options.get("wrong") == "dtype" else np.uint8
        return np.full(shape, 40 * seed + len(dyad.dyad_id), dtype)

    def card(self):
        return {**super().card(), "parameters": 4}


def run_toy(
    folder: Path, kill_at: int | None = None, kill_in_save: int | None = None, pause: float = 0.0, **changes
) -> None:
    """Train in this process; may kill itself after a step, or while it writes its n-th checkpoint."""
    torch.set_num_threads(1)
    if kill_in_save is not None:
        write, count = checkpoint.write_tensors, iter(range(1000))

        def write_and_die(path, tensors):
            write(path, tensors)
            if next(count) == kill_in_save:
                path.write_bytes(path.read_bytes()[:-100])
                os.kill(os.getpid(), signal.SIGKILL)

        checkpoint.write_tensors = write_and_die
    task = ToyTask(kill_at=kill_at, pause=pause)
    train(task, options(**changes), folder, seed=3, stage="toy", identity={"a": 1}, device="cpu")


def run_rank(rank: int, port: int, folder: Path, out: Path, kill_at: int | None, linear: bool | str) -> None:
    """One of two processes of a distributed training; saves what its module ends with."""
    torch.set_num_threads(1)
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.environ.update(address, RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2")
    task = (UnevenTask() if linear == "uneven" else LinearTask()) if linear else ToyTask(kill_at=kill_at)
    settings = options(steps=1, ema_decay=0.0) if linear else options(steps=16)
    module = train(task, settings, folder, seed=3, stage="toy", identity={}, device="cpu")
    checkpoint.write_tensors(out / f"rank{rank}.safetensors", module.state_dict())


def start(target, *args, **kwargs) -> multiprocessing.Process:
    """A process with torch already imported, clean of this one's threads."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["toy_training", "torch._dynamo"])  # the latter: slow part of torch.optim
    process = context.Process(target=target, args=args, kwargs=kwargs)
    process.start()
    return process


def run(target, *args, **kwargs) -> int:
    """Exit code of `target` in a process of its own; negative: killed by that signal."""
    process = start(target, *args, **kwargs)
    process.join(60)
    return process.exitcode
