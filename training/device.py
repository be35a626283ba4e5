"""Which device computes, in which precision, among which processes, and from which seed."""

import atexit
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from dyads.errors import ConfigError
from dyads.seeding import derive
from training.errors import LAUNCHED, PEER_LOST, TrainingError


def pick_device(wanted: str | torch.device | None = None) -> torch.device:
    """`wanted`, else the environment's `ECHO_DEVICE`, else the GPU of this process, else the CPU."""
    name = str(wanted or os.environ.get("ECHO_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu"))
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"device {name!r} is unknown; use cpu, cuda or cuda:<index>.") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"device {name!r} was asked for, but torch sees no GPU; set ECHO_DEVICE=cpu.")
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)) % torch.cuda.device_count())
    return device


def autocast(device: torch.device, precision: str) -> AbstractContextManager:
    """Mixed precision: `bf16` computes matrix products in bfloat16, weights and losses stay float32."""
    if precision == "bf16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    if precision == "fp32":
        return nullcontext()
    raise ConfigError(f"precision is {precision!r}, but must be 'fp32' or 'bf16'.")


@contextmanager
def seeded(seed: int, stage: str, *position: int | str) -> Iterator[None]:
    """Global torch randomness from one address, restored after: `with seeded(seed, "init"): Network(...)`."""
    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(derive(seed, stage, *position))
        yield


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def limit_threads(threads: int = 1) -> None:
    """Let torch, and what reads OMP_NUM_THREADS later, use `threads`: jobs side by side beat wide ones."""
    os.environ["OMP_NUM_THREADS"] = str(threads)
    torch.set_num_threads(threads)


@dataclass(frozen=True)
class World:
    """The processes that train together under torchrun; a lone process is rank 0 of 1."""

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Only the main process writes files."""
        return self.rank == 0

    def barrier(self) -> None:
        if self.size > 1:
            dist.barrier()

    def from_main(self, value: int | None, device: torch.device) -> int | None:
        """The main process's `value` (at least 0, or None), on every process."""
        if self.size == 1:
            return value
        box = torch.tensor(-1 if value is None else value, device=device)
        dist.broadcast(box, src=0)
        return None if box.item() < 0 else int(box.item())

    def mean_soon(self, values: Tensor) -> Callable[[], list[float]]:
        """Begin the means of some numbers, (n,), over several processes; call what comes back to have them."""
        total = values.detach().double().clone()
        under_way = dist.all_reduce(total, async_op=True)

        def means() -> list[float]:
            under_way.wait()
            return (total / self.size).tolist()

        return means


def is_main_process() -> bool:
    """False only in the second and later processes of a torchrun."""
    return int(os.environ.get("RANK", 0)) == 0


def join_world(device: torch.device) -> World:
    """Join the processes torchrun started (gloo on CPUs, nccl on GPUs); alone otherwise."""
    size = int(os.environ.get("WORLD_SIZE", 1))
    if size == 1:
        return World()
    if not dist.is_initialized():
        if device.type == "cuda":
            torch.cuda.set_device(device)
        _end_with_launcher()
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=timedelta(minutes=30))
        atexit.register(_leave_world)
    return World(dist.get_rank(), dist.get_world_size())


@contextmanager
def among_peers(world: World) -> Iterator[None]:
    """One sentence, or silence under `training.launch`, where a collective fails because another process has ended."""
    try:
        yield
    except RuntimeError as error:  # of gloo a plain one, of nccl a DistBackendError
        lost = isinstance(error, dist.DistError) or any(word in str(error).lower() for word in ("gloo", "peer"))
        if world.size == 1 or not lost:
            raise
        if LAUNCHED in os.environ:
            sys.exit(PEER_LOST)  # the launcher tells why the other one ended
        raise TrainingError(
            f"rank {world.rank}: another process of this training has ended; its own message says why."
        ) from error


def _end_with_launcher() -> None:
    """Let the kernel kill this process when its launcher is killed: nobody else would end it."""
    if LAUNCHED in os.environ and sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != int(os.environ[LAUNCHED]):  # it died before
            os.kill(os.getpid(), signal.SIGKILL)


def _leave_world() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()
