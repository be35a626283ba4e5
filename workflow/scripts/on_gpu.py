"""Run a command on a GPU no other job holds: `python workflow/scripts/on_gpu.py python -m training.fit ...`.

Snakemake counts GPUs but does not say which one is free. Each GPU is a lock file; the command inherits the
lock, so the GPU is given back when the command ends, however it ends. GPUs are those of CUDA_VISIBLE_DEVICES,
else those of nvidia-smi; without any, and with ECHO_DEVICE=cpu, the command simply runs, as it does where Slurm gave
the job GPUs of its own. `--gpus N` waits for N at once.
"""

import fcntl
import os
import re
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import NoReturn

from warm import run

POLL_SECONDS = 0.5
NO_GPU = ("", "-1", "none", "void", "NoDevFiles")  # values of CUDA_VISIBLE_DEVICES that hide every GPU


@cache
def visible_gpus() -> list[str]:
    """Identifiers of the GPUs this job may use, in order."""
    if os.environ.get("ECHO_DEVICE", "").startswith("cpu"):
        return []
    if (listed := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [gpu.strip() for gpu in listed.split(",") if gpu.strip() not in NO_GPU]
    query = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    try:
        return subprocess.run(query, capture_output=True, text=True, check=True, timeout=60).stdout.split()
    except (OSError, subprocess.SubprocessError):
        return []


def assigned() -> bool:
    """Whether Slurm has given this job its GPUs: nobody else has them, and on every node the first one is number 0."""
    given = ("SLURM_STEP_GPUS", "SLURM_JOB_GPUS", "SLURM_GPUS_ON_NODE")
    return "SLURM_JOB_ID" in os.environ and any(os.environ.get(name) for name in given)


def try_lock(gpu: str, folder: Path) -> int | None:
    """An inheritable file descriptor that holds `gpu`, or None if another job does."""
    name = re.sub(r"[^\w-]", "_", gpu)  # MIG identifiers may contain slashes
    descriptor = os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    os.set_inheritable(descriptor, True)
    return descriptor


def take(gpus: list[str], count: int, folder: Path) -> list[str]:
    """Wait until this process holds `count` GPUs: all or none, so that two waiting jobs cannot block."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    told = False
    while True:
        held: dict[str, int] = {}
        for gpu in gpus:
            if len(held) < count and (descriptor := try_lock(gpu, folder)) is not None:
                held[gpu] = descriptor
        if len(held) == count:
            return list(held)
        for descriptor in held.values():
            os.close(descriptor)
        if not told:
            print(f"on_gpu: waiting for {count} of {len(gpus)} GPUs", file=sys.stderr, flush=True)
            told = True
        time.sleep(POLL_SECONDS)


def fail(message: str, code: int = 2) -> NoReturn:
    """One sentence, no traceback."""
    print(f"error: {message}", file=sys.stderr)
    sys.exit(code)


def main() -> None:
    """Take the GPUs, then become the command."""
    command, count = sys.argv[1:], 1
    if command[:1] == ["--gpus"]:
        if len(command) < 2 or not command[1].isdigit() or int(command[1]) < 1:
            fail("--gpus needs a number of GPUs, at least 1.")
        count, command = int(command[1]), command[2:]
    if not command:
        fail("on_gpu.py needs a command to run, for example: python -m training.fit --help.")
    if (gpus := visible_gpus()) and not assigned():
        if count > len(gpus):
            fail(f"{count} GPUs were asked for but {len(gpus)} are visible; lower --gpus.")
        folder = Path(tempfile.gettempdir()) / f"gpu_slots_{os.getuid()}"
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(take(gpus, count, folder))
    try:
        if command[0] == "python":
            run(command[1:])
        os.execvp(command[0], command)
    except OSError as error:
        fail(f"{command[0]} cannot be run ({error.strerror}); check the command.", 127)


if __name__ == "__main__":
    main()
