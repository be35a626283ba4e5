"""The paper's profile from reading to a packaged avatar: its own options, small sizes, random checkpoints."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from dyads.contract import load_arrays, read_manifest
from dyads.errors import ConfigError
from dyads.features import read_features, write_features
from dyads.synthetic.world import WorldOptions, write_world
from echo_model.backbones.vae import FaceVAE, VAEOptions
from echo_model.commands import package, understand
from echo_model.commands.encode import encode_dyad
from echo_model.pretrained import Echo
from tests import tiny_checkpoints
from training import fit, generate
from training.engine.weights import save_weights
from training.method import Resources, load_method

ROOT = Path(__file__).resolve().parents[2]
PAPER = yaml.safe_load((ROOT / "workflow/config/paper.yaml").read_text())
SMALL = {"d": 32, "heads": 2, "blocks": 2, "clip": 24, "previous": 4, "context": 48, "phi_width": 64, "text_width": 24}
MODEL = PAPER["model"] | SMALL
OPTIONS = {"model": MODEL, "sampling": {"steps": 1}}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Two short dialogues, an untrained autoencoder, and what the three random checkpoints make of the dialogues."""
    root = tmp_path_factory.mktemp("paper")
    write_world(root / "data", WorldOptions(train=1, test=1, size=32, seconds=(4.0, 4.2), workers=1))
    torch.manual_seed(0)
    sizes = {"size": 32, "width": 16}
    save_weights(root / "vae.safetensors", FaceVAE(VAEOptions(**sizes)), {"options": sizes})
    for dyad in read_manifest(root / "data"):
        encode_dyad(dyad, root / "vae.safetensors", root / "features")
    readers = {slot: dict(PAPER[slot]) for slot in ("phi", "psi", "text")}
    for reader in readers.values():
        made = getattr(tiny_checkpoints, reader["kind"])
        reader["path"] = str(made(root / "checkpoints" / reader["kind"]))
    readers["psi"]["tokens"] = 8
    (root / "readers.json").write_text(json.dumps(readers))
    return root


def run(main, monkeypatch, root, **options):
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    monkeypatch.setattr(sys, "argv", ["stage", *words])
    monkeypatch.setenv("ECHO_DEVICE", "cpu")
    main()


def read(root, monkeypatch, out="context", model=MODEL):
    data, features = root / "data", root / "features"
    given = {"readers": f"@{root / 'readers.json'}", "model": json.dumps(model), "out": root / out}
    run(understand.main, monkeypatch, root, data=data, features=features, **given)


def arguments(root, name, cls, options):
    backbones = {"vae": str(root / "vae.safetensors"), "context": str(root / "context")}
    if name == "echo":
        backbones["stage1"] = str(root / "talking.safetensors")
    given = {"method": name, "class": f"echo_model.method:{cls}", "options": json.dumps(OPTIONS | options)}
    given |= {"data": root / "data", "features": root / "features", "backbones": json.dumps(backbones)}
    return [str(word) for key, value in given.items() for word in (f"--{key}", value)]


def train(root, name, cls, stage):
    section = PAPER[stage]
    options = {"stage": section.get("stage", {})}
    options["train"] = section["train"] | {"steps": 1, "batch_size": 2, "warmup_steps": 0}
    weights = root / f"{name}.safetensors"
    fit.main([*arguments(root, name, cls, options), "--checkpoints", str(root / "ck" / name), "--out", str(weights)])
    return weights


def test_from_reading_to_a_packaged_avatar(study, monkeypatch):
    read(study, monkeypatch)
    told = json.loads((study / "context" / "readers.json").read_text())
    assert {slot: (reader["kind"], len(reader["sha256"])) for slot, reader in told.items()} == {
        "phi": ("qwen_omni", 64),
        "psi": ("causal_lm", 64),
        "text": ("t5", 64),
    }
    train(study, "talking", "Talking", "stage1")
    weights = train(study, "echo", "Echo", "stage2")
    card = json.loads(weights.with_suffix(".json").read_text())["card"]
    assert card["pretrained"] == {slot: reader["sha256"] for slot, reader in told.items()} and card["steps"] == 2
    asked = ["--weights", str(weights), "--out", str(study / "videos"), "--seed", "3"]
    generate.main([*arguments(study, "echo", "Echo", {}), *asked])
    dyad = read_manifest(study / "data", "test")[0]
    assert (study / "videos" / f"{dyad.dyad_id}.mp4").is_file()

    given = {"weights": weights, "options": json.dumps(OPTIONS), "vae": study / "vae.safetensors"}
    given |= {"readers": f"@{study / 'context' / 'readers.json'}", "out": study / "packaged"}
    run(package.main, monkeypatch, study, **given)
    config = json.loads((study / "packaged" / "config.json").read_text())
    assert config["phi"]["sha256"] == told["phi"]["sha256"] and "You watch and hear" in config["phi"]["prompt"]
    echo = Echo.from_pretrained(study / "packaged")
    assert {name.partition(".")[0] for name in echo.state_dict()} == {"vae", "generator", "lcu"}
    arrays = load_arrays(dyad)
    frames = echo.generate(
        arrays.user_frames, arrays.user_audio, arrays.avatar_audio, arrays.reference, dyad.turns, 3, dyad.dyad_id
    )
    backbones = {"vae": study / "vae.safetensors", "context": study / "context"}
    method = load_method(
        "echo_model.method:Echo", "echo", OPTIONS, Resources(study / "data", study / "features", backbones)
    )
    method.load(weights)
    assert np.abs(frames.astype(int) - method.generate(dyad, 3)).max() <= 1  # rounding to eight bits

    (study / "checkpoints" / "t5" / "model.safetensors").rename(study / "aside")
    tiny_checkpoints.t5(study / "checkpoints" / "t5", seed=1)
    with pytest.raises(ConfigError, match="is recorded; take the checkpoint that ECHO was trained with"):
        Echo.from_pretrained(study / "packaged").stream(arrays.reference)
    (study / "aside").replace(study / "checkpoints" / "t5" / "model.safetensors")


def test_reading_resumes_and_starts_anew_where_something_changed(study, monkeypatch):
    read(study, monkeypatch, "again")
    first, second = sorted((study / "again").glob("*.safetensors"))
    truth, meta = read_features(first)
    write_features(first, truth | {"s_usr": truth["s_usr"] * 0}, meta)  # a mark, to see what is written anew
    second.unlink()
    read(study, monkeypatch, "again")
    assert not read_features(first)[0]["s_usr"].any() and second.is_file()
    read(study, monkeypatch, "again", MODEL | {"context": 72})
    assert read_features(first)[0]["s_usr"].shape[1] == 18 and read_features(first)[0]["s_usr"].any()


def test_rows_that_these_readings_do_not_serve_are_refused(study, monkeypatch):
    read(study, monkeypatch)
    backbones = {"vae": study / "vae.safetensors", "context": study / "context"}
    resources, dyad = Resources(study / "data", study / "features", backbones), read_manifest(study / "data")[0]
    for change, sentence in (
        ({"phi_width": 32}, "set model.phi_width to 64"),
        ({"context": 96}, "set model.context to 48"),
        ({"clip": 12}, "set model.clip to 24"),
        ({"limit": True, "carry": False}, "set phi, psi and text to their small kinds"),
    ):
        options = {"model": MODEL | change}
        with pytest.raises(ConfigError, match=sentence):
            load_method("echo_model.method:Echo", "echo", options, resources).dialogue(dyad)
