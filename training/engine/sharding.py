"""A training's weights, gradients and moments cut over its processes (FSDP2), and made whole again for files.

What lies in none of the task's `shard_units`, every process holds whole, and its gradients are averaged here.
Without `parallel: fsdp` nothing of this is done, and every function gives back what it got.
"""

import warnings
from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from dyads.errors import ConfigError
from training.device import World


def cut(task: Any, stage: str, world: World, device: torch.device) -> list[nn.Module]:
    """Cut the task's module over the processes, in place; gives the cut parts.

    They move to `device` one by one, so that no GPU ever holds the whole. Every rank must call this.

    Raises:
        ConfigError: the task does not say where it can be cut.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    if not hasattr(task, "shard_units"):
        raise ConfigError(
            f"train.parallel is fsdp, but stage {stage!r} trains a network small enough for one process; set it to ddp."
        )
    # What comes out of a unit is changed nowhere in place.
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")
    mesh, units = init_device_mesh(device.type, (world.size,)), task.shard_units()
    for unit in units:
        fully_shard(unit, mesh=mesh)
    task.module.to(device)  # the rest
    return units


def sync_gradients(units: list[nn.Module], wanted: bool) -> None:
    """Whether the next backward pass sums gradients over the processes."""
    for unit in units:
        unit.set_requires_gradient_sync(wanted, recurse=False)


def average_gradients(trained: Mapping[str, nn.Parameter], world: World) -> None:
    """Means over the processes of the gradients that are not cut; one that only some processes have counts as 0."""
    rest = [p for p in trained.values() if not is_cut(p)]
    if not rest:
        return
    there = torch.tensor([p.grad is not None for p in rest], device=rest[0].device, dtype=torch.uint8)
    dist.all_reduce(there, dist.ReduceOp.MAX)
    for p, used in zip(rest, there.tolist(), strict=True):
        if used:
            p.grad = torch.zeros_like(p) if p.grad is None else p.grad
            dist.all_reduce(p.grad)
            p.grad /= world.size


def clip_gradients(trained: Mapping[str, nn.Parameter], limit: float) -> Tensor:
    """The norm of all gradients together, which are then scaled down to `limit`."""
    kinds = [[p for p in trained.values() if is_cut(p) == cut] for cut in (False, True)]
    if not kinds[1]:
        return nn.utils.clip_grad_norm_(kinds[0], limit)
    norms = [whole(nn.utils.get_total_norm([p.grad for p in kind if p.grad is not None])) for kind in kinds]
    norm = torch.linalg.vector_norm(torch.stack([x.to(norms[0].device) for x in norms]))
    for kind in kinds:
        nn.utils.clip_grads_with_norm_(kind, limit, norm)
    return norm


def is_cut(x: Tensor) -> bool:
    return hasattr(x, "full_tensor")  # a DTensor


def own(x: Tensor) -> Tensor:
    """This process's part, sharing its memory."""
    return x.to_local() if is_cut(x) else x


def whole(x: Tensor) -> Tensor:
    """All of it; of a cut tensor every rank must ask at once."""
    return x.detach().full_tensor() if is_cut(x) else x


def gathered(tensors: Mapping[str, Tensor], world: World) -> dict[str, Tensor]:
    """Whole tensors for the main process's files, one by one; empty on other ranks, which must call this too."""
    found = {}
    for name, tensor in tensors.items():
        complete = whole(tensor)
        if world.is_main:
            found[name] = complete.cpu() if is_cut(tensor) else complete
    return found


def part_of(x: Tensor, like: Tensor) -> Tensor:
    """A whole tensor, which every rank has, in the form of `like`: cut as that is, and where it lies."""
    x = x.to(like.device)
    if not is_cut(like):
        return x
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(x, like.device_mesh, like.placements, src_data_rank=None)


def mend(module: nn.Module, world: World) -> None:
    """Make the main process's parameters whole again, on its CPU, for files; every rank must call this.

    Those of other ranks stay cut, and nothing can be computed any more.
    """
    for name, parameter in [*module.named_parameters()]:
        complete = whole(parameter)
        if world.is_main and is_cut(parameter):
            place, _, leaf = name.rpartition(".")
            made = nn.Parameter(complete.cpu(), parameter.requires_grad)
            module.get_submodule(place)._parameters[leaf] = made
