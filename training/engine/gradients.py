"""What a training is, and the gradients of one step: micro batches, losses, and what processes tell each other."""

import statistics
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from dyads.seeding import derive, torch_generator
from training.device import World, autocast
from training.engine import sharding
from training.engine.batches import Batches, Position
from training.engine.progress import batch_name
from training.options import TrainOptions


class Task(Protocol):
    """Anything that is trained. Optional: `parameter_groups()`, `on_step_end(step)`, `batch_at(number)` and
    `shard_units()`.

    `parameter_groups() -> [{"params": [...], "lr_scale": 1.0}]` scales learning rates; trained parameters
    that it leaves out have scale 1. `on_step_end(step)` is called after each optimiser step with the number
    of steps done. `batch_at(number) -> batch`, in place of `batch`, gives micro batches by their number, counted on
    over steps, micro batches and processes: for a task that passes over its data in epochs. `shard_units() -> [module]`
    says where `parallel: fsdp` may cut: modules that are called, inner ones first.
    """

    module: nn.Module  # holds every trained and frozen parameter; requires_grad decides which is which

    def batch(self, step: int, generator: torch.Generator) -> dict[str, Any]:
        """CPU tensors decided by `step` and `generator` alone (a thread may call this one step ahead).

        An entry `ids`, a list of str, names the samples in messages.
        """

    def loss(self, batch: dict[str, Any], generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """Mean loss over the batch, a scalar, and numbers to log. `generator` is a CPU one: draw, move."""


@dataclass(frozen=True)
class Job:
    """One training: what, how, where."""

    task: Task
    options: TrainOptions
    folder: Path
    seed: int
    stage: str
    device: torch.device
    world: World
    trained: dict[str, nn.Parameter]
    buffers: dict[str, Tensor]
    precision: str = "fp32"  # what options.precision means here

    @property
    def effective_batch(self) -> int:
        return self.options.batch_size * self.options.accumulate * self.world.size


class LossModule(nn.Module):
    """The task's loss as a forward pass, so that DDP sees it."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.module, self.loss = task.module, task.loss

    def forward(self, batch: dict[str, Any], generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        return self.loss(batch, generator)


def micro_batch(job: Job, position: Position, generator: torch.Generator) -> dict[str, Any]:
    """One micro batch: by its number among all of this training, where the task counts them, else by its step."""
    step, micro, rank = position
    if hasattr(job.task, "batch_at"):
        return job.task.batch_at((step * job.options.accumulate + micro) * job.world.size + rank)
    return job.task.batch(step, generator)


def positions(start: int, options: TrainOptions, rank: int) -> Iterator[tuple[int, int, int]]:
    """(step, micro batch, rank) from step `start` to the end."""
    for step in range(start, options.steps):
        for micro in range(options.accumulate):
            yield step, micro, rank


def accumulate(
    job: Job, loss_of: nn.Module, batches: Batches, units: list[nn.Module]
) -> tuple[list[Tensor], dict[str, Any], list[str], float | None]:
    """Gradients of one step's micro batches; their losses, the mean numbers to log, their names, and the mean loss over
    processes if there are others."""
    losses, numbers, names, shares = [], {}, [], []
    count, means = job.options.accumulate, None
    for micro in range(count):
        position, batch = batches.next()
        names.append(batch_name(batch, position))
        share = len(batch["ids"]) / job.options.batch_size if "ids" in batch else 1.0
        shares.append(share)
        torch.manual_seed(derive(job.seed, job.stage, "layers", *position))  # dropout and the like
        last = micro == count - 1
        sharding.sync_gradients(units, job.world.size == 1 or last)
        with nullcontext() if job.world.size == 1 or last or units else loss_of.no_sync():
            with autocast(job.device, job.precision):
                loss, logged = loss_of(batch, torch_generator(job.seed, job.stage, "loss", *position))
            losses.append(loss.detach().float())
            if last and job.world.size > 1:  # under way while the last backward pass computes
                here = torch.stack(losses).mean()
                means = job.world.mean_soon(torch.stack([here, here.new_tensor(statistics.fmean(shares))]))
            (loss * (share / count)).backward() if share != 1.0 else (loss / count).backward()
        for name, value in logged.items():
            value = value.detach() if isinstance(value, Tensor) else value
            numbers[name] = numbers.get(name, 0.0) + value / count
    loss, share = means() if means else (None, sum(shares) / count)
    _even_out(job, share)
    return losses, numbers, names, loss


def _even_out(job: Job, share: float) -> None:
    """Make the gradient the mean over samples where batches are uneven, as at the end of a pass over the data."""
    if share != 1.0:
        for p in job.trained.values():
            if p.grad is not None:
                p.grad /= share
