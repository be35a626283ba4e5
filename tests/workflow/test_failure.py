"""A stage that fails: the others go on, the exit code says so, and what finished is shown all the same."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from checkout import copy_repository
from test_rerun import PROFILE, STAGE

pytestmark = pytest.mark.slow

# The stand-in of test_rerun, but training `dim` fails, and tables and report leave what they were told.
FAILING = STAGE.replace("previous=\n", 'case "$*" in *training.fit*"--method dim "*) exit 1 ;; esac\nprevious=\n', 1)
FAILING = FAILING.replace("*/tables) ", '*/tables) mkdir -p "$out"; ', 1)
FAILING = FAILING.replace("#!/bin/sh\n", '#!/bin/sh\necho "$@" >> "$CALLS"\n', 1)


def test_a_failed_row_leaves_a_report_of_the_others(tmp_path):
    checkout = copy_repository(tmp_path / "checkout")
    stage = tmp_path / "bin/python"
    stage.parent.mkdir()
    stage.write_text(FAILING)
    stage.chmod(0o755)
    path = f"{stage.parent}{os.pathsep}{os.environ['PATH']}"
    calls = tmp_path / "calls"
    done = checkout.snakemake("--cores", "2", *PROFILE, PATH=path, CALLS=str(calls))
    results = checkout.folder / "results/trained_tiny"
    assert done.code != 0, done.text
    assert (results / "metrics/echo/seed0.csv").exists() and not (results / "metrics/dim/seed0.csv").exists()
    assert (results / "unfinished/report/index.html").exists(), done.text[-3000:]
    assert "What finished is shown in results/trained_tiny/unfinished/report/index.html." in done.text
    # The same command would fail again at once: what the user must mend is not tried twice.
    assert sum("training.fit" in line and "--method dim " in line for line in calls.read_text().splitlines()) == 1
    # A failed run leaves none of the real outputs, so that the same command goes on with what is missing.
    assert not (results / "report").exists() and not (results / "tables").exists()
    told = [line.split(" --rows ")[1] for line in calls.read_text().splitlines() if " reporting.page " in line]
    assert len(told) == 1
    rows = json.JSONDecoder().raw_decode(told[0])[0]
    assert rows["dim"]["seeds"] == [0] and rows["echo"]["label"] == "ECHO"


def test_what_is_shown_of_an_unfinished_row_names_its_missing_shards(tmp_path):
    checkout = copy_repository(tmp_path / "checkout")
    stage = tmp_path / "bin/python"
    stage.parent.mkdir()
    fails = 'case "$*" in *evaluation.run*"--method oracle "*2-of-2*) exit 1 ;; esac\nprevious=\n'
    stage.write_text(FAILING.replace("previous=\n", fails, 1))
    stage.chmod(0o755)
    path, calls = f"{stage.parent}{os.pathsep}{os.environ['PATH']}", tmp_path / "calls"
    rows = [f"results/smoke/metrics/{name}/seed0.csv" for name in ("truth", "oracle")]
    study = ("--configfile", "workflow/config/smoke.yaml", "--config", "shards={dialogues: 2}")
    done = checkout.snakemake(*rows, "--cores", "2", *study, PATH=path, CALLS=str(calls))
    assert done.code != 0 and (checkout.folder / rows[0]).exists() and not (checkout.folder / rows[1]).exists()
    note = "Shards that are missing: oracle seed 0: shard 2-of-2."
    assert note in done.text
    (told,) = [line for line in calls.read_text().splitlines() if " reporting.page " in line]
    assert note in told  # what the page's heading says
    again = checkout.snakemake(*rows, "--dry-run", *study)
    assert again.jobs["evaluate"] == 1 and again.jobs["gather_measurements"] == 1  # it costs that shard
    assert not {"make_world", "train_probe", "generate"} & set(again.jobs)


STARTED = "models/talking/seed0.safetensors"  # what the run is at when it is interrupted


def test_ctrl_c_ends_at_once_and_draws_nothing(tmp_path):
    """It cost two minutes of tables and notebooks."""
    checkout = copy_repository(tmp_path / "checkout")
    stage = tmp_path / "bin/python"
    stage.parent.mkdir()
    slow = STAGE.replace("#!/bin/sh\n", '#!/bin/sh\necho "$@" >> "$CALLS"\n', 1)
    stage.write_text(slow.replace("previous=\n", 'case "$*" in *training.fit*) sleep 600 ;; esac\nprevious=\n', 1))
    stage.chmod(0o755)
    calls = tmp_path / "calls"
    environment = {**os.environ, "PATH": f"{stage.parent}{os.pathsep}{os.environ['PATH']}", "CALLS": str(calls)}
    measured = checkout.folder / "results/trained_tiny/metrics/truth/seed0.csv"
    targets = [str(path.relative_to(checkout.folder)) for path in (measured, measured.parents[2] / STARTED)]
    command = [sys.executable, "-m", "snakemake", *targets, "--cores", "2", *PROFILE]
    run = subprocess.Popen(
        command, cwd=checkout.folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip
    end = time.monotonic() + 240
    while (
        not (measured.exists() and " training.fit " in calls.read_text())
        and run.poll() is None
        and time.monotonic() < end
    ):
        time.sleep(0.2)
    assert run.poll() is None, run.communicate()[0][-2000:]
    os.killpg(run.pid, signal.SIGINT)  # as a terminal does
    text, _ = run.communicate(timeout=120)
    assert measured.exists() and run.returncode != 0, text[-2000:]
    assert " reporting." not in calls.read_text() and not (checkout.folder / "results/trained_tiny/unfinished").exists()
