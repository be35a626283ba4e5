"""The training loop every module shares: AdamW, EMA, accumulation, DDP, and resume by the same command."""

import math
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from dyads.errors import ConfigError
from dyads.seeding import derive, torch_generator
from training import checkpoint
from training.checkpoint import read_summary
from training.device import World, autocast, join_world, pick_device
from training.errors import TrainingError
from training.journal import Journal
from training.options import TrainOptions
from training.weights import copy_state

__all__ = ["Task", "TrainOptions", "read_summary", "train"]

MEDIAN_WINDOW = 100  # losses the running median looks back on
MEDIAN_LEAST = 20  # losses it needs before it may stop a training


class Task(Protocol):
    """Anything that is trained. Optional: `parameter_groups()` and `on_step_end(step)`.

    `parameter_groups() -> [{"params": [...], "lr_scale": 1.0}]` scales learning rates; trained parameters that it
    leaves out have scale 1. `on_step_end(step)` is called after each optimiser step with the steps done.
    """

    module: nn.Module  # holds every trained and frozen parameter; requires_grad decides which is which

    def batch(self, step: int, generator: torch.Generator) -> dict[str, Any]:
        """CPU tensors decided by `generator` (and `step`) alone; an entry `ids` (list of str) is for messages."""

    def loss(self, batch: dict[str, Any], generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """Mean loss over the batch (scalar) and numbers to log. `generator` is on the CPU: draw there, then move."""


@dataclass
class Progress:
    """What a checkpoint remembers beside tensors; plain JSON values."""

    step: int = 0
    samples: int = 0
    seconds: float = 0.0  # wall time of the steps that count
    cpu_seconds: float = 0.0
    first_loss: float = 0.0
    losses: list[float] = field(default_factory=list)  # the last MEDIAN_WINDOW
    window: dict[str, float] = field(default_factory=dict)  # sums since the last logged row
    window_steps: int = 0


def train(
    task: Task,
    options: TrainOptions,
    folder: Path | str,
    *,
    seed: int,
    stage: str,
    identity: dict[str, Any],
    device: str | torch.device | None = None,
) -> nn.Module:
    """Train `task.module`; run the same command again to resume, or to load a finished training at once.

    Randomness depends on (seed, stage, step, micro batch, rank) only, so that a training killed at any moment and
    resumed ends with the same bits on a CPU. Under torchrun every process must call this; rank 0 writes.

    Args:
        task: what to train.
        options: how; any change starts the training afresh.
        folder: checkpoint folder, outside the workflow's outputs.
        seed, stage: address of all randomness.
        identity: JSON values of everything else the result depends on: model options, data, hash of the initial
            weights where these were trained before (`training.checkpoint.fingerprint`). A change starts afresh.
            Frozen parameters and buffers are added here.
        device: see `training.device.pick_device`.

    Returns:
        `task.module` with the averaged (EMA) weights, in eval mode, on the device.

    Raises:
        TrainingError: the loss exploded, a loss or gradient is not finite, or another process trains in `folder`.
    """
    device = pick_device(device)
    world = join_world(device)
    folder = Path(folder)
    module = task.module.to(device)
    trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
    if not trained:
        raise ConfigError(f"stage {stage!r} has no parameter to train; set requires_grad on at least one.")
    signature = {"options": options, "identity": identity, "seed": seed, "stage": stage, "world": world.size}
    signature["frozen"] = checkpoint.fingerprint(_untrained(module))

    with checkpoint.lock(folder) if world.is_main else nullcontext(), _own_randomness(device):
        result = None
        if world.is_main:
            checkpoint.prepare(folder, signature)
            result = checkpoint.load_finished(folder)
        if world.from_main(result is not None):
            world.barrier()
            result = result or checkpoint.load_finished(folder)
        else:
            result = _run(task, options, folder, seed, stage, device, world, module, trained)
        copy_state(result, {**trained, **_buffers(module)}, f"training folder {folder}")
        world.barrier()
    return module.eval()


def _run(
    task: Task,
    options: TrainOptions,
    folder: Path,
    seed: int,
    stage: str,
    device: torch.device,
    world: World,
    module: nn.Module,
    trained: dict[str, nn.Parameter],
) -> dict[str, Tensor]:
    """All remaining steps; returns the averaged weights and the buffers."""
    optimizer = build_optimizer(task, trained, options)
    ema = {name: p.detach().clone() for name, p in trained.items()} if options.ema_decay else {}
    progress = _resume(folder, world, module, trained, ema, optimizer)
    loss_of = _LossModule(task)
    if world.size > 1:  # unused parameters differ between steps wherever conditions are dropped
        devices = [device.index] if device.type == "cuda" else None
        loss_of = DistributedDataParallel(loss_of, device_ids=devices, find_unused_parameters=True)
    on_step_end = getattr(task, "on_step_end", None)
    journal = Journal(
        folder if world.is_main else None,
        progress.step,
        options.steps,
        f"{stage} seed {seed}",
        options.tensorboard,
    )
    module.train()
    if progress.step == 0 and world.is_main:  # the initial weights count too: a rerun must start from these
        checkpoint.save(folder, 0, _state(module, trained, ema, optimizer), asdict(progress))
    clock, cpu_clock = time.monotonic(), time.process_time()
    try:
        while progress.step < options.steps:
            where = f"stage {stage!r}, seed {seed}, step {progress.step}"
            rate = learning_rate(options, progress.step)
            for group in optimizer.param_groups:
                group["lr"] = rate * group["lr_scale"]
            optimizer.zero_grad(set_to_none=True)
            losses, row, batches = _accumulate(
                task, loss_of, options, progress.step, seed, stage, device, world
            )
            norm = nn.utils.clip_grad_norm_(trained.values(), options.clip_norm or math.inf)
            *losses, norm = torch.stack(
                [*losses, norm.float()]
            ).tolist()  # the only wait for the GPU in a step
            _check_finite(losses, norm, batches, where)
            loss = world.mean(statistics.fmean(losses), device)
            _check_explosion(loss, progress, options, where, batches)
            optimizer.step()
            update_ema(ema, trained, options.ema_decay, progress.step)

            now, cpu_now = time.monotonic(), time.process_time()
            _count(progress, options, world, loss, {**row, "loss": loss, "grad_norm": norm})
            progress.seconds += now - clock
            progress.cpu_seconds += cpu_now - cpu_clock
            clock, cpu_clock = now, cpu_now
            if on_step_end is not None:
                on_step_end(progress.step)
            journal.step(progress.step, loss)
            if progress.step % options.log_every == 0 or progress.step == options.steps:
                journal.log(_row(progress, rate, device))
            if (
                world.is_main
                and progress.step % options.checkpoint_every == 0
                and progress.step < options.steps
            ):
                checkpoint.save(
                    folder, progress.step, _state(module, trained, ema, optimizer), asdict(progress)
                )
    finally:
        journal.close()

    result = {name: p.detach() for name, p in {**trained, **ema, **_buffers(module)}.items()}
    if world.is_main:
        summary = {
            "stage": stage,
            "seed": seed,
            "steps": progress.step,
            "samples": progress.samples,
            "parameters_trained": sum(p.numel() for p in trained.values()),
            "train_seconds": round(progress.seconds, 3),
            "cpu_seconds": round(progress.cpu_seconds, 3),
            "processes": world.size,
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
            "max_memory_gib": _max_memory(device),
        }
        checkpoint.finish(folder, result, summary)
    return result


class _LossModule(nn.Module):
    """The task's loss as a forward pass, so that DDP sees it."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.module, self.task = task.module, task

    def forward(self, batch: dict[str, Any], generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        return self.task.loss(batch, generator)


def _accumulate(
    task: Task,
    loss_of: nn.Module,
    options: TrainOptions,
    step: int,
    seed: int,
    stage: str,
    device: torch.device,
    world: World,
) -> tuple[list[Tensor], dict[str, float], list[Any]]:
    """Gradients of one step's micro batches; their losses, mean numbers to log, and names for messages."""
    losses, row, names = [], {}, []
    for micro in range(options.accumulate):
        position = (step, micro, world.rank)
        batch = task.batch(step, torch_generator(seed, stage, "batch", *position))
        names.append(batch.get("ids", f"position {position}"))
        batch = {
            key: value.to(device) if isinstance(value, Tensor) else value for key, value in batch.items()
        }
        torch.manual_seed(derive(seed, stage, "layers", *position))  # dropout and the like
        last = micro == options.accumulate - 1
        with loss_of.no_sync() if world.size > 1 and not last else nullcontext():
            with autocast(device, options.precision):
                loss, numbers = loss_of(batch, torch_generator(seed, stage, "loss", *position))
            (loss / options.accumulate).backward()
        losses.append(loss.detach().float())
        for name, value in numbers.items():
            row[name] = row.get(name, 0.0) + float(value) / options.accumulate
    return losses, row, names


def build_optimizer(task: Task, trained: dict[str, nn.Parameter], options: TrainOptions) -> torch.optim.AdamW:
    """AdamW over the task's groups; parameters with fewer than two dimensions are not decayed."""
    named = {id(p): p for p in trained.values()}
    groups = getattr(task, "parameter_groups", list)()
    groups = [
        {"lr_scale": 1.0, **group, "params": [p for p in group["params"] if id(p) in named]}
        for group in groups
    ]
    for group in groups:
        for parameter in group["params"]:
            if named.pop(id(parameter), None) is None:
                raise ConfigError("parameter_groups names a parameter twice; each may be in one group only.")
    groups.append({"params": list(named.values()), "lr_scale": 1.0})
    split = []
    for group in groups:
        for decay in (True, False):
            chosen = [p for p in group["params"] if (p.ndim >= 2) == decay]
            if chosen:
                weight_decay = options.weight_decay if decay else 0.0
                split.append({**group, "params": chosen, "weight_decay": weight_decay})
    return torch.optim.AdamW(split, lr=options.learning_rate, fused=True)


def learning_rate(options: TrainOptions, step: int) -> float:
    """Rate of optimiser step `step` (from 0): linear warm-up, then constant or half a cosine down to 0 at the end."""
    if step < options.warmup_steps:
        return options.learning_rate * (step + 1) / options.warmup_steps
    if options.schedule == "constant":
        return options.learning_rate
    done = (step - options.warmup_steps) / max(1, options.steps - options.warmup_steps)
    return options.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


def update_ema(ema: dict[str, Tensor], trained: dict[str, nn.Parameter], decay: float, step: int) -> None:
    """ema <- d ema + (1 - d) weights, d = min(decay, (1 + step) / (10 + step)), so that short runs forget their start."""
    if not ema:
        return
    decay = min(decay, (1 + step) / (10 + step))
    with torch.no_grad():
        torch._foreach_lerp_(list(ema.values()), [trained[name].detach() for name in ema], 1 - decay)


def _check_finite(losses: list[float], norm: float, batches: list[Any], where: str) -> None:
    for loss, batch in zip(losses, batches, strict=True):
        if not math.isfinite(loss):
            raise TrainingError(
                f"{where}: the loss is {loss} on batch {batch}; check these samples or lower learning_rate."
            )
    if not math.isfinite(norm):
        raise TrainingError(
            f"{where}: the gradient norm is {norm} on batch {_flat(batches)}; lower learning_rate or clip_norm."
        )


def _check_explosion(
    loss: float, progress: Progress, options: TrainOptions, where: str, batches: list[Any]
) -> None:
    """Stop on a loss far above both the recent median and the first loss (a single odd batch late on is neither)."""
    if (
        not options.explode_factor
        or progress.step < options.warmup_steps
        or len(progress.losses) < MEDIAN_LEAST
    ):
        return
    median = statistics.median(progress.losses)
    if median > 0 and loss > options.explode_factor * median and loss > progress.first_loss:
        raise TrainingError(
            f"{where}: the loss exploded to {loss:.4g}, {loss / median:.0f} times its running median, on batch "
            f"{_flat(batches)}; lower learning_rate or clip_norm, or raise explode_factor."
        )


def _flat(batches: list[Any]) -> Any:
    return batches[0] if len(batches) == 1 else batches


def _count(
    progress: Progress, options: TrainOptions, world: World, loss: float, row: dict[str, float]
) -> None:
    """One more step done."""
    if progress.step == 0:
        progress.first_loss = loss
    progress.step += 1
    progress.samples += options.batch_size * options.accumulate * world.size
    progress.losses = [*progress.losses, loss][-MEDIAN_WINDOW:]
    for name, value in row.items():
        progress.window[name] = progress.window.get(name, 0.0) + value
    progress.window_steps += 1


def _row(progress: Progress, rate: float, device: torch.device) -> dict[str, float]:
    """Means since the last row; empties the window."""
    row: dict[str, Any] = {"step": progress.step}
    row.update({name: value / progress.window_steps for name, value in progress.window.items()})
    row.update(learning_rate=rate, samples=progress.samples, seconds=round(progress.seconds, 3))
    row.update(samples_per_second=round(progress.samples / max(progress.seconds, 1e-9), 3))
    if (memory := _max_memory(device)) is not None:
        row["max_memory_gib"] = memory
    progress.window, progress.window_steps = {}, 0
    return row


def _max_memory(device: torch.device) -> float | None:
    """Most memory torch has held on the GPU, in GiB; None on a CPU."""
    return round(torch.cuda.max_memory_allocated(device) / 2**30, 3) if device.type == "cuda" else None


def _buffers(module: nn.Module) -> dict[str, Tensor]:
    """Persistent buffers, such as running means."""
    persistent = module.state_dict().keys()
    return {name: buffer for name, buffer in module.named_buffers() if name in persistent}


def _untrained(module: nn.Module) -> dict[str, Tensor]:
    """What training takes as given: frozen parameters and the initial buffers."""
    return {**{name: p for name, p in module.named_parameters() if not p.requires_grad}, **_buffers(module)}


def _state(
    module: nn.Module,
    trained: dict[str, nn.Parameter],
    ema: dict[str, Tensor],
    optimizer: torch.optim.Optimizer,
) -> dict[str, Tensor]:
    """Every tensor a checkpoint needs, under flat names."""
    state = {f"weights/{name}": p for name, p in trained.items()}
    state.update({f"buffers/{name}": b for name, b in _buffers(module).items()})
    state.update({f"ema/{name}": p for name, p in ema.items()})
    for name, p in trained.items():
        state.update({f"optimizer/{key}/{name}": value for key, value in optimizer.state.get(p, {}).items()})
    return state


def _resume(
    folder: Path,
    world: World,
    module: nn.Module,
    trained: dict[str, nn.Parameter],
    ema: dict[str, Tensor],
    optimizer: torch.optim.Optimizer,
) -> Progress:
    """Take over the newest checkpoint, if there is one."""
    found = checkpoint.newest(folder) if world.is_main else None
    step = world.from_main(found[1]["step"] if found else None)
    if step is None:
        return Progress()
    tensors, state = found or checkpoint.load(folder, step)
    world.barrier()  # nobody may drop this checkpoint before all have read it
    parts: dict[str, dict[str, Tensor]] = {"weights": {}, "buffers": {}, "ema": {}, "optimizer": {}}
    for name, tensor in tensors.items():
        part, _, rest = name.partition("/")
        parts[part][rest] = tensor
    where = f"checkpoint step {step} in {folder}"
    copy_state({**parts["weights"], **parts["buffers"]}, {**trained, **_buffers(module)}, where)
    copy_state(parts["ema"], ema, where)
    for name, tensor in parts["optimizer"].items():
        key, _, parameter = name.partition("/")
        p = trained[parameter]
        optimizer.state[p][key] = tensor.to(p.device)
    return Progress(**{key: value for key, value in state.items() if key in Progress.__dataclass_fields__})


@contextmanager
def _own_randomness(device: torch.device) -> Iterator[None]:
    """Leave the caller's global random state as it was."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield
