"""`training.fit` and `training.generate` with a toy method on a tiny data folder."""

import csv
import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file
from toy_training import ToyMethod, run

from dyads.contract import COLUMNS, file_sha256, read_manifest, write_manifest
from dyads.errors import ConfigError, DataError
from dyads.media.video import probe, read_video, write_video, write_wav
from training import fit, generate
from training.engine.checkpoint import lock
from training.errors import MethodError, TrainingError
from training.method import Method, Resources, load_class

ROOT = Path(__file__).resolve().parents[2]
FRAMES, SIZE = 10, 32
CLASS = "toy_training:ToyMethod"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two training and three test dyads of ten grey frames with a tone."""
    folder, rows = tmp_path_factory.mktemp("data"), []
    tone = (0.1 * np.sin(np.arange(FRAMES * 640) / 7)).astype(np.float32)
    for split, names in {"train": ("a0", "a1"), "test": ("b0", "b1", "b2")}.items():
        for name in names:
            place = folder / split / name
            for role in ("user", "avatar"):
                write_video(place / f"{role}.mp4", np.full((FRAMES, SIZE, SIZE, 3), 90, np.uint8), tone)
                write_wav(place / f"{role}.wav", tone)
                row = dict.fromkeys(COLUMNS, "")
                row.update(dataset="toy", split=split, dyad_id=name, role=role, subject_id=f"{name}-{role}")
                row.update(video=f"{split}/{name}/{role}.mp4", audio=f"{split}/{name}/{role}.wav", fps=25)
                row.update(mixed_audio="false", width=SIZE, height=SIZE, licence="CC0", crop="synthetic")
                rows.append({**row, "sha256": file_sha256(place / f"{role}.mp4")})
            (place / "turns.jsonl").write_text("")
    write_manifest(folder, rows)
    return folder


def arguments(data, **options):
    return [
        "--method",
        "toy",
        "--class",
        CLASS,
        "--data",
        str(data),
        "--options",
        json.dumps(options),
        "--seed",
        "2",
    ]


@pytest.fixture(scope="module")
def weights(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    out = folder / "toy" / "seed2.safetensors"
    fit.main([*arguments(data), "--checkpoints", str(folder / "checkpoints"), "--out", str(out)])
    return out


def make(data, weights, out, **options):
    generate.main([*arguments(data, **options), "--weights", str(weights), "--out", str(out)])


def index(out):
    with open(out / "index.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_fit_writes_weights_and_card(data, weights):
    assert load_file(weights).keys() == {"weight", "bias"}
    card = json.loads(weights.with_suffix(".json").read_text())
    assert card["card"]["parameters"] == 4 and card["dyads"] == 2 and card["seed"] == 2
    assert card["weights"]["result"] == file_sha256(weights)
    again = weights.with_name("again.safetensors")
    fit.main([*arguments(data), "--checkpoints", str(weights.parents[1] / "checkpoints"), "--out", str(again)])
    assert file_sha256(again) == file_sha256(weights)


def test_fit_of_a_control_writes_empty_weights(data, tmp_path):
    out = tmp_path / "w.safetensors"
    fit.main([*arguments(data, control=True), "--checkpoints", str(tmp_path / "c"), "--out", str(out)])
    assert load_file(out) == {}


def test_generate(data, weights, tmp_path):
    make(data, weights, tmp_path)
    expected = [
        {"dyad_id": name, "file": f"{name}.mp4", "frames": "10", "seconds": "0.40", "status": "ok"}
        for name in ("b0", "b1", "b2")
    ]
    assert index(tmp_path) == expected
    video = read_video(tmp_path / "b1.mp4")
    assert video.shape == (FRAMES, SIZE, SIZE, 3) and abs(video.mean() - 82) < 3
    assert probe(tmp_path / "b1.mp4").has_audio
    provenance = json.loads((tmp_path / "provenance.json").read_text())
    assert provenance["frames"] == 30 and provenance["weights"]["weights"] == file_sha256(weights)


def test_killed_generation_resumes(data, weights, tmp_path):
    make(data, weights, tmp_path / "whole")
    out = tmp_path / "broken"
    assert run(make, data, weights, out, kill_on="b1") == -signal.SIGKILL
    assert (out / "b0.mp4").exists() and not (out / "index.csv").exists()
    options = json.dumps({"kill_on": "b1"})  # the same options, but it no longer dies
    first = (out / "b0.mp4").stat().st_mtime_ns
    original = ToyMethod.generate
    try:
        ToyMethod.generate = lambda self, dyad, seed: original(ToyMethod({}, self.resources), dyad, seed)
        line = [*arguments(data), "--weights", str(weights), "--out", str(out)]
        line[line.index("--options") + 1] = options
        generate.main(line)
    finally:
        ToyMethod.generate = original
    assert (out / "b0.mp4").stat().st_mtime_ns == first
    for name in ("b0.mp4", "b1.mp4", "b2.mp4", "index.csv"):
        assert file_sha256(out / name) == file_sha256(tmp_path / "whole" / name)


def test_one_process_a_folder(data, weights, tmp_path):
    with lock(tmp_path), pytest.raises(TrainingError, match="is in use by another process"):
        make(data, weights, tmp_path)


def test_nothing_left_to_do_touches_no_video(data, weights, tmp_path, monkeypatch):
    make(data, weights, tmp_path)
    monkeypatch.setattr(ToyMethod, "load", None)  # would fail if called
    make(data, weights, tmp_path)
    (tmp_path / "b2.mp4").unlink()
    monkeypatch.undo()
    make(data, weights, tmp_path)
    assert (tmp_path / "b2.mp4").exists()


def test_other_options_make_all_videos_again(data, weights, tmp_path, capsys):
    make(data, weights, tmp_path, absent_on="b0")
    assert (tmp_path / "b1.mp4").exists()
    make(data, weights, tmp_path)
    assert "made again" in capsys.readouterr().err
    assert [row["status"] for row in index(tmp_path)] == ["ok"] * 3


def test_absent_answer_is_a_row_with_its_status(data, weights, tmp_path):
    make(data, weights, tmp_path, absent_on="b1")
    rows = index(tmp_path)
    assert rows[1] == {"dyad_id": "b1", "file": "", "frames": "0", "seconds": "0.00", "status": "no_truth"}
    assert not (tmp_path / "b1.mp4").exists() and rows[2]["status"] == "ok"


@pytest.mark.parametrize("wrong, got", [("shape", r"uint8 \(9, 32, 32, 3\)"), ("dtype", r"float32 \(10, 32, 32, 3\)")])
def test_wrong_frames_name_method_and_dyad(data, weights, tmp_path, wrong, got):
    with pytest.raises(MethodError, match=f"method 'toy' gave {got} for dyad 'b0'.*" + r"\(10, 32, 32, 3\)"):
        make(data, weights, tmp_path, wrong=wrong)
    assert not (tmp_path / "index.csv").exists() and not (tmp_path / "b0.mp4").exists()


def test_missing_weights_and_data(data, weights, tmp_path):
    with pytest.raises(MethodError, match="none do not exist; run training.fit for toy first"):
        make(data, tmp_path / "none", tmp_path)
    with pytest.raises(DataError):
        make(tmp_path / "nowhere", weights, tmp_path)


@pytest.mark.parametrize(
    "path, message",
    [
        ("toy_training", "not of the form pkg.module:Class"),
        ("no_such_module:X", "this module cannot be found"),
        ("training.method:Methud", "training.method has no class 'Methud'; it has .*Method"),
    ],
)
def test_unknown_classes(path, message):
    with pytest.raises(ConfigError, match=message):
        load_class(path)


def test_known_class_and_backbones(tmp_path):
    assert load_class("training.method:Method") is Method
    resources = Resources(tmp_path, backbones={"vae": tmp_path / "vae"})
    assert resources.backbone("vae") == tmp_path / "vae"
    with pytest.raises(ConfigError, match=r"backbone 'phi' is needed but was not given \(given: vae\)"):
        resources.backbone("phi")


def test_identity_sees_options_data_features_and_backbones(data, tmp_path):
    dyads = read_manifest(data)
    (tmp_path / "index.csv").write_text("1")
    (tmp_path / "vae").write_text("1")

    def identity(options, dyads=dyads):
        return json.dumps(ToyMethod(options, Resources(data, tmp_path, {"vae": tmp_path / "vae"})).identity(dyads))

    found = [identity({}), identity({"a": 1}), identity({}, dyads[1:])]
    for name in ("index.csv", "vae"):
        (tmp_path / name).write_text("2")
        found.append(identity({}))
    assert len(set(found)) == 5 and identity({}) == found[-1]


@pytest.mark.parametrize("stage", ["fit", "generate"])
def test_commands_end_with_one_sentence(data, tmp_path, stage):
    place = ["--checkpoints", "c"] if stage == "fit" else ["--weights", "w"]
    line = [sys.executable, "-m", f"training.{stage}", *arguments(data), *place, "--out", str(tmp_path / "o")]
    line[line.index(CLASS)] = "training.method:Nothing"
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.startswith("error: class 'training.method:Nothing'") and done.stderr.count("\n") == 1


def test_class_must_be_a_method(data, weights, tmp_path):
    line = arguments(data)
    line[3] = "toy_training:ToyTask"
    with pytest.raises(ConfigError, match="is not a training.method.Method"):
        generate.main([*line, "--weights", str(weights), "--out", str(tmp_path)])
