"""Weights files: exact, atomic, and refused with one sentence where they do not fit."""

import os

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from training.engine import checkpoint
from training.engine.weights import load_weights, read_meta, read_options, save_weights, write_tensors
from training.errors import MethodError


def network(width=4):
    return nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width))


def test_round_trip_is_exact(tmp_path):
    source, target = network(), network()
    source[1].num_batches_tracked += 3
    save_weights(tmp_path / "sub" / "w.safetensors", source, {"steps": 5, "name": "x"})
    assert load_weights(tmp_path / "sub" / "w.safetensors", target) == {"steps": 5, "name": "x"}
    assert read_meta(tmp_path / "sub" / "w.safetensors")["steps"] == 5
    assert all((target.state_dict()[name] == value).all() for name, value in source.state_dict().items())
    assert [path.name for path in (tmp_path / "sub").iterdir()] == ["w.safetensors"]


def test_same_weights_same_file(tmp_path):
    source = network()
    save_weights(tmp_path / "a", source, {"x": 1, "y": 2})
    save_weights(tmp_path / "b", source, {"y": 2, "x": 1})
    assert checkpoint.sha256_file(tmp_path / "a") == checkpoint.sha256_file(tmp_path / "b")


def test_tied_weights(tmp_path):
    module = nn.ModuleDict({"a": nn.Linear(2, 2, bias=False), "b": nn.Linear(2, 2, bias=False)})
    module["b"].weight = module["a"].weight
    save_weights(tmp_path / "w", module)
    assert load_file(tmp_path / "w").keys() == {"a.weight", "b.weight"}
    load_weights(tmp_path / "w", module)
    assert module["b"].weight is module["a"].weight


@pytest.mark.parametrize(
    "target, message",
    [
        (
            nn.Sequential(nn.Linear(3, 4)),
            "has an unknown tensor '1.bias' and 4 more; it was made with other options",
        ),
        (nn.Sequential(*network(), nn.Linear(4, 1)), "lacks tensor '2.bias' and 1 more"),
        (network(5), r"tensor '0.weight' has shape \(4, 3\), but the module needs \(5, 3\)"),
    ],
)
def test_misfits_are_named_and_nothing_is_copied(tmp_path, target, message):
    save_weights(tmp_path / "w", network())
    before = {name: value.clone() for name, value in target.state_dict().items()}
    with pytest.raises(MethodError, match=f"weights file .*w.*{message}"):
        load_weights(tmp_path / "w", target)
    assert all((target.state_dict()[name] == value).all() for name, value in before.items())


def test_absent_and_damaged_files(tmp_path):
    with pytest.raises(MethodError, match="none.safetensors does not exist; train first"):
        load_weights(tmp_path / "none.safetensors", network())
    save_weights(tmp_path / "w", network())
    content = (tmp_path / "w").read_bytes()
    for damaged in (content[:-8], b"", b"\xff" * 40):
        (tmp_path / "w").write_bytes(damaged)
        with pytest.raises(MethodError, match="cannot be read .*; delete it and train again"):
            load_weights(tmp_path / "w", network())


def test_only_the_main_process_writes(tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    save_weights(tmp_path / "w", network())
    assert not (tmp_path / "w").exists()


def test_fingerprint_sees_names_shapes_types_and_bits():
    base = {"a": torch.zeros(4), "b": torch.tensor(1)}
    others = [
        {"a": torch.zeros(2, 2), "b": torch.tensor(1)},
        {"a": torch.zeros(4, dtype=torch.float64), "b": torch.tensor(1)},
        {"a": -torch.zeros(4), "b": torch.tensor(1)},
        {"c": torch.zeros(4), "b": torch.tensor(1)},
        {},
    ]
    prints = [checkpoint.fingerprint(tensors) for tensors in [base, *others]]
    assert len(set(prints)) == len(prints)
    assert checkpoint.fingerprint({"b": torch.tensor(1), "a": torch.zeros(4)}) == prints[0]
    assert checkpoint.fingerprint({"a": torch.zeros(4, dtype=torch.bfloat16)})


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_none_are_refused(tmp_path, value):
    source, target = network(), network()
    with torch.no_grad():
        source[0].bias[2] = value
    save_weights(tmp_path / "w", source)
    before = target[0].weight.clone()
    with pytest.raises(MethodError, match="tensor '0.bias' holds numbers that are not finite"):
        load_weights(tmp_path / "w", target)
    assert (target[0].weight == before).all()


def test_integers_where_weights_are_wanted_are_refused(tmp_path):
    tensors = {name: value.long() for name, value in network().state_dict().items()}
    write_tensors(tmp_path / "w", tensors)
    with pytest.raises(MethodError, match="holds torch.int64, but the module needs torch.float32"):
        load_weights(tmp_path / "w", network())


def test_a_file_that_does_not_say_how_its_network_is_built(tmp_path):
    save_weights(tmp_path / "w", network())
    with pytest.raises(MethodError, match="does not say how its network is built"):
        read_options(tmp_path / "w")


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_a_file_has_the_permissions_that_the_user_wants(tmp_path, mask, mode):
    before = os.umask(mask)
    try:
        save_weights(tmp_path / "w", network())
    finally:
        os.umask(before)
    assert (tmp_path / "w").stat().st_mode & 0o777 == mode
