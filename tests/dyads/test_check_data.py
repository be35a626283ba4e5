"""The deep check names every fault, one a line, and its exit code says whether there are any."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from clip_factory import make_data, noise, numbered
from safetensors.torch import save_file

from dyads.check import check, main
from dyads.contract import Turn, write_turns
from dyads.features import write_features
from dyads.media.video import write_video, write_wav

ROOT = Path(__file__).parents[2]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return make_data(tmp_path / "d ü", people={"train": ["ann>bob", "bob>ann"], "test": ["cat>dan"]})


def test_the_command_gives_a_sound_folder_one_line_and_exit_code_0(data: Path):
    command = [sys.executable, "-m", "dyads.check", str(data)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{data}: 3 dyads (1 test, 2 train), 1.2 s of dialogue, no faults\n"


def test_every_fault_gets_a_line_and_exit_code_1(data: Path, monkeypatch, capsys):
    folder = data / "train" / "ann_bob"
    write_wav(folder / "user.wav", noise(100))  # of another length
    write_video(folder / "avatar.mp4", numbered(10, 32), None)  # no sound, another checksum
    write_video(data / "test/cat_dan/user.mp4", numbered(9, 32), noise(9 * 640))  # shorter, another checksum
    write_wav(data / "test/cat_dan/user.wav", noise(9 * 640))
    write_turns(data / "test/cat_dan/turns.jsonl", [Turn(0, 0.2, "user", ""), Turn(0.2, 7.0, "user", "late")])
    (data / "train/bob_ann/turns.jsonl").write_text('no\n{"start": 2, "end": 1, "role": "x", "text": ""}\n')
    monkeypatch.setattr(sys, "argv", ["check", str(data)])
    code = main()
    lines = capsys.readouterr().out.splitlines()
    wanted = [
        ("turns.jsonl line 1", "not a turn"),
        ("turns.jsonl line 2", "unknown role"),
        ("turns.jsonl line 2", "runs from 2 to 1"),
        ("user.wav", "100 samples"),
        ("avatar.mp4", "no audio stream"),
        ("avatar.mp4", "sha256"),
        ("user.mp4", "sha256"),
        ("cat_dan", "the user has 9 frames, the avatar 10"),
        ("cat_dan", "a turn ends at 7 s"),
    ]
    for place, words in wanted:
        assert any(place in line and words in line for line in lines), (place, words, lines)
    assert len(lines) == len(wanted) and code == 1
    assert all(line.startswith(str(data)) and ";" in line for line in lines)


def test_frames_that_cannot_be_decoded_are_found(data: Path):
    path = data / "train" / "ann_bob" / "user.mp4"
    content = bytearray(path.read_bytes())
    content[500:1500] = np.random.default_rng(1).bytes(1000)
    path.write_bytes(content)
    _, faults = check(data)
    assert faults and all("user.mp4" in fault for fault in faults)


def test_a_folder_without_manifest_is_one_fault(tmp_path: Path):
    _, faults = check(tmp_path)
    assert len(faults) == 1 and "there is no manifest" in faults[0]


def good_features(folder: Path) -> None:
    for dyad_id in ("ann_bob", "bob_ann", "cat_dan"):
        write_features(folder / f"{dyad_id}.safetensors", {"z": torch.zeros(10, 4), "s": torch.ones(3)}, {})


def test_sound_features_pass(data: Path, tmp_path: Path):
    good_features(tmp_path / "f")
    assert check(data, tmp_path / "f")[1] == []
    assert check(data, tmp_path / "f", {"z": "T 4", "s": "_"})[1] == []


@pytest.mark.parametrize(
    "tensors, words",
    [
        ({"z": torch.full((10, 4), float("nan")), "s": torch.ones(3)}, "tensor 'z' holds 40 NaN"),
        ({"z": torch.zeros(10, 5), "s": torch.ones(3)}, "tensor 'z' .*5.*but .*4"),
        (
            {"z": torch.zeros(9, 4), "s": torch.ones(3)},
            r"tensor 'z' has shape \(9, 4\), \(T=10 4\) is wanted",
        ),
        ({"z": torch.zeros(10, 4)}, "tensor 's' is (missing|absent)"),
        (None, "no such feature file; extract"),
    ],
)
def test_bad_features_are_named(data: Path, tmp_path: Path, tensors, words: str):
    folder = tmp_path / "f"
    good_features(folder)
    path = folder / "cat_dan.safetensors"
    path.unlink() if tensors is None else save_file(tensors, path)
    _, faults = check(data, folder, {"z": "T 4", "s": "_"})
    assert faults and all("cat_dan.safetensors" in fault and ";" in fault for fault in faults)
    assert any(re.search(words, fault) for fault in faults), faults
