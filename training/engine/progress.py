"""How far a training is: counters that survive a kill, the rows it logs, and the checks that stop it."""

import math
import resource
import statistics
from dataclasses import dataclass, field
from typing import Any

import torch

from training.errors import TrainingError
from training.options import TrainOptions

MEDIAN_WINDOW = 100  # losses the running median looks back on
MEDIAN_LEAST = 20  # losses it needs before it may stop a training
NAMES_SHOWN = 32  # samples a message names


@dataclass
class Progress:
    """What a checkpoint remembers beside tensors; plain JSON values."""

    step: int = 0
    samples: int = 0
    seconds: float = 0.0  # wall time of the steps that count, over all attempts
    cpu_seconds: float = 0.0
    precision: str = ""  # what the steps were computed in; every one of them, where a resume changed it
    first_loss: float = 0.0
    losses: list[float] = field(default_factory=list)  # the last MEDIAN_WINDOW
    sums: dict[str, float] = field(default_factory=dict)  # since the last logged row
    sums_steps: int = 0
    sums_seconds: float = 0.0

    def count(self, loss: float, numbers: dict[str, float], samples: int, wall: float, cpu: float) -> None:
        """One more step is done."""
        if self.step == 0:
            self.first_loss = loss
        self.step += 1
        self.samples += samples
        self.seconds += wall
        self.cpu_seconds += cpu
        self.losses = [*self.losses, loss][-MEDIAN_WINDOW:]
        for name, value in numbers.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.sums_steps += 1
        self.sums_seconds += wall

    def row(self, rate: float, samples: int, device: torch.device) -> dict[str, float]:
        """Means since the last row, which this starts anew; `samples` is the effective batch."""
        row: dict[str, Any] = {"step": self.step}
        row.update({name: value / self.sums_steps for name, value in self.sums.items()})
        row.update(learning_rate=rate, samples=self.samples, seconds=round(self.seconds, 3))
        row["samples_per_second"] = round(self.sums_steps * samples / max(self.sums_seconds, 1e-9), 3)
        row.update(memory(device))
        self.sums, self.sums_steps, self.sums_seconds = {}, 0, 0.0
        return row


def memory(device: torch.device) -> dict[str, float]:
    """Most memory held so far, GiB: of the process, and on the GPU as torch counts it."""
    used = {"max_memory_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 3)}
    if device.type == "cuda":
        used["max_gpu_memory_gib"] = round(torch.cuda.max_memory_allocated(device) / 2**30, 3)
    return used


def batch_name(batch: dict[str, Any], position: tuple[int, int, int]) -> str:
    """What messages call a batch: its sample ids, else its position."""
    if "ids" not in batch:
        return f"at (step, micro, rank) {position}"
    ids = [str(name) for name in batch["ids"]]
    more = f" and {len(ids) - NAMES_SHOWN} more" if len(ids) > NAMES_SHOWN else ""
    return f"[{', '.join(ids[:NAMES_SHOWN])}{more}]"


def check_finite(losses: list[float], norm: float, batches: list[str], where: str) -> None:
    """Raise TrainingError if a micro batch's loss or the gradient norm is not finite."""
    for loss, batch in zip(losses, batches, strict=True):
        if not math.isfinite(loss):
            raise TrainingError(
                f"{where}: the loss is {loss} on batch {batch}; check these samples or lower learning_rate."
            )
    if not math.isfinite(norm):
        raise TrainingError(
            f"{where}: the gradient norm is {norm} on batch {' + '.join(batches)}; "
            "check these samples or lower learning_rate."
        )


def check_explosion(loss: float, progress: Progress, options: TrainOptions, batches: list[str], where: str) -> None:
    """Raise TrainingError on a loss far above the recent median.

    It must also exceed the first loss: one odd batch in a training that has almost converged is no explosion.
    """
    if not options.explode_factor or progress.step < options.warmup_steps:
        return
    if len(progress.losses) < MEDIAN_LEAST:
        return
    median = statistics.median(progress.losses)
    if median > 0 and loss > options.explode_factor * median and loss > progress.first_loss:
        raise TrainingError(
            f"{where}: the loss exploded to {loss:.4g}, {loss / median:.0f} times its running median, "
            f"on batch {' + '.join(batches)}; lower learning_rate or clip_norm, or raise explode_factor."
        )
