"""The plan of a study at the paper's scale: published sizes, ECHO's overhead, one sentence where it cannot."""

import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from benchmarks import paper_step
from dyads.errors import ConfigError
from dyads.media.video import read_video
from echo_model import plan
from echo_model.model.options import ModelOptions, StageOptions
from echo_model.wan.options import WanOptions
from echo_model.wan.planning import bases, costs
from training.options import from_dict

BASE = "Wan2.2-TI2V-5B"


def paper():
    return plan.profile("paper")


def options():
    config = paper()
    return from_dict(WanOptions, config["generator"], "g"), from_dict(ModelOptions, config["model"], "m")


@pytest.mark.parametrize(("name", "billions"), [(BASE, 5.00), ("Wan2.1-T2V-1.3B", 1.42), ("Wan2.1-I2V-14B", 16.4)])
def test_the_published_sizes(name, billions):
    base = costs.base_on_meta(WanOptions(base_model=name))
    assert sum(p.numel() for p in base.parameters()) / 1e9 == pytest.approx(billions, abs=0.05)


def test_echos_additions_cost_at_most_fifteen_percent():
    """SDCM, LCU and the reference's tokens over the stock transformer's training step with LoRA, by torch's counter."""
    wan, model = options()
    found = costs.cost(wan, model, StageOptions(), user=True, aligned=False)
    assert 1.0 < found.overhead <= 1.15 and found.tokens == 15 * 16 * 16
    assert found.gradients == 4 * found.trained and found.optimiser == 12 * found.trained
    aligned = costs.cost(wan, model, StageOptions(align_blocks=1), user=True, aligned=True)
    assert 0.4 * found.forward_flops < aligned.reference_flops < 0.6 * found.forward_flops  # 15.5 of 30 blocks
    assert aligned.flops < 1.01 * found.flops and aligned.weights > found.weights  # f_ref's adapter, counted apart


def test_cost_is_linear_in_the_number_of_blocks(monkeypatch):
    monkeypatch.setitem(bases.TRANSFORMERS, BASE, bases.TRANSFORMERS[BASE] | {"num_layers": 5})
    wan, model = options()
    assert costs.cost(wan, model, StageOptions(), True, False) == costs._counted(wan, model, True, False, 5)


def test_what_autograd_keeps_is_counted_once():
    x = torch.randn(4, 8, requires_grad=True)
    with costs.Saved() as saved:
        y = (x.exp().exp() * 2).sum()
    assert saved.bytes == 2 * 4 * 8 * 4  # the two exponentials' outputs
    y.backward()
    layer = nn.Linear(8, 8)
    with costs.Saved(layer) as saved:
        layer(x)
    assert saved.bytes == 4 * 8 * 4  # weights are no activations


def test_fsdp_divides_what_is_held_and_keeps_two_blocks_whole():
    made = costs.Cost(0, 0, 0, 0, 0, 0, 0, weights=900, gradients=80, optimiser=220, activations=7)
    assert made.memory(2) == 1200 + 14 and made.memory(2, parts=4, blocks=30) == 300 + 60 + 14


def test_a_plan_prints_every_row_and_its_sum(monkeypatch):
    config = paper()
    config["methods"] = {name: config["methods"][name] for name in ("talking", "echo")}
    monkeypatch.setattr(plan, "profile", lambda name: config)
    monkeypatch.setattr(plan, "encoder_flops", lambda wan, model: 1e13)
    found = plan.plan(config, 300.0, 3.0, 16, 0.35)
    json.dumps(found)
    assert [row["row"] for row in found["rows"]] == ["talking", "echo"] and found["clips"] == 300 * 3600 * 25 / 48
    for machine, hours in found["hours"].items():
        parts = [hours[part] for part in ("training", "sampling", "encoding")]
        assert hours["sum"] == pytest.approx(sum(parts)) and min(parts) > 0, machine
    assert found["rows"][1]["epochs"] == pytest.approx(20000 * 16 / found["clips"])
    text = plan.shown(found, 0.35)
    assert all(word in text for word in ("talking", "echo", "GiB/GPU", "16 A100", "8 H200", "Caches:", "35%"))


def test_the_benchmark_of_a_step_and_of_long_dialogues_runs_tiny(monkeypatch, tmp_path):
    monkeypatch.setitem(bases.TRANSFORMERS, "tiny", paper_step.TINY)
    monkeypatch.setitem(bases.VAES, "tiny", paper_step.TINY_VAE)
    rows, figures = paper_step.measure(*paper_step.options("tiny", True), 1, 1, torch.device("cpu"))
    assert [row["step"] for row in rows] == ["LoRA alone", "ECHO"] and figures["seconds_echo_over_lora"] > 0
    assert figures["flops_echo_over_lora"] > 1 and figures["mfu"] is figures["peak_over_plan"] is None
    paper_step.made_up(0.02, tmp_path)
    found = paper_step.sample(0.02, tmp_path)
    assert found["frames"] == 30 == len(read_video(tmp_path / "one.mp4")) and found["peak_mib"] > 0


def test_what_cannot_be_planned_is_one_sentence():
    with pytest.raises(ConfigError, match="there is no profile 'papr'; there are"):
        plan.profile("papr")
    with pytest.raises(ConfigError, match="generator is the small one"):
        plan.plan(plan.profile("default"), 1.0, 1.0, 1, 0.3)
    with pytest.raises(ConfigError, match="tells a known base; download the checkpoint, or name one of"):
        costs.base_on_meta(replace(WanOptions(), base_model="other"))
