"""Every data set's layout from the tree on disk to trained weights: the real commands, one after the other."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dyads import check
from dyads.adapters.__main__ import main as adapt
from dyads.contract import read_manifest
from dyads.layouts.others import write_hdtf, write_realtalk, write_vico
from dyads.layouts.seamless import plain, write_seamless
from dyads.synthetic.recordings import write_recordings
from echo_model.commands import encode, understand
from training import fit
from training.engine.weights import read_tensors
from training.shipped import shipped

SECONDS = 4.0
WRITE: dict[str, Callable[[Path], object]] = {
    "seamless": lambda root: write_seamless(root, plain(1, 1, SECONDS), height=96),
    "realtalk": write_realtalk,
    "vico": lambda root: write_vico(root, ("train", "ood"), SECONDS),
    "hdtf": write_hdtf,
    "folder": lambda root: write_recordings(root, train=1, test=1, seconds=SECONDS),
}
OWN = {"hdtf": {"test_videos": 1}}  # the paper's 50 would leave nothing to train on
ECHO = {
    "model": {"d": 32, "blocks": 1},
    "stage": {"align_weight": 0.0},
    "train": {"steps": 2, "batch_size": 2, "warmup_steps": 1, "learning_rate": 1.0e-3},
}


def command(main: Callable, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int | None:
    """A command that takes its arguments from the command line."""
    monkeypatch.setattr(sys, "argv", ["command", *map(str, arguments)])
    return main()


@pytest.mark.parametrize("kind", WRITE)
def test_a_tree_on_disk_is_adapted_checked_encoded_and_trained_on(kind: str, tmp_path: Path, monkeypatch):
    root, data, features, context = (tmp_path / name for name in ("Daten ü", "data", "features", "context"))
    WRITE[kind](root)
    options = {"size": 64, "crop": "centre", **OWN.get(kind, {})}
    listed = ["--pairs", str(root / "pairs.csv")] if kind == "folder" else []
    assert (
        adapt(["--kind", kind, *listed, "--root", str(root), "--out", str(data), "--options", json.dumps(options)]) == 0
    )
    dyads = read_manifest(data)
    assert {dyad.split for dyad in dyads} == {"train", "test"}

    command(encode.main, monkeypatch, "--data", data, "--vae", shipped("vae"), "--out", features)
    given = ("--features", features, "--phi", shipped("phi"))
    command(understand.main, monkeypatch, "--data", data, *given, "--out", context)
    assert command(check.main, monkeypatch, data, "--features", features) == 0
    weights = tmp_path / "echo" / "seed0.safetensors"
    backbones = {"vae": str(shipped("vae")), "phi": str(shipped("phi")), "context": str(context)}
    fit.main([
        "--method", "echo", "--class", "echo_model.method:Echo", "--data", str(data), "--features", str(features),
        "--backbones", json.dumps(backbones), "--options", json.dumps(ECHO), "--seed", "0",
        "--checkpoints", str(tmp_path / "checkpoints"), "--out", str(weights),
    ])  # fmt: skip
    assert all(np.isfinite(tensor.numpy()).all() for tensor in read_tensors(weights).values())
