"""A shortened study on a real Slurm of two nodes, through every fault that a cluster knows: the same bits as locally.

Debian's packages are installed where that may be done (root on Debian), and the tests are skipped elsewhere; see
cluster.py. SLURM_TESTS=0 leaves them out; SLURM_TESTS=all runs the smoke study too, to its tables, and a time limit:
some fifteen minutes.
"""

import csv
import hashlib
import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import cluster
import pytest

from analysis.diff import may_differ

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))
from checkout import copy_repository  # noqa: E402

ROW = "results/short/metrics/truth/seed0.csv"
STUDY = ("--configfile", "tests/slurm/short.yaml")
SMOKE = ("--configfile", "workflow/config/smoke.yaml")
# Each job of a queue starts two Snakemakes of its own, which cost more than stages of seconds.
GROUPS = ("--groups", "train_probe=probes", "encode=encode", "generate=row", "evaluate=row",
          "gather_measurements=gather", "--group-components", "probes=5", "encode=2")  # fmt: skip
SLURM = ("--workflow-profile", "profiles/slurm", "--jobs", "4", "--cores", "2", "--latency-wait", "20")
SLURM = (*SLURM, "--slurm-init-seconds-before-status-checks", "3", "--seconds-between-status-checks", "3")
PATIENCE = 1500  # seconds: of a busy machine


@pytest.fixture(scope="module")
def slurm():
    if os.environ.get("SLURM_TESTS") == "0":
        pytest.skip("a real Slurm is not wanted: SLURM_TESTS=0")
    if importlib.util.find_spec("snakemake_executor_plugin_slurm") is None:
        pytest.skip("snakemake-executor-plugin-slurm is not installed")
    try:
        if why := cluster.missing():
            raise cluster.Unavailable(why)
        cluster.install()
        with cluster.two_nodes(2) as running:
            yield running
    except cluster.Unavailable as why:
        pytest.skip(f"no Slurm here: {why}")


@dataclass
class Run:
    """One call of Snakemake that submits to the cluster."""

    process: subprocess.Popen
    log: Path
    slurm: cluster.Cluster

    @property
    def text(self) -> str:
        return self.log.read_text()

    def job(self, rule: str, *states: str, not_of: tuple[str, ...] = ()) -> tuple[str, str]:
        """Wait for a job of that rule or group that is not among `not_of`; its number and node."""
        end = time.monotonic() + PATIENCE
        while self.process.poll() is None and time.monotonic() < end:
            if (found := self.slurm.job(rule, *states, not_of=not_of)) is not None:
                return found
            time.sleep(0.2)
        raise AssertionError(f"no job of {rule} came; {self.slurm.jobs()}\n{self.text[-3000:]}")

    def end(self) -> None:
        """Wait for its success."""
        self.process.wait(timeout=PATIENCE)
        assert self.process.returncode == 0, self.text[-5000:]


def start(slurm, folder: Path, log: Path, *arguments: str) -> Run:
    command = [sys.executable, "-m", "snakemake", *arguments, *SLURM]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PATH": path}
    with open(log, "w") as out:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=out)
    return Run(process, log, slurm)


def digests(folder: Path, profile: str = "short") -> dict[str, str]:
    """SHA-256 of what the study must not change by where it ran; of results without speeds, which always differ."""
    study = folder / "results" / profile
    files = [*study.glob("backbones/*.safetensors"), *study.glob("probes/*.safetensors"), *study.glob("models/*/*.s*s")]
    files += [*study.glob("videos/*/*/*.mp4"), *study.glob("metrics/*/*.features.safetensors")]
    found = {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(files)}
    tables = [*study.glob("metrics/*/*.csv"), study / "tables/values.csv", study / "tables/claims.csv"]
    return found | {str(file.relative_to(folder)): values(file) for file in sorted(tables) if file.is_file()}


def values(file: Path) -> str:
    with open(file, encoding="utf-8", newline="") as handle:
        return "\n".join(str(row) for row in csv.DictReader(handle) if not may_differ(row.get("metric", "")))


@pytest.mark.slow
def test_lost_nodes_and_jobs_and_the_end_of_snakemake_cost_time_and_no_bit(slurm, tmp_path):
    here, there = (copy_repository(tmp_path / name) for name in ("here", "there"))
    local = here.snakemake(ROW, "--cores", "2", *STUDY, timeout=PATIENCE)
    assert local.code == 0, local.text[-3000:]
    wanted = digests(here.folder)
    assert ROW in wanted and len(wanted) >= 1 + 5 + 1 + 3 + 1  # weights, probes, readings, videos, values

    # A node goes away in the middle of a training: Slurm gives the job to the other one.
    run = start(slurm, there.folder, tmp_path / "first.log", ROW, *STUDY, *GROUPS)
    number, node = run.job("train_vae")
    slurm.lose(node)
    other = next(name for name in cluster.NODES if name != node)
    assert run.job("train_vae")[0] == number and run.job("train_vae", not_of=(node,))[1] == other
    slurm.start_node(node)

    # Snakemake is killed: its jobs stay in the queue, and the same command cancels them and goes on.
    run.job("row")
    run.process.kill()
    run.process.wait()
    left = slurm.jobs(running=True).split("\n")
    assert any(left)
    again = start(slurm, there.folder, tmp_path / "again.log", ROW, *STUDY, *GROUPS)
    # A shard's job is cancelled, its successor's stage is killed: each is made once more.
    cancelled, _ = again.job("row", not_of=[line.split()[0] for line in left if line])
    assert "still in Slurm's queue: they are cancelled." in again.text
    subprocess.run(["scancel", cancelled], check=True)
    end = time.monotonic() + PATIENCE
    while not (stages := slurm.stages("evaluation.run")) and time.monotonic() < end and again.process.poll() is None:
        time.sleep(0.05)
    os.kill(stages[0], signal.SIGKILL)
    again.end()
    assert f"JOB {cancelled} ON " in again.text and " CANCELLED AT " in again.text
    assert again.text.count("Trying to restart job") == 2
    assert digests(there.folder) == wanted


@pytest.mark.slow
def test_the_smoke_study_gives_the_local_tables(slurm, tmp_path):
    if os.environ.get("SLURM_TESTS") != "all":
        pytest.skip("the smoke study on Slurm takes some fifteen minutes: set SLURM_TESTS=all")
    here, there = (copy_repository(tmp_path / name) for name in ("here", "there"))
    began = time.monotonic()
    local = here.snakemake("--cores", "2", *SMOKE, timeout=PATIENCE)
    took = time.monotonic() - began
    assert local.code == 0, local.text[-3000:]
    began = time.monotonic()
    run = start(slurm, there.folder, tmp_path / "run.log", *SMOKE, "--groups", "generate=row", "evaluate=row")
    number, _ = run.job("fit")
    subprocess.run(["scontrol", "update", f"JobId={number}", "TimeLimit=1"], check=True)
    os.kill(slurm.stages("training.fit", wait=60, job=number)[0], signal.SIGSTOP)  # it will never end by itself
    run.end()
    jobs = len(set(re.findall(r"with SLURM jobid '?(\d+)", run.text)))
    print(f"local {took:.0f} s; {jobs} Slurm jobs, one of which met its limit, {time.monotonic() - began:.0f} s")
    assert f"'{number}' failed, SLURM status is: 'TIMEOUT'" in run.text  # of no group: there the plugin says less
    found, wanted = digests(there.folder, "smoke"), digests(here.folder, "smoke")
    assert found == wanted and {"results/smoke/tables/values.csv", "results/smoke/tables/claims.csv"} <= set(found)
