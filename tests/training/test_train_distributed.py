"""Two gloo processes train one set of weights, also across a kill."""

import json
import signal
import socket

import pytest
import torch
from safetensors.torch import load_file
from toy_training import LinearTask, UnevenTask, options, run_rank, start

from dyads.seeding import torch_generator
from training.engine import checkpoint
from training.engine.optim import build_optimizer, learning_rate


def run_pair(folder, out, kill_at=None, linear=False):
    """Exit codes of the two ranks."""
    out.mkdir(exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ranks = [start(run_rank, rank, port, folder, out, kill_at, linear) for rank in (0, 1)]
    for process in ranks:
        process.join(60)
    return [process.exitcode for process in ranks]


def test_ranks_end_equal_and_resume_exactly(tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert run_pair(whole, tmp_path / "a") == [0, 0]
    assert run_pair(broken, tmp_path / "b", kill_at=9) == [-signal.SIGKILL] * 2
    assert checkpoint.steps(broken) == [0, 7]
    assert run_pair(broken, tmp_path / "b") == [0, 0]
    files = [tmp_path / letter / f"rank{rank}.safetensors" for letter in "ab" for rank in (0, 1)]
    assert len({checkpoint.sha256_file(file) for file in files}) == 1
    summary = checkpoint.read_summary(broken)
    assert summary["processes"] == 2 and summary["samples"] == 16 * 4 * 2 * 2


def test_gradient_is_the_mean_over_ranks_and_micro_batches(tmp_path):
    assert run_pair(tmp_path / "run", tmp_path, linear=True) == [0, 0]
    task, settings = LinearTask(), options(steps=1)
    trained = dict(task.module.named_parameters())
    optimizer = build_optimizer([], trained, settings)
    positions = [(0, micro, rank) for micro in (0, 1) for rank in (0, 1)]
    batches = [task.batch(0, torch_generator(3, "toy", "batch", *position)) for position in positions]
    x = torch.cat([batch["x"] for batch in batches])
    loss = task.loss({"x": x, "step": torch.tensor(0)}, None)[0]
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(trained.values(), settings.clip_norm)
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(settings, 0)
    optimizer.step()
    for name, value in load_file(tmp_path / "rank1.safetensors").items():
        assert value.numpy() == pytest.approx(trained[name].detach().numpy(), abs=1e-6)
    (row,) = [json.loads(line) for line in (tmp_path / "run" / "train.jsonl").read_text().splitlines()]
    assert row["loss"] == pytest.approx(loss.item(), rel=1e-5)
    assert row["grad_norm"] == pytest.approx(norm.item(), rel=1e-5)


def test_uneven_batches_give_the_mean_over_samples(tmp_path):
    """At the end of a pass over the data some ranks have fewer samples: each sample still counts once."""
    assert run_pair(tmp_path / "run", tmp_path, linear="uneven") == [0, 0]
    task, settings = UnevenTask(), options(steps=1)
    trained = dict(task.module.named_parameters())
    optimizer = build_optimizer([], trained, settings)
    positions = [(0, micro, rank) for micro in (0, 1) for rank in (0, 1)]
    batches = [task.batch(0, torch_generator(3, "toy", "batch", *position)) for position in positions]
    assert len({len(batch["x"]) for batch in batches}) > 1
    x = torch.cat([batch["x"] for batch in batches])
    task.loss({"x": x, "step": torch.tensor(0)}, None)[0].backward()
    torch.nn.utils.clip_grad_norm_(trained.values(), settings.clip_norm)
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(settings, 0)
    optimizer.step()
    for rank in (0, 1):
        for name, value in load_file(tmp_path / f"rank{rank}.safetensors").items():
            assert value.numpy() == pytest.approx(trained[name].detach().numpy(), abs=1e-6)
