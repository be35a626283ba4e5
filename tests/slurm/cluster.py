"""A Slurm of two nodes on this machine's loopback interface, from Debian's packages: `python tests/slurm/cluster.py`.

Nothing listens outside 127.0.0.1 and no system service is touched: munged, slurmctld and two slurmd run in the
foreground as this script's children, with their state in a folder of their own, and end with it. Only
/etc/slurm/slurm.conf and gres.conf lie outside, because job steps strip SLURM_CONF from their environment; files that
this script did not write are never replaced.

    python tests/slurm/cluster.py [--install] [COMMAND ...]    # up, then the command in it, or until Ctrl-C
"""

import argparse
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

PACKAGES = ("slurm-wlm", "munge")
PATIENCE = ("-o", "Acquire::http::Timeout=20", "-o", "Acquire::https::Timeout=20", "-o", "Acquire::Retries=1")
CONFIGURATION = Path("/etc/slurm")
MARK = "# Written by tests/slurm/cluster.py of the benchmark suite; removed when it ends.\n"
NODES = ("node1", "node2")
START_SECONDS = 60
# GPUs are device files that nothing opens: Slurm counts and assigns them, torch sees none and computes on the CPU.
GPUS = 2
SLURM_CONF = """\
ClusterName=loopback
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={controller}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=10
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
SlurmdParameters=config_overrides
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmdTimeout=10
SchedulerParameters=sched_interval=2,bf_interval=2
KillWait=5
ReturnToService=2
GresTypes=gpu
{nodes}
PartitionName=gpu Nodes={names} Default=YES State=UP
PartitionName=cpu Nodes={names} State=UP
"""


class Unavailable(Exception):
    """Why there can be no such cluster here, in one sentence."""


