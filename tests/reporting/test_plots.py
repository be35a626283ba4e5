"""Figures: drawn from what is there, with a note where something is missing; the notebook runs on such a study."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from safetensors.numpy import save_file
from study_rows import ROWS, constant, write_result

from dyads.contract import read_manifest
from dyads.errors import DataError
from evaluation.clips import read_truth
from reporting.plots import (
    context_sweep,
    expression_trace,
    filmstrip,
    learning_curves,
    metric_points,
    pick_dialogues,
    read_study,
    read_trace,
    save,
)
from reporting.plots.study_files import runs
from reporting.tables import TableOptions, write_tables

HEADER = (
    "dataset,split,dyad_id,role,subject_id,video,audio,audio_channel,mixed_audio,fps,width,height,licence,crop,sha256\n"
)
ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "paper_figures/main_results.ipynb"


def texts(figure) -> str:
    return "\n".join(text.get_text() for axes in figure.axes for text in axes.texts)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A tiny world whose true videos serve as ECHO's; `other` has results but neither videos nor features."""
    results = tmp_path_factory.mktemp("study")
    data = results / "data/synthetic"
    command = [sys.executable, "-m", "dyads.synthetic", "--out", str(data), *WORLD]
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True, text=True)
    dyads = read_manifest(data, "test")
    videos = results / "videos/echo/seed0"
    videos.mkdir(parents=True)
    tensors = {}
    for dyad in dyads:
        (videos / f"{dyad.dyad_id}.mp4").write_bytes(Path(dyad.avatar.video).read_bytes())
        truth = read_truth(dyad)
        series = {"generated": truth.avatar, "true": truth.avatar, "expected": truth.expected, "truth": truth.avatar}
        series |= {"reference": truth.avatar[0], "speaking": truth.speaking.astype(np.float32)}
        series |= {"image_generated": truth.avatar, "image_true": truth.avatar, "user": truth.user}
        tensors |= {f"{dyad.dyad_id}/{key}": np.array(value, np.float32) for key, value in series.items()}
        marks = {"emotion": truth.emotion, "cue": truth.cue}
        tensors |= {f"{dyad.dyad_id}/{key}": np.array(value, np.uint8) for key, value in marks.items()}
    files = [write_result(results / "metrics", name, 0, constant(0.4)) for name in ("echo", "other", "truth")]
    about = {"names": list(truth.names), "emotions": list(truth.emotions)}
    meta = {"meta": json.dumps(about | {"method": "echo", "seed": 0, "probe": "motion"})}
    save_file(tensors, results / "metrics/echo/seed0.features.safetensors", meta)
    write_tables(files, ROWS, TableOptions(), results / "tables")
    return results


WORLD = ("--options", json.dumps({"train": 2, "test": 2, "size": 32, "seconds": [4.0, 4.5]}))


def test_a_study_lists_every_row_once(study):
    rows = read_study(study).rows
    assert sorted(rows["method"]) == sorted(ROWS)
    assert list(rows["group"].drop_duplicates()) == ["main", "baseline", "ablation", "control"]


def test_a_control_without_the_wanted_seed_shows_its_own(study):
    assert read_study(study).seed("echo", 7) == 0


def test_filmstrip_shows_gaps_and_is_saved_twice(study, tmp_path):
    here = read_study(study)
    shown = pick_dialogues(here.data, 2)
    figure = filmstrip(here.data, {"ECHO": here.videos("echo", 0), "Other": here.videos("other", 0)}, shown, columns=4)
    assert texts(figure).count("seed 0: no video") == 2  # one for each dialogue
    save(figure, tmp_path / "film")
    assert (tmp_path / "film.pdf").read_bytes()[:4] == b"%PDF"
    assert Image.open(tmp_path / "film.png").convert("L").getextrema()[0] < 50
    labels = [text.get_text() for axes in figure.axes for text in axes.get_yticklabels()]
    assert labels[:4] == ["user", "truth", "ECHO", "Other"]


def test_filmstrip_refuses_an_unknown_dialogue(study):
    with pytest.raises(DataError, match="nobody"):
        filmstrip(read_study(study).data, {}, ["nobody"])


def test_a_trace_is_change_from_the_reference(study):
    here = read_study(study)
    dyad = read_manifest(here.data, "test")[0]
    truth = read_truth(dyad)
    smile = truth.names.index("smile")
    lines = read_trace(here.features("echo", 0), dyad.dyad_id, "smile", oracle=True)
    np.testing.assert_allclose(lines["generated video"], truth.avatar[:, smile] - truth.avatar[0, smile], atol=1e-6)
    np.testing.assert_allclose(lines["oracle"], truth.expected[:, smile] - truth.avatar[0, smile], atol=1e-6)


