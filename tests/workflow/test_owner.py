"""A study's owner: a lock that was left behind is taken over, one whose owner lives is refused with its process."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import owner
import pytest

SCRIPTS = Path(owner.__file__).parent


@pytest.fixture
def state(tmp_path):
    """Snakemake's folder, with the locks of two studies."""
    (tmp_path / "locks").mkdir()
    for number, results in enumerate(("results/smoke", "results/default")):
        (tmp_path / f"locks/{number}.output.lock").write_text(f"{results}/tables/main_table.csv\n")
    return tmp_path


@pytest.fixture
def other(state):
    """Another process that owns results/smoke."""
    code = (
        f"import sys; sys.path.insert(0, {str(SCRIPTS)!r})\n"
        "from pathlib import Path\nfrom owner import claim\n"
        f"print(claim('results/smoke', Path({str(state)!r})), flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "None\n"
    yield process
    process.kill()
    process.wait()


def test_a_living_owner_is_named_and_keeps_its_lock(state, other):
    problem = owner.claim("results/smoke", state)
    assert f"process {other.pid}" in problem and f"kill {other.pid}" in problem and "since 20" in problem
    assert len(list(state.glob("locks/*"))) == 2
    assert owner.claim("results/default", state) is None  # another study runs beside it
    owner.release("results/default", state)


def test_what_a_killed_owner_left_is_taken_over_and_said(state, other, capsys):
    os.kill(other.pid, signal.SIGKILL)
    other.wait()
    assert owner.claim("results/smoke", state) is None
    said = capsys.readouterr()
    assert f"process {other.pid}" in said.out + said.err and "taken over" in said.out + said.err
    assert [lock.name for lock in state.glob("locks/*")] == ["1.output.lock"]  # the other study's stays
    record = json.loads(next((state / "owners").iterdir()).read_text())
    assert record["pid"] == os.getpid()
    owner.release("results/smoke", state)


def test_a_lock_from_before_there_were_owners_is_left_to_snakemake(state):
    assert owner.claim("results/smoke", state) is None
    assert len(list(state.glob("locks/*"))) == 2
    owner.release("results/smoke", state)


@pytest.mark.parametrize(
    ("arguments", "runs"),
    [
        ("--cores all", True),
        ("-c2 smoke", True),
        ("-n", False),
        ("-np --cores 2", False),
        ("--unlock", False),
        ("--rulegraph mermaid-js all", False),
        ("--lint", False),
        ("--report out.html", False),
        ("--summary", False),
        ("results/default/videos/no_lcu/seed1/index.csv", True),
    ],
)
def test_looking_needs_no_owner(arguments, runs):
    assert owner.runs_jobs(arguments.split()) is runs


def test_jobs_that_a_killed_run_left_in_slurms_queue_are_cancelled(state, other, tmp_path, monkeypatch, capsys):
    """One that still waits would write into what the next run has made. Slurm is played by two scripts."""
    (tmp_path / "bin").mkdir()
    queue = tmp_path / "queue"
    queue.write_text("7\n8\n")
    scripts = {
        "squeue": f'[ "$*" = "--noheader --name the-run --format=%i" ] && cat {queue}',
        "scancel": f'echo "$@" > {tmp_path}/cancelled; : > {queue}',
    }
    for name, text in scripts.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    record = next((state / "owners").iterdir())
    record.write_text(json.dumps(json.loads(record.read_text()) | {"slurm": "the-run"}))
    assert "is being made by process" in owner.claim("results/smoke", state)  # its owner lives: they are its own
    assert not (tmp_path / "cancelled").exists()
    os.kill(other.pid, signal.SIGKILL)
    other.wait()
    assert owner.claim("results/smoke", state) is None
    assert (tmp_path / "cancelled").read_text() == "7 8\n"
    assert "2 jobs of that run are still in Slurm's queue: they are cancelled." in capsys.readouterr().err
    owner.note_jobs("results/smoke", "this-run", state)
    assert (
        json.loads(record.read_text())["slurm"] == "this-run" and json.loads(record.read_text())["pid"] == os.getpid()
    )
    owner.release("results/smoke", state)
    owner.note_jobs("results/smoke", "nobody's", state)  # not held: nothing to write
    assert json.loads(record.read_text())["slurm"] == "this-run"
