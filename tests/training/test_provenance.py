"""Provenance holds what it takes to make a result again, and nothing about whose machine it was."""

import getpass
import json
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
from toy_training import options

from training import provenance as module
from training.machine import machine
from training.provenance import content_hash, provenance, write_provenance

ROOT = Path(__file__).resolve().parents[2]


def test_fields(tmp_path):
    (tmp_path / "w").write_bytes(b"abc")
    weights = {"vae": tmp_path / "w", "gone": tmp_path / "none"}
    write_provenance(tmp_path / "p.json", options(), 3, weights, frames=75, protocol={"crop": "none"})
    found = json.loads((tmp_path / "p.json").read_text())
    assert found["seed"] == 3 and found["frames"] == 75 and found["protocol"] == {"crop": "none"}
    assert found["options"]["steps"] == 30 and len(found["options_hash"]) == 12
    assert found["weights"]["vae"] == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert found["weights"]["gone"] is None
    assert found["versions"]["numpy"] == np.__version__
    assert found["hardware"]["cores"] >= 1 and isinstance(found["hardware"]["gpus"], list)
    assert found["wall_seconds"] >= 0
    text = (tmp_path / "p.json").read_text()
    assert socket.gethostname() not in text and (getpass.getuser() == "root" or getpass.getuser() not in text)


def test_git_state(tmp_path, monkeypatch):
    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *arguments], check=True, capture_output=True)

    monkeypatch.setattr(module, "PROJECT", tmp_path)
    assert module.git_state() == {"git_commit": None, "git_dirty": None}  # no repository
    git("init")
    assert module.git_state()["git_commit"] is None  # a repository, but not ours
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "provenance.py").write_text("1")
    git("add", ".")
    git("commit", "-m", "first")
    clean = module.git_state()
    assert len(clean["git_commit"]) == 40 and clean["git_dirty"] is False
    (tmp_path / "training" / "provenance.py").write_text("2")
    assert module.git_state() == {**clean, "git_dirty": True}
    monkeypatch.setenv("PATH", "")
    assert module.git_state() == {"git_commit": None, "git_dirty": None}  # no git


def test_folder_hash_depends_on_names_and_contents(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_text("1")
    first = content_hash(tmp_path / "a")
    (tmp_path / "a" / "x").rename(tmp_path / "a" / "y")
    assert content_hash(tmp_path / "a") != first
    (tmp_path / "a" / "y").rename(tmp_path / "a" / "x")
    assert content_hash(tmp_path / "a") == first


def test_wall_seconds_since_start():
    import time

    assert 10 <= provenance({}, None, started=time.monotonic() - 10)["wall_seconds"] < 60


def test_the_kind_of_machine_does_not_follow_what_was_imported():
    """Other packages bring an OpenBLAS of their own: one stage imports them, another does not."""
    code = "{}; from training.machine import machine; print(machine()['kind'])"
    kinds = {
        subprocess.run([sys.executable, "-c", code.format(first)], capture_output=True, text=True, cwd=ROOT).stdout
        for first in ("import json", "import cv2, scipy.linalg", "import scipy.linalg, numpy")
    }
    assert len(kinds) == 1 and len(kinds.pop().strip()) == 12


def test_the_kind_of_machine_follows_what_decides_the_last_bits(monkeypatch):
    here = machine()
    assert here == machine() and here["capability"] and here["libraries"] and here["threads"]["torch"] >= 1
    assert socket.gethostname() not in json.dumps(here)
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: "AVX2 of another machine")
    assert machine()["kind"] != here["kind"]
    monkeypatch.undo()
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert machine()["kind"] != here["kind"]