def test_traces_say_what_is_missing(study):
    here = read_study(study)
    shown = pick_dialogues(here.data, 1)
    files = {"ECHO": here.features("echo", 0), "Other": here.features("other", 0)}
    assert texts(expression_trace(files, shown)).count("seed 0: no readings kept") == 1
    assert read_trace(files["ECHO"], "nobody", "smile", True) == "seed 0: no usable video"
    assert read_trace(files["ECHO"], shown[0], "wings", True) == "the probe has no wings"


def test_points_stand_at_their_values(tmp_path):
    pairs = ((0, 0.2), (1, 0.6))
    files = [write_result(tmp_path / "metrics", "echo", seed, constant(value)) for seed, value in pairs]
    write_tables(files, {}, TableOptions(), tmp_path / "tables")
    (tmp_path / "data/none").mkdir(parents=True)
    (tmp_path / "data/none/manifest.csv").write_text(HEADER)
    rows = pd.DataFrame({"method": ["echo", "gone"], "label": ["ECHO", "Gone"], "group": ["main", "main"]})
    figure = metric_points(read_study(tmp_path), ("ssim/frame",), rows)
    points, mean = figure.axes[0].lines
    assert sorted(points.get_xdata()) == pytest.approx([0.2, 0.6]) and mean.get_xdata()[0] == pytest.approx(0.4)
    assert "not_run" in texts(figure)


def test_runs_cover_the_series():
    assert runs(np.array([0, 0, 1, 1, 1, 0])) == [(0, 2), (2, 5), (5, 6)]
    assert runs(np.zeros(0)) == []


@pytest.mark.parametrize("path", sorted((ROOT / "paper_figures").glob("*.ipynb")), ids=lambda path: path.stem)
def test_the_notebook_is_clean(path):
    notebook = json.loads(path.read_text())
    assert notebook["metadata"]["kernelspec"]["name"] == "python3" and "language_info" in notebook["metadata"]
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["metadata"].get("tags") for cell in code].count(["parameters"]) == 1
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


@pytest.mark.slow
def test_the_notebook_runs_with_a_method_missing(study, tmp_path):
    done = tmp_path / "main_results.ipynb"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    for command in (
        ["papermill", str(NOTEBOOK), str(done), "--no-progress-bar", "--cwd", str(ROOT), "-p", "results", str(study)],
        ["nbconvert", "--to", "html", "--no-input", "--output-dir", str(tmp_path), "--output", "page.html", str(done)],
    ):
        result = subprocess.run([sys.executable, "-m", *command], env=environment, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
    assert (tmp_path / "page.html").read_text().count('src="data:image/png') == 3
    assert {path.suffix for path in (study / "figures").iterdir()} == {".png", ".pdf"}


@pytest.fixture
def sweep(study, tmp_path):
    """Two rows of a context sweep with two seeds, and the training log of one row."""
    files = []
    for row, context, value in (("context_0s", 24, 0.1), ("context_4s", 124, 0.5), ("echo", 192, 0.9)):
        for seed in (0, 1):
            files.append(write_result(tmp_path / "metrics", row, seed, constant(value + 0.1 * seed)))
            model = {"context": context} | ({"limit": True} if row != "echo" else {})
            path = tmp_path / f"models/{row}/seed{seed}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"options": {"model": model}}))
    write_tables(files, {}, TableOptions(), tmp_path / "tables")
    shutil.copytree(study / "data", tmp_path / "data")
    log = tmp_path / "checkpoints/echo/seed0/train.jsonl"
    log.parent.mkdir(parents=True)
    log.write_text("".join(json.dumps({"step": 50 * k, "lips": 1 / k, "face": 2 / k}) + "\n" for k in range(1, 6)))
    return tmp_path


def test_the_sweep_holds_rows_that_know_their_window_alone(sweep):
    axes = context_sweep(read_study(sweep), ("ssim/frame",)).axes[0]
    points, mean = axes.lines
    assert sorted(points.get_xdata()) == [0, 0, 4, 4]
    assert list(mean.get_xdata()) == [0, 4] and list(mean.get_ydata()) == pytest.approx([0.15, 0.55])
    shutil.rmtree(sweep / "models")
    assert "no row of the sweep" in texts(context_sweep(read_study(sweep), ("ssim/frame",)))


def test_learning_curves_are_those_of_the_training_log(sweep):
    study = read_study(sweep)
    figure = learning_curves(study, ["echo", "gone"])
    lips, face = (axes.lines for axes in figure.axes)
    assert len(lips) == 1 and list(lips[0].get_xdata()) == [50, 100, 150, 200, 250]
    assert list(face[0].get_ydata()) == pytest.approx([2 * y for y in lips[0].get_ydata()])
    below = " ".join(figure.get_supxlabel().split())
    assert "echo, seed 1 (no journal with lips)" in below and "gone, every seed (no journal with face)" in below
    assert texts(learning_curves(study, ["gone"])).count("no training kept its log") == 2
    (sweep / "checkpoints/echo/seed0/train.jsonl").write_text("{")
    with pytest.raises(DataError, match="no JSON"):
        learning_curves(study, ["echo"])