@dataclass
class Cluster:
    """The running daemons; `folder` holds their logs and state."""

    folder: Path
    daemons: dict[str, subprocess.Popen] = field(default_factory=dict)

    def start(self, name: str, *command: str) -> None:
        with open(self.folder / f"{name}.out", "ab") as out:
            self.daemons[name] = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True)

    def start_node(self, name: str) -> None:
        """(Re)start one slurmd."""
        self.start(name, "slurmd", "-D", "-N", name)

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        """End one daemon as a lost node would: `kill -9`."""
        self.daemons[name].send_signal(number)
        self.daemons[name].wait(timeout=30)

    def lose(self, name: str) -> None:
        """What a node that loses its power does: slurmd, its jobs' supervisors and their processes are gone at once."""
        self.kill(name)
        for pid in self.processes(name):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def processes(self, name: str) -> list[int]:
        """Of the jobs on a node: slurmstepd, which would report their end, before what it started."""
        steps, tasks = [], []
        for place in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if f"SLURMD_NODENAME={name}".encode() in (place / "environ").read_bytes().split(b"\0"):
                    tasks.append(int(place.name))
                    parent = Path("/proc", (place / "stat").read_text().rpartition(")")[2].split()[1])
                    if (parent / "comm").read_text().startswith("slurmstepd"):
                        steps.append(int(parent.name))
        return [*dict.fromkeys(steps), *tasks]

    def job(self, rule: str, *states: str, not_of: Sequence[str] = ()) -> tuple[str, str] | None:
        """(job number, node) of a job of that rule or group in one of these states (default: running); neither of
        them among `not_of`."""
        for line in self.jobs().splitlines():
            number, state, node, comment = (line.split(" ", 3) + ["", "", ""])[:4]
            if state in (states or ("RUNNING",)) and rule in comment and not {number, node} & set(not_of):
                return number, node
        return None

    def states(self) -> dict[str, str]:
        """Node -> state, as `sinfo` has it."""
        done = _run("sinfo", "--noheader", "--Node", "--format=%N %T", "--partition=gpu")
        return dict(line.split() for line in done.stdout.splitlines())

    def jobs(self, running: bool = False) -> str:
        """What `squeue` shows of jobs that wait or run: number, state, node, comment; those that run alone."""
        states = ("--states=R",) if running else ()
        return _run("squeue", "--noheader", *states, "--format=%i %T %N %k").stdout

    def stages(self, module: str, wait: float = 0, job: str | None = None) -> list[int]:
        """Processes on the nodes that run `python -m module`, of that job alone if one is named; asked for again for
        so many seconds."""
        belongs = f"SLURM_JOB_ID={job or ''}".encode()
        end = time.monotonic() + wait
        while True:
            found = []
            for pid in (pid for node in NODES for pid in self.processes(node)):
                with suppress(OSError):
                    runs = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[1:3] == [b"-m", module.encode()]
                    if runs and (job is None or belongs in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")):
                        found.append(pid)
            if found or time.monotonic() >= end:
                return found
            time.sleep(0.1)

    def wait_idle(self, *names: str) -> None:
        """Until these nodes (default: all) are up. Unavailable after a minute."""
        end = time.monotonic() + START_SECONDS
        while True:
            states = self.states()
            if all(states.get(name) in ("idle", "mixed", "allocated") for name in names or NODES):
                return
            if time.monotonic() > end:
                logs = "\n".join(f"{path.name}: {path.read_text()[-600:]}" for path in self.folder.glob("*.log"))
                raise Unavailable(f"Slurm's nodes did not come up ({states}):\n{logs}")
            time.sleep(0.5)


def missing() -> str | None:
    """Why this machine cannot have the cluster; None where it can (its packages may still have to be installed)."""
    if os.geteuid() != 0:
        return "Slurm's daemons must be started as root"
    if not Path("/etc/debian_version").is_file() or not shutil.which("apt-get"):
        return "the recipe is for Debian's packages"
    for name in ("slurm.conf", "gres.conf"):
        path = CONFIGURATION / name
        if path.exists() and MARK not in path.read_text(errors="replace"):
            return f"{path} belongs to another Slurm"
    return None


def installed() -> bool:
    return all(shutil.which(name) for name in ("slurmctld", "slurmd", "sbatch", "munged"))


def install() -> None:
    """Debian's packages, without starting any service. Unavailable where apt cannot get them."""
    if installed():
        return
    # The packages' scripts must start nothing: a policy of 101 says so (Debian policy 9.3.3).
    policy = Path("/usr/sbin/policy-rc.d")
    ours = not policy.exists()
    if ours:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    try:
        for command in (["update"], ["install", "--yes", "--no-install-recommends", *PACKAGES]):
            done = _run("apt-get", "-qq", *PATIENCE, *command, DEBIAN_FRONTEND="noninteractive")
            if done.returncode:
                raise Unavailable(f"apt-get {command[0]} failed: {done.stderr.strip()[-300:]}")
    finally:
        if ours:
            policy.unlink()


@contextmanager
def two_nodes(cpus: int | None = None) -> Iterator[Cluster]:
    """A running cluster of `cpus` a node (default: this machine's, at least 2); every process of it ends with it."""
    if why := missing():
        raise Unavailable(why)
    CONFIGURATION.mkdir(exist_ok=True)
    with open(CONFIGURATION / ".loopback.lock", "w") as lock:  # the configuration lies in one place
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Unavailable("another loopback cluster runs on this machine") from None
        with _running(cpus) as cluster:
            yield cluster


@contextmanager
def _running(cpus: int | None) -> Iterator[Cluster]:
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    folder.chmod(0o755)
    cluster = Cluster(folder)
    try:
        _configure(folder, cpus or max(2, os.cpu_count() or 2))
        munge = folder / "munge"
        cluster.start("munged", "munged", "--foreground", "--num-threads=2", f"--socket={munge}/socket", "--force",
                      f"--key-file={munge}/key", f"--pid-file={munge}/pid", f"--log-file={munge}/log",
                      f"--seed-file={munge}/seed")  # fmt: skip
        _until(lambda: (munge / "socket").exists(), "munged")
        cluster.start("slurmctld", "slurmctld", "-D")
        for name in NODES:
            cluster.start_node(name)
        cluster.wait_idle()
        yield cluster
    finally:
        _stop(cluster)
        for name in ("slurm.conf", "gres.conf"):
            (CONFIGURATION / name).unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)


