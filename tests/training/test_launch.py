"""One training in two processes by one command: equal weights, resume after a killed rank, one sentence on failure."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from test_train_distributed import run_pair

from training.engine import checkpoint
from training.launch import SRUN_NOISE

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


def launch(*arguments: str, processes: int = 2) -> subprocess.CompletedProcess:
    path = os.pathsep.join((str(ROOT), str(Path(__file__).parent)))
    command = [sys.executable, "-m", "training.launch", f"--processes={processes}", "-m", "launched_toy", *arguments]
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ("kill", "rank 1 of 2 was killed (SIGKILL); the others were stopped; run the same command again to resume."),
        ("say", "rank 1 of 2: stage 'toy': the loss is nan on batch [clip3]; check these samples."),
    ],
)
def test_a_rank_that_fails_ends_all_with_one_sentence(tmp_path, how, sentence):
    done = launch(str(tmp_path), how, "1", "-1")
    assert done.returncode == 2
    assert done.stderr == f"error: {sentence}\n" and not done.stdout


def test_a_killed_rank_resumes_and_both_ranks_end_with_the_weights_of_an_unbroken_training(tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    broken.mkdir()
    killed = launch(str(broken), "kill", "1", "9")
    assert killed.returncode == 2 and killed.stderr.count("\n") == 1, killed.stderr
    assert checkpoint.steps(broken) == [0, 7]
    assert launch(str(broken), "kill", "1", "99").returncode == 0
    assert run_pair(whole, tmp_path / "ranks") == [0, 0]
    files = [folder / f"rank{rank}.safetensors" for folder in (broken, tmp_path / "ranks") for rank in (0, 1)]
    assert len({checkpoint.sha256_file(file) for file in files}) == 1


def test_what_cannot_be_launched_is_one_sentence():
    for arguments, sentence in (
        (["--processes=3", "--nodes=2", "-m", "x"], "needs a Slurm job"),
        (["--processes=0", "-m", "x"], "must be at least 1"),
        (["--processes=2"], "no module to run was given"),
    ):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
        command = [sys.executable, "-m", "training.launch", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 2 and sentence in done.stderr and done.stderr.count("\n") == 1


def test_sruns_own_lines_about_tasks_that_were_ended_are_left_out():
    assert SRUN_NOISE.match("srun: error: node2: task 1: Exited with exit code 76")
    assert SRUN_NOISE.match("slurmstepd: error: *** STEP 3.1 ON node1 CANCELLED AT 2026-11-29T13:00:00 ***")
    assert SRUN_NOISE.match("slurmstepd-node1: error: *** STEP 11.0 ON node1 CANCELLED AT 2026-11-29T15:11:34 ***")
    assert not SRUN_NOISE.match(
        "srun: error: Unable to allocate resources: Requested node configuration is not available"
    )
