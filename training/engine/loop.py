"""The training loop every module shares: AdamW, EMA, accumulation, DDP or FSDP2, and resume by the same command."""

import math
import statistics
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from dyads.errors import ConfigError
from dyads.seeding import derive, torch_generator
from training.device import World, among_peers, autocast, join_world, pick_device
from training.engine import checkpoint, sharding
from training.engine.batches import Batches, Position
from training.engine.checkpoint import read_summary
from training.engine.journal import Journal
from training.engine.optim import build_optimizer, learning_rate, update_ema
from training.engine.precision import resolve
from training.engine.progress import Progress, batch_name, check_explosion, check_finite, memory
from training.engine.weights import copy_state
from training.options import RESULT_FIELDS, TrainOptions
from training.source import source_hash

__all__ = ["Task", "TrainOptions", "read_summary", "train"]


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
class _Job:
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
    """Train `task.module`; call again to resume, or to load a finished training at once.

    Randomness depends on (seed, stage, step, micro batch, rank) only, so that a training killed at any moment
    and resumed ends with the same bits on a CPU. Under torchrun every process calls this and rank 0 writes.

    Args:
        task: what to train.
        options: how; a change of anything that decides the weights starts the training afresh.
        folder: checkpoint folder of this one training, outside the workflow's outputs.
        seed, stage: address of all randomness.
        identity: JSON values of everything else the result depends on: model options, data, and the hash of
            initial weights that were trained before (`training.engine.checkpoint.fingerprint`). A change starts
            afresh. Frozen parameters, initial buffers and the code of the task are added here.
        device: see `training.device.pick_device`.

    Returns:
        `task.module` with the averaged (EMA) weights, in eval mode, on the device. After a training with `parallel:
        fsdp` the main process has it whole on the CPU, to be saved; nothing can be computed with it.

    Raises:
        TrainingError: the loss exploded, a loss or gradient is not finite, or another process trains here.
    """
    device = pick_device(device)
    world = join_world(device)
    folder = Path(folder)
    cuts = options.parallel == "fsdp" and world.size > 1
    module = task.module if cuts else task.module.to(device)  # part by part, where it is cut
    trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
    if not trained:
        raise ConfigError(f"stage {stage!r} has no parameter to train; set requires_grad on at least one.")
    frozen = {name: p for name, p in module.named_parameters() if not p.requires_grad}
    persistent = module.state_dict().keys()
    buffers = {name: b for name, b in module.named_buffers() if name in persistent}
    job = _Job(task, options, folder, seed, stage, device, world, trained, buffers)

    with (
        checkpoint.lock(folder) if world.is_main else nullcontext(),
        torch.random.fork_rng([device] if device.type == "cuda" else []),
        among_peers(world),
    ):
        result = None
        if world.is_main:
            signature = {
                "options": {name: getattr(options, name) for name in RESULT_FIELDS},
                "identity": identity,
                "seed": seed,
                "stage": stage,
                "processes": world.size,
                "frozen": checkpoint.fingerprint({**frozen, **buffers}),
                "code": source_hash({type(task), *map(type, module.modules())}),
            }
            checkpoint.prepare(folder, signature)
            result = checkpoint.load_finished(folder)
        del frozen
        if not world.from_main(int(result is not None), device):
            _run(job)
            if cuts:
                sharding.mend(module, world)
                trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
            world.barrier()
        if result is None:
            result = checkpoint.load_finished(folder)
        copy_state(result, {**trained, **buffers}, f"training folder {folder}")
        world.barrier()
    module.zero_grad(set_to_none=True)
    return module.eval()


def _run(job: _Job) -> None:
    """All remaining steps, ending in a finished folder."""
    options, world, device, units = job.options, job.world, job.device, []
    if options.parallel == "fsdp" and world.size > 1:
        units = sharding.cut(job.task, job.stage, world, device)
        job = replace(job, trained={n: p for n, p in job.task.module.named_parameters() if p.requires_grad})
    trained = job.trained
    optimizer = build_optimizer(getattr(job.task, "parameter_groups", list)(), trained, options)
    ema = {name: p.detach().clone() for name, p in trained.items()} if options.ema_decay else {}
    progress = _resume(job, ema, optimizer)
    job = replace(job, precision=_precision(job, progress))
    loss_of = _LossModule(job.task)
    if world.size > 1 and not units:  # which parameters are used may differ: conditions are dropped at random
        devices = [device.index] if device.type == "cuda" else None
        loss_of = DistributedDataParallel(
            loss_of, device_ids=devices, find_unused_parameters=True, gradient_as_bucket_view=True
        )
    on_step_end = getattr(job.task, "on_step_end", None)
    title = f"{job.stage} seed {job.seed}"
    folder = job.folder if world.is_main else None
    journal = Journal(folder, progress.step, options.steps, title, options.tensorboard)
    positions = _positions(progress.step, options, world.rank)
    address = (job.seed, job.stage)
    batches = Batches(partial(_batch, job), address, positions, device, ahead=device.type == "cuda")
    job.task.module.train()
    if progress.step == 0:  # the initial weights count too: a rerun must start from these
        _save(job, ema, optimizer, progress)
    clock, cpu_clock = time.monotonic(), time.process_time()
    try:
        while progress.step < options.steps:
            where = f"stage {job.stage!r}, seed {job.seed}, step {progress.step}"
            rate = learning_rate(options, progress.step)
            for group in optimizer.param_groups:
                group["lr"] = rate * group["lr_scale"]
            optimizer.zero_grad(set_to_none=True)
            losses, numbers, names, loss = _accumulate(job, loss_of, batches, units)
            if units:
                sharding.average_gradients(trained, world)
            norm = sharding.clip_gradients(trained, options.clip_norm or math.inf)
            *losses, norm = torch.stack([*losses, norm.float()]).tolist()  # here the CPU waits for the GPU
            check_finite(losses, norm, names, where)
            loss = statistics.fmean(losses) if loss is None else loss
            check_explosion(loss, progress, options, names, where)
            optimizer.step()
            update_ema(ema, trained, options.ema_decay, progress.step)

            numbers = {
                **{name: float(value) for name, value in numbers.items()},
                "loss": loss,
                "grad_norm": norm,
            }
            now, cpu_now = time.monotonic(), time.process_time()
            progress.count(loss, numbers, job.effective_batch, now - clock, cpu_now - cpu_clock)
            clock, cpu_clock = now, cpu_now
            if on_step_end is not None:
                on_step_end(progress.step)
            journal.step(progress.step, loss)
            done = progress.step == options.steps
            if done or progress.step % options.log_every == 0:
                journal.log(progress.row(rate, job.effective_batch, device))
            if not done and progress.step % options.checkpoint_every == 0:
                _save(job, ema, optimizer, progress)
    finally:
        batches.close()
        journal.close()
    result = sharding.gathered({**trained, **ema, **job.buffers}, world)
    if world.is_main:
        checkpoint.finish(job.folder, result, _summary(job, progress))


