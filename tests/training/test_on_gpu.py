"""The GPU wrapper with simulated GPUs: no GPU is held twice, a killed job gives its GPU back."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "workflow" / "scripts" / "on_gpu.py"
JOB = """
import os, sys, time
gpus = os.environ["CUDA_VISIBLE_DEVICES"]
with open(sys.argv[1], "a") as log:
    print("start", gpus, time.time(), file=log, flush=True)
time.sleep(float(sys.argv[2]))
with open(sys.argv[1], "a") as log:
    print("stop", gpus, time.time(), file=log, flush=True)
"""


@pytest.fixture
def launch(tmp_path):
    started = []

    def run(*command, wrapper=(), **environment):
        base = {key: value for key, value in os.environ.items() if not key.startswith(("CUDA", "ECHO"))}
        env = {**base, "TMPDIR": str(tmp_path), **environment}
        line = [sys.executable, str(SCRIPT), *wrapper, *command]
        process = subprocess.Popen(line, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def job(tmp_path, seconds):
    return (sys.executable, "-S", "-c", JOB, str(tmp_path / "log"), str(seconds))


def spans(tmp_path):
    """(gpu, start, stop) of each finished job."""
    events = [line.split() for line in (tmp_path / "log").read_text().splitlines()]
    running, found = {}, []
    for kind, gpus, moment in events:
        for gpu in gpus.split(","):
            if kind == "start":
                assert gpu not in running, f"GPU {gpu} is held twice"
                running[gpu] = float(moment)
            else:
                found.append((gpu, running.pop(gpu), float(moment)))
    assert not running
    return found


def wait_for_lines(path, count):
    for _ in range(400):
        if path.exists() and len(path.read_text().splitlines()) >= count:
            return
        time.sleep(0.025)
    raise AssertionError(f"{path} has fewer than {count} lines")


def test_no_gpu_is_held_twice(launch, tmp_path):
    jobs = [launch(*job(tmp_path, 0.1), CUDA_VISIBLE_DEVICES="4,7,MIG-a/1/0") for _ in range(7)]
    assert [process.wait(60) for process in jobs] == [0] * 7
    found = spans(tmp_path)
    assert len(found) == 7 and {gpu for gpu, _, _ in found} <= {"4", "7", "MIG-a/1/0"}


def test_two_gpus_at_once(launch, tmp_path):
    jobs = [launch(*job(tmp_path, 0.1), wrapper=("--gpus", "2"), CUDA_VISIBLE_DEVICES="0,1,2") for _ in range(3)]
    assert [process.wait(60) for process in jobs] == [0] * 3
    assert len(spans(tmp_path)) == 6
    assert launch("true", wrapper=("--gpus", "4"), CUDA_VISIBLE_DEVICES="0,1,2").wait(60) == 2


def test_a_job_that_waits_for_two_holds_none(launch, tmp_path):
    launch(*job(tmp_path, 60), CUDA_VISIBLE_DEVICES="1")
    wait_for_lines(tmp_path / "log", 1)
    both = launch("true", wrapper=("--gpus", "2"), CUDA_VISIBLE_DEVICES="0,1")
    assert "waiting for 2 of 2 GPUs" in both.stderr.readline()
    assert launch("true", CUDA_VISIBLE_DEVICES="0").wait(30) == 0
    assert both.poll() is None


def test_a_killed_job_gives_its_gpu_back(launch, tmp_path):
    first = launch(*job(tmp_path, 60), CUDA_VISIBLE_DEVICES="0")
    wait_for_lines(tmp_path / "log", 1)
    second = launch(*job(tmp_path, 0), CUDA_VISIBLE_DEVICES="0")
    assert "waiting for 1 of 1 GPUs" in second.stderr.readline()
    assert second.poll() is None
    first.send_signal(signal.SIGKILL)
    assert second.wait(30) == 0


SHOW = "import os; print(os.environ.get('CUDA_VISIBLE_DEVICES', 'unset'))"


@pytest.mark.parametrize(
    "environment, shown",
    [
        ({"PATH": ""}, "unset"),  # no nvidia-smi
        ({"CUDA_VISIBLE_DEVICES": ""}, ""),
        ({"CUDA_VISIBLE_DEVICES": "-1"}, "-1"),
        ({"CUDA_VISIBLE_DEVICES": "3", "ECHO_DEVICE": "cpu"}, "3"),
    ],
)
def test_without_gpus_the_command_simply_runs(launch, tmp_path, environment, shown):
    process = launch(sys.executable, "-S", "-c", SHOW, **environment)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 0 and output.strip() == shown
    assert not list(tmp_path.glob("gpu_slots_*"))


def test_asks_nvidia_smi(launch, tmp_path):
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho 5\necho 6\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    process = launch(sys.executable, "-S", "-c", SHOW, PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert process.communicate(timeout=30)[0].strip() == "5"


def test_exit_code_and_messages(launch):
    assert launch("sh", "-c", "exit 7", CUDA_VISIBLE_DEVICES="0").wait(30) == 7
    for command, code, message in (
        ([], 2, "needs a command"),
        (["no-such-command"], 127, "no-such-command cannot be run (No such file or directory)"),
        (["--gpus", "x", "true"], 2, "--gpus needs a number"),
    ):
        process = launch(*command, CUDA_VISIBLE_DEVICES="0")
        _, errors = process.communicate(timeout=30)
        assert process.returncode == code and message in errors and "Traceback" not in errors


def test_jobs_that_slurm_gave_gpus_do_not_wait_for_each_other(launch, tmp_path):
    """On every node, and under ConstrainDevices in every job, the first GPU has the number 0."""
    given = {"CUDA_VISIBLE_DEVICES": "0", "SLURM_JOB_ID": "7", "SLURM_STEP_GPUS": "0"}
    jobs = [launch(*job(tmp_path, 3.0), **given) for _ in range(2)]
    assert [process.wait(60) for process in jobs] == [0] * 2
    lines = [line.split() for line in (tmp_path / "log").read_text().splitlines()]
    assert [line[0] for line in lines] == ["start", "start", "stop", "stop"] and {line[1] for line in lines} == {"0"}
