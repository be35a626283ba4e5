"""What a job of a remote executor is told: it parses the workflow anew on another machine, with other targets."""

import json
import os
import shlex
from pathlib import Path

import pytest
from checkout import copy_repository

pytestmark = pytest.mark.slow

PLUGINS = Path(__file__).parent / "plugins"


def recorded(checkout, tmp_path, *arguments) -> list[str]:
    """Commands of the jobs that a run would submit first."""
    record = tmp_path / "recorded"
    result = checkout.snakemake(
        *(*arguments, "--executor", "record", "--jobs", "1", "--nolock", "--retries", "0"),
        RECORDED=str(record),
        PYTHONPATH=str(PLUGINS),
    )
    assert record.exists(), result.text[-2000:]
    return record.read_text().splitlines()


def test_the_choice_of_the_smoke_study_reaches_the_jobs_of_a_remote_executor(tmp_path):
    """Without it a job of `snakemake smoke` made the default study's data anew, in place of the old."""
    checkout = copy_repository(tmp_path / "checkout")
    world = "world={train: 1, test: 1, seconds: [4.0, 4.1]}"
    lines = recorded(checkout, tmp_path, "smoke", "--workflow-profile", "none", "--config", world)
    command = next(line for line in lines if "make_world" in line)
    words = shlex.split(command)  # what a node would run, on a command line of its own
    for word in words:
        if "/.snakemake/tmp." in word:  # of the run that submitted it, and waited for
            Path(word).mkdir()
    result = checkout.snakemake(*words[words.index("snakemake") + 1 :], PYTHONPATH=str(PLUGINS))
    assert result.code == 0, result.text[-2000:]
    assert (checkout.folder / "results/smoke/data/synthetic/manifest.csv").is_file()
    assert not (checkout.folder / "results/default").exists()


def test_a_job_elsewhere_asks_for_a_gpu_where_the_login_node_has_none(tmp_path):
    checkout = copy_repository(tmp_path / "checkout")
    manifest = checkout.folder / "results/trained_tiny/data/synthetic/manifest.csv"
    manifest.parent.mkdir(parents=True)
    manifest.touch()
    os.utime(manifest, (2**31, 2**31))  # younger than the code: not made again
    target = "results/trained_tiny/backbones/vae.safetensors"
    config = ("--configfile", "workflow/config/trained_tiny.yaml", "--workflow-profile", "none")
    command, asked, *_ = recorded(checkout, tmp_path, target, *config)
    assert "train_vae" in command and asked == "# gpu=1 mem_mb=3000"


def test_a_training_on_several_nodes_asks_for_a_core_a_process(tmp_path):
    checkout = copy_repository(tmp_path / "checkout")
    clips = checkout.folder / "results/paper/clips/index.csv"
    for file in (clips, checkout.folder / "results/paper/data/seamless/manifest.csv"):
        file.parent.mkdir(parents=True)
        file.touch()
        os.utime(file, (2**31, 2**31))
    (checkout.folder / "checkpoints/Wan2.2-TI2V-5B-Diffusers").mkdir(parents=True)
    for part, told in (
        ("transformer", {"_class_name": "WanTransformer3DModel", "out_channels": 48}),
        ("vae", {"_class_name": "AutoencoderKLWan", "z_dim": 48, "scale_factor_spatial": 16}),
    ):
        tree = checkout.folder / "checkpoints/Wan2.2-TI2V-5B-Diffusers" / part
        tree.mkdir()
        (tree / "config.json").write_text(json.dumps(told))
        (tree / "model.safetensors").touch()
    target = "results/paper/models/talking/seed0.safetensors"
    config = ("--configfile", "workflow/config/paper.yaml", "--workflow-profile", "none")
    command, asked, shape, *_ = recorded(checkout, tmp_path, target, *config)
    assert "fit_start" in command and (asked, shape) == ("# gpu=16 mem_mb=160000", "# nodes=2 threads=8")
