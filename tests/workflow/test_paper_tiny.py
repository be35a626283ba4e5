"""The paper's profile with tiny checkpoints, really run: Seamless's layout, both stages on `wan`, measured, shared."""

import csv
import json
import sys

import pytest
from checkout import copy_repository

pytestmark = pytest.mark.slow
KEPT = ("talking", "echo", "talking_entangled", "no_sdcm", "single_stage")
MEASURED = ("echo", "no_sdcm", "single_stage", "truth", "wan_vae")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A cut of the profile: ECHO, the two ablations that train other networks, and two controls."""
    checkout = copy_repository(tmp_path_factory.mktemp("paper"))
    for command in (
        ["-m", "tests.tiny_checkpoints", "checkpoints/tiny"],
        ["-m", "dyads.layouts.seamless", "checkpoints/tiny/seamless", "--train", "2", "--test", "1", "--seconds", "4"],
    ):
        made = checkout.run(sys.executable, *command)
        assert made.code == 0, made.text[-3000:]
    plan = checkout.snakemake("--dry-run", "--config", "profile=paper_tiny")
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
    result = checkout.snakemake("--cores", "all", *targets, "--config", "profile=paper_tiny", *given, timeout=3000)
    assert result.code == 0, result.text[-20_000:]
    return checkout.folder / "results/paper_tiny"


def test_every_row_on_wan_is_measured_on_every_test_dialogue(study):
    with (study / "data/seamless/manifest.csv").open(encoding="utf-8", newline="") as file:
        clips = {row["dyad_id"] for row in csv.DictReader(file) if row["split"] == "test"}
    for name in MEASURED:
        with (study / f"metrics/{name}/seed0.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        assert {row["clip"] for row in rows} == clips | {"*"} and any(row["status"] == "ok" for row in rows)
        assert not any(row["status"] == "missing_video" for row in rows)


def test_weights_are_echos_own_and_name_what_they_stand_on(study):
    card = json.loads((study / "models/echo/seed0.json").read_text())["card"]
    encoders = json.loads((study / "clips/encoders.json").read_text())["sha256"]
    assert card["pretrained"] == encoders and len(card["base_sha256"]) == 64 and card["steps"] == 4
    page = (study / "pretrained/echo/README.md").read_text()
    assert card["base_sha256"] in page and "qwen_omni" in page
    assert (study / "pretrained/echo/adapter.safetensors").stat().st_size < 500_000
