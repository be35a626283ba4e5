"""Whose run of a study this is: a lock that dies with its process, and what to do about one that was left behind.

Snakemake's own lock is a file that stays after `kill -9` or a power cut and names nobody. Beside it, the running
process holds a file of its own by flock, which the kernel frees however the process ends. Jobs that such a run left in
Slurm's queue are cancelled before the next one begins: one that still waits would write into what that has made.
"""

import fcntl
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

# Ways to call Snakemake that run no job of the study, by the names of its parsed arguments.
LOOKING = (
    *("dryrun", "lint", "unlock", "nolock", "list_rules", "list_target_rules", "dag", "rulegraph", "filegraph"),
    *("d3dag", "summary", "detailed_summary", "report", "archive", "delete_all_output", "delete_temp_output"),
    *("list_changes", "list_input_changes", "list_params_changes", "list_untracked", "cleanup_metadata"),
    *(
        "conda_create_envs_only",
        "conda_cleanup_envs",
        "list_conda_envs",
        "container_cleanup_images",
        "print_compilation",
    ),
    *("cleanup_shadow", "generate_unit_tests", "containerize", "export_cwl"),
)
CANCEL_SECONDS = 120  # longer than Slurm waits before it kills (KillWait)
held: dict[Path, int] = {}  # kept for the life of the process


def runs_jobs(arguments: list[str]) -> bool:
    """Whether Snakemake's command line `arguments` makes it run jobs, rather than look, draw or tidy up."""
    from snakemake.cli import get_argument_parser

    try:
        parsed, _ = get_argument_parser().parse_known_args(arguments)
    except SystemExit:
        return False
    return not any(getattr(parsed, name, None) for name in LOOKING)


def claim(results: str, state: Path = Path(".snakemake")) -> str | None:
    """Hold the study in `results` for this process; what an ended owner left locked is freed, with one sentence.

    Args:
        results: the study's folder, as Snakemake's locks spell it.
        state: Snakemake's own folder.

    Returns:
        One sentence on the owner who lives, or None where this process is now the owner.
    """
    folder = state / "owners"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{results.replace('/', '%')}.json"
    known = path.is_file()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return _living(results, _read(path))
    except OSError:  # a file system without locks: Snakemake's own must do
        os.close(descriptor)
        return None
    held[path] = descriptor
    before = _read(path)
    left = stale_locks(results, state) if known else []
    if left:
        for lock in left:
            lock.unlink(missing_ok=True)
        who = f"process {before['pid']}, begun {before['since']}" if before else "process unknown"
        text = f"{results} was locked by a run that is gone ({who}): its lock is taken over, and its work goes on."
        print(text, file=sys.stderr)
    cancel_jobs(before.get("slurm"))
    me = {"pid": os.getpid(), "since": time.strftime("%Y-%m-%d %H:%M:%S"), "host": socket.gethostname()}
    _write(descriptor, me)
    return None


def note_jobs(results: str, name: str, state: Path = Path(".snakemake")) -> None:
    """Remember under which name this process submits Slurm jobs."""
    path = state / "owners" / f"{results.replace('/', '%')}.json"
    if path in held:
        _write(held[path], _read(path) | {"slurm": name})


def cancel_jobs(name: str | None) -> None:
    """Cancel Slurm jobs of that name, and wait until none of them runs; one sentence if there were any."""
    if not name or not (shutil.which("squeue") and shutil.which("scancel")):
        return
    asked = ["squeue", "--noheader", "--name", name, "--format=%i"]
    jobs = subprocess.run(asked, capture_output=True, text=True).stdout.split()
    if not jobs:
        return
    print(f"{len(jobs)} jobs of that run are still in Slurm's queue: they are cancelled.", file=sys.stderr, flush=True)
    subprocess.run(["scancel", *jobs], capture_output=True)
    end = time.monotonic() + CANCEL_SECONDS
    while subprocess.run(asked, capture_output=True, text=True).stdout.split() and time.monotonic() < end:
        time.sleep(0.5)


def release(results: str, state: Path = Path(".snakemake")) -> None:
    """Give the study back before the process ends."""
    if (descriptor := held.pop(state / "owners" / f"{results.replace('/', '%')}.json", None)) is not None:
        os.close(descriptor)


def stale_locks(results: str, state: Path) -> list[Path]:
    """Snakemake's lock files that name files of the study in `results`."""
    found = []
    for lock in sorted((state / "locks").glob("*.lock")):
        with open(lock, encoding="utf-8", errors="replace") as lines:
            if any(line.startswith(f"{results}/") for line in lines):
                found.append(lock)
    return found


def _living(results: str, owner: dict[str, Any]) -> str:
    if not owner:
        return f"another run of {results} has just begun; wait for it."
    here = owner["host"] == socket.gethostname()
    place = "" if here else f" on {owner['host']}"
    end = f", or end it (kill {owner['pid']})" if here else ""
    return (
        f"{results} is being made by process {owner['pid']}{place} since {owner['since']}; "
        f"wait for it{end}, then run the same command again."
    )


def _write(descriptor: int, record: dict[str, Any]) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(record).encode(), 0)


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
