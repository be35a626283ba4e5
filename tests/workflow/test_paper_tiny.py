"""The paper's profile with tiny checkpoints, run, killed and run again: Seamless's layout, both stages on `wan`."""

import csv
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from checkout import copy_repository
from safetensors.torch import load_file

pytestmark = pytest.mark.slow
KEPT = ("talking", "echo", "talking_entangled", "no_sdcm", "single_stage")
MEASURED = ("echo", "no_sdcm", "single_stage", "truth", "wan_vae")
PROFILE = "profile=paper_tiny"


def killed_when(checkout, path, command):
    """Run a command until `path` is there, then kill it and everything it has started; what it printed."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"}
    log = checkout.folder / "killed.log"
    with log.open("w") as file:
        run = subprocess.Popen(command, cwd=checkout.folder, env=env, stdout=file, stderr=file, start_new_session=True)
        until = time.monotonic() + 3000
        while not path() and run.poll() is None and time.monotonic() < until:
            time.sleep(0.005)
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
        run.wait()
    assert run.returncode == -signal.SIGKILL, log.read_text()[-3000:]
    return log.read_text()


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A cut of the profile, killed in the middle of ECHO's training and run again: ECHO, the two ablations that train
    other networks, and two controls. Its folder, and what its jobs were.
    """
    checkout = copy_repository(tmp_path_factory.mktemp("paper"))
    for command in (
        ["-m", "tests.tiny_checkpoints", "checkpoints/tiny"],
        ["-m", "dyads.layouts.seamless", "checkpoints/tiny/seamless", "--train", "2", "--test", "1", "--seconds", "4"],
    ):
        made = checkout.run(sys.executable, *command)
        assert made.code == 0, made.text[-3000:]
    plan = checkout.snakemake("--dry-run", "--config", PROFILE)
    assert plan.code == 0, plan.text[-3000:]
    drop = lambda names, kept: "{" + ", ".join(f"{n}: null" for n in sorted(names - set(kept))) + "}"  # noqa: E731
    fits = {line.split("method=")[1].split(",")[0] for rule in ("fit", "fit_start") for line in plan.wildcards(rule)}
    made = {line.split("method=")[1].split(",")[0] for line in plan.wildcards("generate")}
    rows = fits | {"talking_only"}
    given = [f"methods={drop(rows, KEPT)}", f"controls={drop(made - rows, MEASURED)}"]
    targets = [
        *(f"results/paper_tiny/metrics/{name}/seed0.csv" for name in MEASURED),
        "results/paper_tiny/pretrained/echo",
    ]
    asked = ["--cores", "all", *targets, "--config", PROFILE, *given]
    results = checkout.folder / "results/paper_tiny"
    first_step = results / "checkpoints/echo/seed0/step-000000001"
    killed_when(checkout, first_step.is_dir, [sys.executable, "-m", "snakemake", *asked])
    assert not (results / "models/echo/seed0.safetensors").exists()
    result = checkout.snakemake(*asked, timeout=3000)
    assert result.code == 0, result.text[-20_000:]
    return SimpleNamespace(
        folder=checkout.folder, run=checkout.run, snakemake=checkout.snakemake, plan=plan, given=given
    )


@pytest.fixture(scope="module")
def study(checkout):
    return checkout.folder / "results/paper_tiny"


def command_of(checkout, module, method):
    """A stage's command of one row, as words, without its log."""
    line = next(
        line.removeprefix("Shell command: ")
        for line in checkout.plan.text.splitlines()
        if f"-m {module} --method {method} " in line
    )
    words = shlex.split(re.sub(r" > \S+ 2>&1$", "", line))
    return [sys.executable, *words[words.index("-m") :]]


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def with_option(words, option, value):
    place = words.index(option) + 1
    return [*words[:place], str(value), *words[place + 1 :]]


def test_a_training_that_was_killed_ends_with_the_bits_of_one_that_was_not(checkout, study):
    words = with_option(command_of(checkout, "training.fit", "echo"), "--checkpoints", "again/checkpoints")
    done = checkout.run(*with_option(words, "--out", "again/echo.safetensors"))
    assert done.code == 0, done.text[-3000:]
    weights = study / "models/echo/seed0.safetensors"
    assert weights.read_bytes() == (checkout.folder / "again/echo.safetensors").read_bytes()


def test_sampling_that_was_killed_goes_on_to_the_same_videos(checkout, study):
    out = checkout.folder / "again/videos"
    words = with_option(command_of(checkout, "training.generate", "echo"), "--out", out)
    killed_when(checkout, lambda: len([*out.glob("*.mp4")]) == 1, words)
    first = {path.name: path.stat().st_mtime_ns for path in out.glob("*.mp4")}
    assert len(first) == 1 and not (out / "index.csv").exists()
    done = checkout.run(*words)
    assert done.code == 0, done.text[-3000:]
    videos = sorted((study / "videos/echo/seed0").glob("*.mp4"))
    assert len(videos) == 2 and all((out / path.name).read_bytes() == path.read_bytes() for path in videos)