def _configure(folder: Path, cpus: int) -> None:
    for name in ("state", "munge", *(f"spool/{node}" for node in NODES)):
        (folder / name).mkdir(parents=True)
    (folder / "munge/key").write_bytes(os.urandom(128))
    (folder / "munge/key").chmod(0o400)
    controller, *ports = _free_ports(1 + len(NODES))
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20 // len(NODES)
    gpus = _devices(folder)
    nodes = [
        f"NodeName={name} NodeHostname={socket.gethostname()} NodeAddr=127.0.0.1 Port={port} CPUs={cpus} "
        f"RealMemory={memory}" + (f" Gres=gpu:{GPUS}" if gpus else "")
        for name, port in zip(NODES, ports, strict=True)
    ]
    text = SLURM_CONF.format(folder=folder, controller=controller, nodes="\n".join(nodes), names=",".join(NODES))
    (CONFIGURATION / "slurm.conf").write_text(MARK + text)
    lines = [f"NodeName={node} Name=gpu File={path}\n" for node, paths in gpus.items() for path in paths]
    (CONFIGURATION / "gres.conf").write_text(MARK + "".join(lines))


def _devices(folder: Path) -> dict[str, list[Path]]:
    """Device files that stand for GPUs, by node; none where this container may not make them."""
    found: dict[str, list[Path]] = {}
    try:
        for node in NODES:
            for number in range(GPUS):
                path = folder / f"{node}-gpu{number}"
                os.mknod(path, 0o600 | 0o020000, os.makedev(1, 3))  # a character device: /dev/null's
                found.setdefault(node, []).append(path)
    except OSError:
        return {}
    return found


def _free_ports(count: int) -> list[int]:
    held = [socket.socket() for _ in range(count)]
    try:
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in held]
    finally:
        for one in held:
            one.close()


def _until(condition, what: str) -> None:
    end = time.monotonic() + START_SECONDS
    while not condition():
        if time.monotonic() > end:
            raise Unavailable(f"{what} did not start within {START_SECONDS} s")
        time.sleep(0.1)


def _stop(cluster: Cluster) -> None:
    """Cancel what runs, then end the daemons in the order of their dependence."""
    if "slurmctld" in cluster.daemons and cluster.daemons["slurmctld"].poll() is None:
        _run("scancel", "--user=root")
        end = time.monotonic() + 20
        while cluster.jobs().strip() and time.monotonic() < end:
            time.sleep(0.5)
    for name in reversed(cluster.daemons):
        daemon = cluster.daemons[name]
        if daemon.poll() is None:
            daemon.terminate()
            try:
                daemon.wait(timeout=15)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()


def _run(*command: str, **environment: str) -> subprocess.CompletedProcess:
    try:
        return subprocess.run(
            command, capture_output=True, text=True, env={**os.environ, **environment}, timeout=300, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"{' '.join(command[:2])} has not ended after {error.timeout:g} s") from error


def main() -> int:
    parser = argparse.ArgumentParser(prog="python tests/slurm/cluster.py", description=__doc__.splitlines()[0])
    parser.add_argument("--install", action="store_true", help="install Debian's packages first, if they are missing")
    parser.add_argument("--cpus", type=int, help="CPUs of each node (default: this machine's)")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="run in it; without one, wait for Ctrl-C")
    arguments = parser.parse_args()
    try:
        if why := missing():
            raise Unavailable(why)
        if arguments.install:
            install()
        elif not installed():
            raise Unavailable(f"Slurm is not installed; add --install, or `apt-get install {' '.join(PACKAGES)}`")
        with two_nodes(arguments.cpus) as cluster:
            print(f"two nodes are up: {cluster.states()}; logs in {cluster.folder}", file=sys.stderr, flush=True)
            if arguments.command:
                return subprocess.run(arguments.command, check=False).returncode
            signal.sigwait({signal.SIGINT, signal.SIGTERM})
            return 0
    except Unavailable as error:
        print(f"error: {error}.", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