def _precision(job: _Job, progress: Progress) -> str:
    """What the coming steps are computed in, told where it was not asked for by name, and noted."""
    chosen = resolve(job.options.precision, job.device, job.world)
    before = progress.precision.split("+")[-1]
    if job.world.is_main and (job.options.precision == "auto" or before not in ("", chosen)):
        changed = f"; {progress.precision} up to step {progress.step}" if before not in ("", chosen) else ""
        checkpoint.notice(f"{job.stage}: computed in {chosen}, the faster one on this {job.device.type}{changed}")
    if before != chosen:
        progress.precision = "+".join(filter(None, [progress.precision, chosen]))
    return chosen


class _LossModule(nn.Module):
    """The task's loss as a forward pass, so that DDP sees it."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.module, self.loss = task.module, task.loss

    def forward(self, batch: dict[str, Any], generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        return self.loss(batch, generator)


def _batch(job: _Job, position: Position, generator: torch.Generator) -> dict[str, Any]:
    """One micro batch: by its number among all of this training, where the task counts them, else by its step."""
    step, micro, rank = position
    if hasattr(job.task, "batch_at"):
        return job.task.batch_at((step * job.options.accumulate + micro) * job.world.size + rank)
    return job.task.batch(step, generator)


def _positions(start: int, options: TrainOptions, rank: int) -> Iterator[tuple[int, int, int]]:
    """(step, micro batch, rank) from step `start` to the end."""
    for step in range(start, options.steps):
        for micro in range(options.accumulate):
            yield step, micro, rank


def _accumulate(
    job: _Job, loss_of: nn.Module, batches: Batches, units: list[nn.Module]
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


def _even_out(job: _Job, share: float) -> None:
    """Make the gradient the mean over samples where batches are uneven, as at the end of a pass over the data."""
    if share != 1.0:
        for p in job.trained.values():
            if p.grad is not None:
                p.grad /= share


def _save(job: _Job, ema: dict[str, Tensor], optimizer: torch.optim.Optimizer, progress: Progress) -> None:
    """A checkpoint of everything the next step depends on, under flat names, whole however it is cut."""
    state = {f"weights/{name}": p for name, p in job.trained.items()}
    state.update({f"buffers/{name}": b for name, b in job.buffers.items()})
    state.update({f"ema/{name}": p for name, p in ema.items()})
    for name, p in job.trained.items():
        state.update({f"optimizer/{key}/{name}": value for key, value in optimizer.state.get(p, {}).items()})
    state = sharding.gathered(state, job.world)
    if job.world.is_main:
        checkpoint.save(job.folder, progress.step, state, asdict(progress))


def _resume(job: _Job, ema: dict[str, Tensor], optimizer: torch.optim.Optimizer) -> Progress:
    """Take over the newest checkpoint, if there is one."""
    found = checkpoint.newest(job.folder) if job.world.is_main else None
    step = job.world.from_main(found[1]["step"] if found else None, job.device)
    if step is None:
        return Progress()
    tensors, state = found or checkpoint.load(job.folder, step)
    job.world.barrier()  # nobody may drop this checkpoint before all have read it
    parts: dict[str, dict[str, Tensor]] = {"weights": {}, "buffers": {}, "ema": {}, "optimizer": {}}
    for name, tensor in tensors.items():
        part, _, rest = name.partition("/")
        parts[part][rest] = tensor
    where = f"checkpoint step {step} in {job.folder}"
    copy_state({**parts["weights"], **parts["buffers"]}, {**job.trained, **job.buffers}, where)
    copy_state(parts["ema"], ema, where)
    for name, tensor in parts["optimizer"].items():
        key, _, parameter = name.partition("/")
        p = job.trained[parameter]
        optimizer.state[p][key] = sharding.part_of(tensor, p) if tensor.shape == p.shape else tensor.to(p.device)
    return Progress(**{key: value for key, value in state.items() if key in Progress.__dataclass_fields__})


def _summary(job: _Job, progress: Progress) -> dict[str, Any]:
    """What `read_summary` returns."""
    return {
        "stage": job.stage,
        "seed": job.seed,
        "steps": progress.step,
        "samples": progress.samples,
        "parameters_trained": sum(p.numel() for p in job.trained.values()),
        "train_seconds": round(progress.seconds, 3),
        "cpu_seconds": round(progress.cpu_seconds, 3),
        "processes": job.world.size,
        "precision": progress.precision,
        "device": torch.cuda.get_device_name(job.device) if job.device.type == "cuda" else "cpu",
        **memory(job.device),
    }
