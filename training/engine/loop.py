"""The training loop every module shares: AdamW, EMA, accumulation, DDP or FSDP2, and resume by the same command."""

import math
import statistics
import time
from contextlib import nullcontext
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from dyads.errors import ConfigError
from training.device import among_peers, join_world, pick_device
from training.engine import checkpoint, sharding
from training.engine.batches import Batches
from training.engine.checkpoint import read_summary
from training.engine.gradients import Job, LossModule, Task, accumulate, micro_batch, positions
from training.engine.journal import Journal
from training.engine.optim import build_optimizer, learning_rate, update_ema
from training.engine.precision import resolve
from training.engine.progress import Progress, check_explosion, check_finite, memory
from training.engine.weights import copy_state
from training.options import RESULT_FIELDS, TrainOptions
from training.source import source_hash

__all__ = ["Task", "TrainOptions", "read_summary", "train"]


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
    job = Job(task, options, folder, seed, stage, device, world, trained, buffers)

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


def _run(job: Job) -> None:
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
    loss_of = LossModule(job.task)
    if world.size > 1 and not units:  # which parameters are used may differ: conditions are dropped at random
        devices = [device.index] if device.type == "cuda" else None
        loss_of = DistributedDataParallel(
            loss_of, device_ids=devices, find_unused_parameters=True, gradient_as_bucket_view=True
        )
    on_step_end = getattr(job.task, "on_step_end", None)
    title = f"{job.stage} seed {job.seed}"
    folder = job.folder if world.is_main else None
    journal = Journal(folder, progress.step, options.steps, title, options.tensorboard)
    order = positions(progress.step, options, world.rank)
    batches = Batches(partial(micro_batch, job), (job.seed, job.stage), order, device, ahead=device.type == "cuda")
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
            losses, numbers, names, loss = accumulate(job, loss_of, batches, units)
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


def _precision(job: Job, progress: Progress) -> str:
    """What the coming steps are computed in, told where it was not asked for by name, and noted."""
    chosen = resolve(job.options.precision, job.device, job.world)
    before = progress.precision.split("+")[-1]
    if job.world.is_main and (job.options.precision == "auto" or before not in ("", chosen)):
        changed = f"; {progress.precision} up to step {progress.step}" if before not in ("", chosen) else ""
        checkpoint.notice(f"{job.stage}: computed in {chosen}, the faster one on this {job.device.type}{changed}")
    if before != chosen:
        progress.precision = "+".join(filter(None, [progress.precision, chosen]))
    return chosen


def _save(job: Job, ema: dict[str, Tensor], optimizer: torch.optim.Optimizer, progress: Progress) -> None:
    """A checkpoint of everything the next step depends on, under flat names, whole however it is cut."""
    state = {f"weights/{name}": p for name, p in job.trained.items()}
    state.update({f"buffers/{name}": b for name, b in job.buffers.items()})
    state.update({f"ema/{name}": p for name, p in ema.items()})
    for name, p in job.trained.items():
        state.update({f"optimizer/{key}/{name}": value for key, value in optimizer.state.get(p, {}).items()})
    state = sharding.gathered(state, job.world)
    if job.world.is_main:
        checkpoint.save(job.folder, progress.step, state, asdict(progress))


def _resume(job: Job, ema: dict[str, Tensor], optimizer: torch.optim.Optimizer) -> Progress:
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


def _summary(job: Job, progress: Progress) -> dict[str, Any]:
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
