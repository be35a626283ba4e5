"""Shipped backbones and readers: small, whole, as their cards and today's code say, and copied only when unharmed."""

import json
from pathlib import Path

import pytest
import torch
import yaml

import training.shipped.__main__ as command
from baselines.motion.train_renderer import load_renderer
from dyads.errors import DataError
from echo_model.backbones.frames import FrameOptions
from echo_model.commands.train_phi import load_phi
from echo_model.commands.train_vae import load_vae
from evaluation.fits.__main__ import options_of
from evaluation.probes.store import PROBES, load_probe
from training.engine.checkpoint import sha256_file
from training.engine.weights import read_meta, save_weights
from training.options import TrainOptions, plain
from training.shipped import BACKBONES, FOLDERS, HERE, MOST_BYTES, READERS, card_of, set_hash, shipped

ROOT = Path(__file__).resolve().parents[2]
MAKING = yaml.safe_load((ROOT / "workflow/backbones.yaml").read_text())
LOAD = {"vae": load_vae, "renderer": load_renderer, "phi": load_phi}


def test_all_are_there_within_their_size():
    files = [path for path in HERE.rglob("*") if path.suffix in (".safetensors", ".json")]
    assert {path.stem for path in files} == set(FOLDERS) == {*BACKBONES, *READERS}
    assert sum(path.stat().st_size for path in files) <= MOST_BYTES


@pytest.mark.parametrize("name", FOLDERS)
def test_a_card_tells_the_file_how_it_was_made_and_how_good_it_is(name):
    card = card_of(name)
    assert card["name"] == name and card["sha256"] == sha256_file(shipped(name))
    world = "generators" if name in BACKBONES else "readers"
    assert card["data"]["seeds"] == MAKING[world]["seeds"]
    assert card["quality"] and all(value is not None for value in card["quality"].values())
    assert card["seed"] == (MAKING["seed"] if name in BACKBONES else MAKING["probes"]["seed"])


def trained(recorded):
    """Recorded options of a training, with what is an option only since then at its default: it was done so."""
    return recorded if recorded is None else plain(TrainOptions(**recorded))


@pytest.mark.parametrize("name", BACKBONES)
def test_a_backbone_is_what_todays_code_and_options_would_make(name):
    options, making = card_of(name)["options"], MAKING[name]
    asked = plain(TrainOptions(**making["train"]))
    assert trained(options["train"]) == asked, "the recorded training is another; run make backbones"
    if name != "phi":
        assert options["frames"] == json.loads(json.dumps(plain(FrameOptions(**making["frames"]))))
        assert {key: options["model"][key] for key in making["model"]} == making["model"]
    network = LOAD[name](shipped(name))
    stored = read_meta(shipped(name))["options"]
    assert plain(network.options) == plain(stored)
    told = {key: stored[key] for key in ("coefficients",) if key in stored}  # the world's, no option
    assert plain(network.options) == plain(type(network.options)(**MAKING[name].get("model", {}), **told))
    assert all(tensor.dtype != torch.float16 for tensor in network.state_dict().values())


@pytest.mark.parametrize("name", READERS)
def test_a_reader_is_what_todays_code_and_options_would_make(name):
    own, shared = options_of(MAKING["probes"], name)
    options = card_of(name)["options"]
    recorded = options[name] | {"train": trained(options[name]["train"])}
    assert recorded == json.loads(json.dumps(plain(own))) and options["seed"] == shared.seed
    probe, meta = load_probe(shipped(name), PROBES[name])
    assert meta["datasets"] == ["synthetic"]


def test_a_harmed_file_is_not_copied(tmp_path, monkeypatch):
    card = card_of("phi")
    (tmp_path / "phi.safetensors").write_bytes(shipped("phi").read_bytes()[:-1] + b"x")
    monkeypatch.setattr(command, "shipped", lambda name: tmp_path / "phi.safetensors")
    with pytest.raises(DataError, match="install the package again"):
        command.take("phi", tmp_path / "out")
    assert not (tmp_path / "out/phi.safetensors").exists() and card["sha256"]


def test_a_copy_says_where_it_is_from(tmp_path):
    command.take("phi", tmp_path)
    said = json.loads((tmp_path / "phi.json").read_text())
    assert said["shipped"] == "phi" and said["sha256"] == sha256_file(tmp_path / "phi.safetensors")
    assert said["set"] == set_hash() and said["card"] == card_of("phi")


def test_packing_halves_large_tensors_and_refuses_what_does_not_fit(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "shipped", lambda name: tmp_path / f"shipped/{name}.safetensors")
    module = torch.nn.Linear(64, 64)
    save_weights(tmp_path / "phi.safetensors", module, {"options": {}})
    (tmp_path / "phi.json").write_text(json.dumps({"options": {"a": 1}, "seed": 3, "weights": {}}))
    command.pack("phi", tmp_path / "phi.safetensors", {"seeds": [1]}, {"good": 1.0})
    card = json.loads((tmp_path / "shipped/phi.json").read_text())
    assert card["quality"] == {"good": 1.0} and card["seed"] == 3 and "weights" not in card
    assert (tmp_path / "shipped/phi.safetensors").stat().st_size < 0.7 * (tmp_path / "phi.safetensors").stat().st_size
    with torch.no_grad():
        module.weight[0, 0] = 1e5
    save_weights(tmp_path / "phi.safetensors", module, {"options": {}})
    with pytest.raises(DataError, match="float32"):
        command.pack("phi", tmp_path / "phi.safetensors", {}, {})
