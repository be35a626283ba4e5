"""A shortened study on a real Slurm of two nodes, one of which goes away in the middle: the same values as locally.

With SLURM_TESTS=1 it installs Debian's packages where it may (root on Debian) and is skipped elsewhere; see cluster.py.
"""

import csv
import hashlib
import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cluster
import pytest

from analysis.diff import may_differ

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))
from checkout import copy_repository  # noqa: E402

TARGET = "results/short/metrics/truth/seed0.csv"
STUDY = ("--configfile", "tests/slurm/short.yaml")
# Five probes and the shards of a row are one job each time: a queue's job costs more than theirs.
GROUPS = ("--groups", "train_probe=probes", "gather_measurements=gather", "--group-components", "probes=5")
SLURM = ("--workflow-profile", "profiles/slurm", "--jobs", "4", "--cores", "2", "--latency-wait", "20", *GROUPS)


@pytest.fixture(scope="module")
def slurm():
    if not os.environ.get("SLURM_TESTS"):
        pytest.skip("a study of some ten minutes on a real Slurm: set SLURM_TESTS=1")
    if importlib.util.find_spec("snakemake_executor_plugin_slurm") is None:
        pytest.skip("snakemake-executor-plugin-slurm is not installed")
    try:
        if why := cluster.missing():
            raise cluster.Unavailable(why)
        cluster.install()
        with cluster.two_nodes() as running:
            yield running
    except cluster.Unavailable as why:
        pytest.skip(f"no Slurm here: {why}")


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of what the study must not change by where it ran."""
    files = [folder / TARGET.replace(".csv", ".features.safetensors")]
    files += sorted((folder / "results/short").glob("backbones/*.safetensors"))
    files += sorted((folder / "results/short").glob("videos/*/*/*.mp4"))
    found = {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    return found | {TARGET: values(folder / TARGET)}


def values(file: Path) -> str:
    """The lines of a result file without speeds, which differ between any two runs."""
    with open(file, encoding="utf-8", newline="") as handle:
        return "\n".join(str(row) for row in csv.DictReader(handle) if not may_differ(row["metric"]))


@pytest.mark.slow
def test_a_node_that_goes_away_costs_time_and_no_bit(slurm, tmp_path):
    here, there = copy_repository(tmp_path / "here"), copy_repository(tmp_path / "there")
    local = here.snakemake(TARGET, "--cores", "2", *STUDY, timeout=1200)
    assert local.code == 0, local.text[-3000:]

    command = [sys.executable, "-m", "snakemake", TARGET, *SLURM, *STUDY]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with open(tmp_path / "run.log", "w+") as log:
        run = subprocess.Popen(command, cwd=there.folder, env=environment, stdout=log, stderr=log)
        try:
            wait_for(there.folder / "results/short/backbones/vae.safetensors", run)
            slurm.kill("node2", signal.SIGKILL)
            time.sleep(5)
            slurm.start_node("node2")
            run.wait(timeout=1200)
        finally:
            if run.poll() is None:
                run.kill()
        if run.returncode:  # what the node took with it is made by the same command
            again = subprocess.run(command, cwd=there.folder, env=environment, stdout=log, stderr=log, timeout=1200)
            log.seek(0)
            assert again.returncode == 0, log.read()[-3000:]
    assert digests(there.folder) == digests(here.folder)
    assert len(digests(here.folder)) >= 5


def wait_for(path: Path, run: subprocess.Popen) -> None:
    end = time.monotonic() + 900
    while not path.exists() and run.poll() is None and time.monotonic() < end:
        time.sleep(0.5)
    assert path.exists(), "the run ended before the node was to go away"
