"""Backbones and readers trained with a study by tiny settings, really; and the plan that makes the shipped ones."""

import json

import pytest
from checkout import copy_repository

from training.shipped import BACKBONES, READERS


@pytest.mark.slow
def test_each_backbone_and_reader_is_trained(tmp_path):
    checkout = copy_repository(tmp_path)
    results = "results/trained_tiny"
    files = [f"{results}/backbones/{name}.safetensors" for name in BACKBONES]
    files += [f"{results}/probes/{name}.safetensors" for name in READERS]
    done = checkout.snakemake("--cores", "all", "--config", "profile=trained_tiny", "--", *files, timeout=900)
    assert done.code == 0, done.text[-5000:]
    for file in files:
        record = json.loads((checkout.folder / file).with_suffix(".json").read_text())
        assert "shipped" not in record and record["options"] and (checkout.folder / file).stat().st_size > 10_000


def test_shipped_ones_are_made_again_by_one_plan(checkout):
    plan = checkout.snakemake("--dry-run", "--snakefile", "workflow/backbones.smk")
    assert plan.code == 0, plan.text[-3000:]
    assert plan.jobs["towns"] == 2 and plan.jobs["train_frames"] == 2 and plan.jobs["train_phi"] == 1
    assert plan.jobs["train_probe"] == len(READERS) and plan.jobs["pack"] == len(BACKBONES) + len(READERS)
    commands = [line for line in plan.text.splitlines() if "python -m " in line]
    worlds = {world: f"results/shipped/data/{world}" for world in ("generators", "readers")}

    def of(*modules):
        """The worlds that the commands of these modules read, one a command."""
        lines = [line for line in commands if any(module in line for module in modules)]
        return [[world for world, folder in worlds.items() if folder in line] for line in lines]

    assert of("evaluation.fits") == [["readers"]] * len(READERS)
    assert of("train_vae", "train_renderer", "train_phi") == [["generators"]] * 3
