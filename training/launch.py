"""One training on several processes or GPUs: `python -m training.launch --processes N [--nodes M] -m training.fit ...`.

torchrun's own agent starts the processes, one a GPU (gloo on CPUs); with `--nodes`, it runs once on each node under
Slurm's `srun`. The first rank's output is shown. A rank that fails ends all of them, with one sentence that says why;
the same command again resumes. With one process the command simply runs.
"""

import argparse
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from dyads.errors import ConfigError, UserError, run_cli
from training.errors import LAUNCHED, PEER_LOST, TrainingError

FIRST_PORT, PORTS = 20000, 20000  # of the processes' meeting place across nodes: one a Slurm job
# What srun and its daemon add about tasks that another's failure ended.
SRUN_NOISE = re.compile(r"srun: (error: .*tasks? |Terminating|Job step aborted|launch/slurm)|slurmstepd\S*: ")
THREADS = tuple(f"{name}_NUM_THREADS" for name in ("OMP", "GOTO", "OPENBLAS", "MKL", "NUMEXPR"))
TAIL = 20  # lines of a failed rank's output


class Terminated(UserError):
    """Somebody, or a time limit, stopped the training."""


def launch(command: list[str], processes: int, nodes: int = 1) -> None:
    """Run `python COMMAND` in `processes` processes over `nodes` nodes and wait for all of them.

    Raises:
        TrainingError: a rank failed, named with its reason; all others were stopped.
        ConfigError: counts that do not fit together, or nodes without Slurm.
    """
    if processes % nodes:
        raise ConfigError(f"{processes} processes cannot be spread over {nodes} nodes evenly; change gpus_per_job.")
    if nodes > 1 and "SLURM_PROCID" not in os.environ:
        raise ConfigError("--nodes above 1 needs Slurm: start this by srun, one task a node.")
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, Std
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    for name in list(logging.root.manager.loggerDict):  # a page about each failure; ours is a sentence
        if name.startswith("torch.distributed"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
    node = int(os.environ.get("SLURM_NODEID", 0)) if nodes > 1 else 0
    here = processes // nodes
    logs = tempfile.mkdtemp(prefix="ranks-")
    hidden = {local: Std.ALL for local in range(here) if node or local}  # the first rank tells for all
    config = LaunchConfig(
        min_nodes=nodes,
        max_nodes=nodes,
        nproc_per_node=here,
        run_id=os.environ.get("SLURM_JOB_ID", str(os.getpid())),
        max_restarts=0,
        monitor_interval=0.1,
        logs_specs=DefaultLogsSpecs(log_dir=logs, redirects=hidden),
        shutdown_timeout=10,
        **_meeting_place(nodes, node),
    )
    os.environ[LAUNCHED] = str(os.getpid())
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # as torchrun does, which warns of it
    for name in THREADS:  # what a scheduler gave this node's job, shared by its processes
        if os.environ.get(name, "").isdigit():
            os.environ[name] = str(max(1, int(os.environ[name]) // here))
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # DDP's advice on unused parameters: some are, at random
    try:
        elastic_launch(config, sys.executable)("-u", *command)
    except ChildFailedError as error:
        raise _reason(error.failures, processes, Path(logs)) from None
    except SignalException as error:
        if nodes > 1:  # srun ends this node's tasks because another one's failed; who called srun tells where none did
            sys.exit(PEER_LOST)
        name = signal.Signals(error.sigval).name
        raise Terminated(f"the training was stopped by {name}; run the same command again to resume.") from None
    finally:
        shutil.rmtree(logs, ignore_errors=True)


def _meeting_place(nodes: int, node: int) -> dict:
    """Where the processes find each other: a free local port, or one of the first node that its Slurm job decides."""
    if nodes == 1:
        return {"rdzv_backend": "c10d", "rdzv_endpoint": "127.0.0.1:0", "local_addr": "127.0.0.1"}
    port = FIRST_PORT + int(os.environ["SLURM_JOB_ID"]) % PORTS
    # srun is called by the job's script, on its first node.
    host = os.environ.get("SLURM_LAUNCH_NODE_IPADDR", "127.0.0.1")
    return {"rdzv_backend": "static", "rdzv_endpoint": f"{host}:{port}", "rdzv_configs": {"rank": node}}


def _reason(failures: dict, processes: int, logs: Path) -> TrainingError:
    """The sentence about the rank that failed of its own, and its last lines where they say more than a sentence."""
    own = {rank: failure for rank, failure in failures.items() if failure.exitcode not in (PEER_LOST, -signal.SIGTERM)}
    if not own:  # the rank that failed is on another node, whose launcher tells
        sys.exit(PEER_LOST)
    rank, failure = min(own.items())
    who = f"rank {rank} of {processes}"
    resume = "the others were stopped; run the same command again to resume"
    if failure.exitcode < 0:
        name = signal.Signals(-failure.exitcode).name
        return TrainingError(f"{who} was killed ({name}); {resume}.")
    if rank == 0:  # its output was shown: a sentence of its own, or a traceback
        return TrainingError(f"{who} failed as told above; {resume}.")
    files = logs.glob(f"*/attempt_0/{failure.local_rank}/stderr.log")
    text = "\n".join(file.read_text(encoding="utf-8", errors="replace") for file in files)
    lines = [line for line in text.splitlines() if line.strip()][-TAIL:]
    if lines and lines[-1].startswith("error: "):
        return TrainingError(f"{who}: {lines[-1].removeprefix('error: ')}")
    print("\n".join(lines), file=sys.stderr)
    why = lines[-1] if lines else f"exit code {failure.exitcode}"
    return TrainingError(f"{who} failed ({why}); {resume}.")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m training.launch",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--processes", type=int, default=1, help="processes of the training, one a GPU")
    parser.add_argument("--nodes", type=int, default=1, help="Slurm nodes that share them; more than 1 starts srun")
    parser.add_argument("-m", dest="module", nargs=argparse.REMAINDER, help="the module to run, and its arguments")
    args = parser.parse_args(arguments)
    if min(args.processes, args.nodes) < 1:
        raise ConfigError(f"--processes {args.processes} and --nodes {args.nodes} must be at least 1.")
    if not args.module:
        raise ConfigError("no module to run was given; end with, for example, -m training.fit --method echo ...")
    command = ["-m", *args.module]
    if args.processes == 1:
        os.execv(sys.executable, [sys.executable, *command])
    if args.nodes > 1 and int(os.environ.get("SLURM_STEP_NUM_NODES", 1)) < args.nodes:
        return _through_srun(args.processes, args.nodes, command)
    launch(command, args.processes, args.nodes)
    return 0


def _through_srun(processes: int, nodes: int, command: list[str]) -> int:
    """Start this launcher on every node of the Slurm job, and end all when one ends badly."""
    if "SLURM_JOB_ID" not in os.environ:
        raise ConfigError(f"--nodes {nodes} needs a Slurm job; elsewhere leave gpus_per_node out.")
    srun = ["srun", f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1", "--kill-on-bad-exit=1", "--overlap"]
    if cores := os.environ.get("SLURM_CPUS_PER_TASK"):  # since Slurm 22.05 srun takes over no sbatch option of this
        srun.append(f"--cpus-per-task={cores}")
    own = [sys.executable, "-m", "training.launch", f"--processes={processes}", f"--nodes={nodes}"]
    with subprocess.Popen([*srun, *own, *command], stderr=subprocess.PIPE, text=True) as step:
        told = False
        for line in step.stderr:
            if not SRUN_NOISE.match(line):
                told = told or line.startswith("error: ")
                print(line, end="", file=sys.stderr, flush=True)
    if step.returncode and not told:
        raise Terminated("the training was ended from outside, or by its time limit; run the same command again.")
    return step.returncode


if __name__ == "__main__":
    run_cli(main)
