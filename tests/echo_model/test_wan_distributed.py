"""Two processes train ECHO on the generator `wan`: DDP and FSDP2 agree, resume, and save whole adapters."""

import json
import signal
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file
from wan_ranks import STEPS, run_pair, stage2

from dyads.errors import ConfigError
from echo_model.wan.method import own_state
from tests import tiny_checkpoints as tiny
from training.device import World
from training.engine import checkpoint, sharding

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The same training under DDP, under FSDP, and under FSDP killed after two steps and begun again."""
    root = tmp_path_factory.mktemp("ranks")
    tiny.wan(root / "ti2v")
    for name in ("ddp", "fsdp"):
        assert run_pair(root, root / name, name) == [0, 0]
    assert run_pair(root, root / "killed", "fsdp", kill_at=2) == [-signal.SIGKILL] * 2
    assert checkpoint.steps(root / "killed/run")[-1] == 1
    assert run_pair(root, root / "killed", "fsdp") == [0, 0]
    return root


def rows(folder):
    return [json.loads(line) for line in (folder / "run/train.jsonl").read_text().splitlines()]


def test_fsdp_trains_what_ddp_trains_whose_ranks_are_equal(runs):
    """Exit code 0 says that DDP's ranks held the same bits after every step."""
    ddp, fsdp = rows(runs / "ddp"), rows(runs / "fsdp")
    for one, other in zip(ddp, fsdp, strict=True):
        for name in ("loss", "grad_norm", "flow", "align"):
            assert other[name] == pytest.approx(one[name], rel=1e-4)
    ours, theirs = (load_file(runs / name / "weights.safetensors") for name in ("fsdp", "ddp"))
    assert ours.keys() == theirs.keys()
    start = own_state(*(lambda task: (task.generator, task.lcu))(stage2(runs)))
    moved = [float((theirs[name] - x).abs().max()) for name, x in start.items()]
    gaps = [float((ours[name] - theirs[name]).abs().max()) for name in start]
    assert max(moved) > 1e-2 and max(gaps) < 0.05 * max(moved) and len(ddp) == STEPS


def test_a_cut_training_saves_whole_weights_of_echos_own(runs):
    task = stage2(runs)
    wanted, saved = own_state(task.generator, task.lcu), load_file(runs / "fsdp/weights.safetensors")
    assert {name: x.shape for name, x in saved.items()} == {name: x.shape for name, x in wanted.items()}
    assert not any(".base_layer." in name or "attn1" in name for name in saved)


def test_a_killed_cut_training_goes_on_to_the_same_bits(runs):
    whole, killed = (load_file(runs / name / "weights.safetensors") for name in ("fsdp", "killed"))
    assert all(torch.equal(x, killed[name]) for name, x in whole.items())


def test_a_task_without_places_to_cut_is_refused():
    with pytest.raises(ConfigError, match="set it to ddp"):
        sharding.cut(SimpleNamespace(), "toy", World(0, 2), torch.device("cpu"))