def test_two_processes_train_a_row_cut_by_fsdp(checkout, study):
    """`gpus_per_job` starts torchrun from the rule; what the row leaves is as whole as what one process trains."""
    row = {"label": "cut", "class": "echo_model.method:Echo", "group": "ablation", "stage": 2, "start": "talking"}
    row["options"] = {"train": {"parallel": "fsdp"}}
    given = [checkout.given[0].replace("methods={", f"methods={{cut: {json.dumps(row)}, "), checkout.given[1]]
    asked = ["--cores", "all", "results/paper_tiny/models/cut/seed0.safetensors", "--rerun-triggers", "mtime"]
    done = checkout.snakemake(*asked, "--config", PROFILE, "gpus_per_job=2", *given, timeout=600)
    assert done.code == 0, done.text[-5000:]
    command = next(line for line in done.text.splitlines() if "-m training.fit --method cut" in line)
    assert "--gpus 2 python -m training.launch --processes 2 --nodes 1 -m training.fit" in command
    ours, theirs = (json.loads((study / f"models/{name}/seed0.json").read_text())["card"] for name in ("cut", "echo"))
    same = ("steps", "parameters", "parameters_trained", "base_sha256", "pretrained")
    assert {key: ours[key] for key in same} == {key: theirs[key] for key in same}
    summary = json.loads((study / "checkpoints/cut/seed0/finished.json").read_text())
    assert summary["processes"] == 2 and ours["samples"] - theirs["samples"] == 4  # two steps of twice the batch
    ours, theirs = (load_file(study / f"models/{name}/seed0.safetensors") for name in ("cut", "echo"))
    assert {name: x.shape for name, x in ours.items()} == {name: x.shape for name, x in theirs.items()}
    assert all(x.isfinite().all() for x in ours.values() if x.is_floating_point())


def test_another_test_set_is_measured_and_trains_nothing(checkout, study):
    """Weights, backbones and probes are copied; without them, one sentence."""
    made = checkout.run(sys.executable, "-m", "dyads.layouts.others", "hdtf", "checkpoints/tiny/hdtf")
    assert made.code == 0, made.text[-3000:]
    asked = ["results/paper_tiny/on/hdtf/metrics/echo/seed0.csv", "--config", PROFILE, "test_set=hdtf"]
    done = checkout.snakemake("--cores", "all", *asked, *checkout.given, timeout=600)
    assert done.code == 0, done.text[-3000:]
    assert done.jobs["borrow_weights"] == 1 and done.jobs["borrow_probe"] == 5
    assert not any(name.startswith(("fit", "train_")) for name in done.jobs)
    clips = {row["dyad_id"] for row in rows_of(study / "on/hdtf/data/hdtf/manifest.csv")}
    rows = rows_of(study / "on/hdtf/metrics/echo/seed0.csv")
    assert {row["clip"] for row in rows} == clips | {"*"} and {row["dataset"] for row in rows} == {"hdtf"}
    assert any(row["status"] == "ok" for row in rows) and not any(row["status"] == "missing_video" for row in rows)
    refused = checkout.snakemake("--dry-run", *asked)
    assert refused.code and "run the same command without test_set first" in refused.text
    unknown = checkout.snakemake("--dry-run", "--config", PROFILE, "test_set=mine")
    assert unknown.code and "which test_sets does not have; there are: realtalk, hdtf, vico" in unknown.text


def test_every_row_on_wan_is_measured_on_every_test_dialogue(study):
    clips = {row["dyad_id"] for row in rows_of(study / "data/seamless/manifest.csv") if row["split"] == "test"}
    for name in MEASURED:
        rows = rows_of(study / f"metrics/{name}/seed0.csv")
        assert {row["clip"] for row in rows} == clips | {"*"} and any(row["status"] == "ok" for row in rows)
        assert not any(row["status"] == "missing_video" for row in rows)


def test_weights_are_echos_own_and_name_what_they_stand_on(study):
    card = json.loads((study / "models/echo/seed0.json").read_text())["card"]
    encoders = json.loads((study / "clips/encoders.json").read_text())["sha256"]
    assert card["pretrained"] == encoders and len(card["base_sha256"]) == 64 and card["steps"] == 4
    page = (study / "pretrained/echo/README.md").read_text()
    assert card["base_sha256"] in page and "qwen_omni" in page
    assert (study / "pretrained/echo/adapter.safetensors").stat().st_size < 500_000
