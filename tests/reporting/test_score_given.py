"""Numbers of other extractors beside the scored videos: what each metric makes of them, and what does not fit."""

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from dyads.errors import ConfigError
from dyads.media.video import write_video
from reporting.score.__main__ import main

T, V, SIDE = 12, 40, 128
METRICS = ("lve", "fdd", "mod", "mve", "vico", "e_fid", "aed", "displacements", "lmd", "lve_controls", "samples")
REGIONS = {"lips": [0, 1, 2], "upper": [10, 11], "openings": [[0, 1]]}


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """made/ and true/: a grey video each, in which no face is seen, twice as large in made/; numbers beside both."""
    g = np.random.default_rng(0)
    truth = {
        "expression": g.standard_normal((T, 5)),
        "angle": g.standard_normal((T, 3)),
        "vertices": g.standard_normal((T, V, 3)),
        "landmarks": g.uniform(20, 100, (T, 68, 2)),
        "openface": np.eye(128)[[0] * T],
    }
    vertices = truth["vertices"].copy()
    vertices[: T // 2, 1] += [0, 0, 3]  # one lip vertex 3 off in half of the frames, 1 in the others
    vertices[T // 2 :, 1] += [0, 0, 1]
    made = {
        "expression": truth["expression"] + 0.5,
        "angle": truth["angle"] - 0.1,
        "vertices": vertices,
        "landmarks": 2 * (truth["landmarks"] + [3, 4]),
        "openface": np.eye(128)[[1] * T],
    }
    for name, numbers, side in (("true", truth, SIDE), ("made", made, 2 * SIDE)):
        write_video(tmp_path / name / "one.mp4", np.full((T, side, side, 3), 90, np.uint8), None)
        np.savez(tmp_path / name / "one.npz", extractor=np.array("bfm 1"), **numbers)
    (tmp_path / "regions.json").write_text(json.dumps(REGIONS))
    return tmp_path


def score(folders: Path, *more: object, code: int = 0) -> tuple[pd.DataFrame, str]:
    out = folders / "out"
    given = ("--generated", folders / "made", "--true", folders / "true", "--out", out, "--no-page", *more)
    assert main([*map(str, given), "--metrics", *METRICS]) == code
    with open(out / "files.csv", encoding="utf-8") as handle:
        notes = next(csv.DictReader(handle))["notes"]
    return pd.read_csv(out / "rows.csv").set_index(["clip", "metric", "part"]), notes


def test_given_numbers_have_their_closed_forms(folders: Path):
    rows, _ = score(folders, "--regions", folders / "regions.json")
    wanted = {
        ("one", "exp_distance", "expression"): 0.5,
        ("one", "angle_distance", "angle"): 0.1,
        ("one", "lve", "lips"): 5.0,
        ("one", "lve_root", "lips"): 5**0.5,
        ("one", "fdd", "upper"): 0.0,
        ("one", "aed", "frame"): 2.0,
        ("one", "akd", "face"): 3.5 * 256 / SIDE,  # the points of a picture twice as large are brought to the truth's
        ("one", "f_lmd", "face"): 0.0,
    }
    for key, value in wanted.items():
        assert rows.loc[key, "status"] == "ok", key
        assert rows.loc[key, "value"] == pytest.approx(value, abs=2e-5), key
    assert rows.loc[("*", "e_fid", "expression"), "value"] == pytest.approx(5 * 0.5**2, rel=1e-4)
    assert rows.loc[("one", "trans_distance", "translation"), "status"] == "no_truth"  # nobody gave any


def test_a_mesh_needs_its_regions(folders: Path):
    rows, _ = score(folders)
    assert {rows.loc[("one", m, p), "status"] for m, p in (("lve", "lips"), ("fdd", "upper"))} == {"no_regions"}
    assert rows.loc[("one", "mve", "all"), "value"] == pytest.approx(2 / V, rel=1e-5)


def beside(folders: Path, **changed: np.ndarray) -> None:
    path = folders / "made" / "one.npz"
    with np.load(path) as held:
        np.savez(path, **{**held, **changed})


FAULTS = {
    "another extractor": ({"extractor": np.array("flame")}, "of bfm 1 and flame cannot be compared; give"),
    "another length": (
        {"openface": np.zeros((9, 128))},
        r"one\.npz: 9 rows, but one\.mp4 has 12 frames at 25 .*; extract",
    ),
    "another shape": ({"landmarks": np.zeros((T, 5, 2))}, r"landmarks must be numbers \(T, 68, 2\), got .*; write"),
    "another mesh": ({"vertices": np.zeros((T, 8, 3))}, "upper has vertex 11, the mesh has 8; give"),
    "a pickle": ({"openface": np.array([{}])}, "without pickle"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_does_not_fit_is_left_out_and_said(folders: Path, fault: str, capsys):
    changed, words = FAULTS[fault]
    beside(folders, **changed)
    rows, notes = score(folders, "--regions", folders / "regions.json", code=2)  # no face, no number: no value at all
    assert "no metric has a value" in capsys.readouterr().err
    assert rows.loc[("one", "aed", "frame"), "status"] == "weights_missing"
    assert notes.count("given numbers are left out") == 1 and pd.Series([notes]).str.contains(words).all(), notes


def test_names_and_safetensors(folders: Path):
    """Columns that are called yaw, pitch and roll are the head's, all others the expression's."""
    names = ["smile", "yaw", "pitch", "roll"]
    for name, moved in (("true", 0), ("made", 1)):
        (folders / name / "one.npz").unlink()
        values = np.zeros((T, 4), np.float32) + moved * np.array([0.5, 0.1, 0.1, 0.1], np.float32)
        meta = {"names": json.dumps(names), "extractor": "own"}
        save_file({"values": values}, folders / name / "one.safetensors", meta)
    rows, _ = score(folders)
    assert rows.loc[("one", "exp_distance", "expression"), "value"] == pytest.approx(0.5)
    assert rows.loc[("one", "angle_distance", "angle"), "value"] == pytest.approx(0.1)


def test_controls_of_a_rig_are_known_by_their_names(folders: Path):
    names = np.array(["smile", "CTRL_jawOpen", "mouthPucker", "eyelidClose", "yaw", "pitch", "roll"])
    for name, moved in (("true", 0), ("made", 1)):
        (folders / name / "one.npz").unlink()
        values = np.zeros((T, 7)) + moved * np.array([9, 0.3, 0.4, 9, 1, 1, 1])
        values[0] = np.nan  # no face
        np.savez(folders / name / "one.npz", extractor="own", names=names, values=values)
    rows, _ = score(folders)
    assert rows.loc[("one", "lve_controls", "lips"), "value"] == pytest.approx(0.5)
    beside(folders, values=np.where(np.arange(T)[:, None] < 3, np.nan, 1.0) * np.ones(7))
    assert score(folders)[0].loc[("one", "lve_controls", "lips"), "status"] == "no_face"


def test_openings_of_given_landmarks(folders: Path):
    """In a picture twice as large, sqrt 3 pixels of the truth's 128: twice as many of 256."""
    points = np.random.default_rng(0).uniform(20, 100, (T, 68, 2))
    points[:, 51] = points[:, 57] - [0, 10]
    points[:, 36], points[:, 45] = [30, 40], [70, 40]
    np.savez(folders / "true" / "one.npz", extractor="bfm 1", landmarks=points)
    points[:, 51] -= [0, 3**0.5]
    np.savez(folders / "made" / "one.npz", extractor="bfm 1", landmarks=2 * points)
    rows, _ = score(folders)
    assert rows.loc[("one", "mod_landmarks", "mouth"), "value"] == pytest.approx(2, rel=1e-5)
    assert rows.loc[("one", "mod_landmarks_normalised", "mouth"), "value"] == pytest.approx(2 / 80, rel=1e-5)


def sample(folders: Path, name: str, shift: float, frames: int = T, vertices: int = V) -> Path:
    """A folder with a sample that lies `shift` beside the truth."""
    write_video(folders / name / "one.mp4", np.full((frames, SIDE, SIDE, 3), 90, np.uint8), None)
    with np.load(folders / "true" / "one.npz") as held:
        moved = np.resize(held["vertices"] + [shift, 0, 0], (frames, vertices, 3))
    np.savez(folders / name / "one.npz", extractor="bfm 1", vertices=moved)
    return folders / name


def test_samples_on_both_sides_of_the_truth(folders: Path):
    """The check of the literature: at truth + 1 and truth - 1 MEE is 0 and CE 1."""
    given = ("--regions", folders / "regions.json")
    sample(folders, "made", 1)
    further = [word for k in range(9) for word in ("--samples", sample(folders, f"more{k}", (-1) ** (k + 1)))]
    rows, _ = score(folders, *given, *further[:2])
    wanted = {"mee": ("lips", 0), "coverage_error": ("lips", 1), "diversity_of_all": ("all", 2)}
    for metric, (part, value) in wanted.items():
        assert rows.loc[("one", metric, part), "value"] == pytest.approx(value, abs=1e-5), metric
    assert rows.loc[("one", "diversity", "all"), "status"] == "too_few_samples"
    rows, _ = score(folders, *given, *further)
    assert rows.loc[("one", "diversity_of_all", "all"), "value"] == pytest.approx(2 * 25 / 45, rel=1e-5)
    unlike = rows.loc[("one", "diversity", "all"), "value"] / 2 * 5  # of five pairs, those on both sides of the truth
    assert unlike == pytest.approx(round(unlike), abs=1e-5) and round(unlike) in (1, 3, 5)
    rows, _ = score(folders, *given)
    assert set(rows.loc["one"].loc[[*wanted, "diversity"], "status"]) == {"too_few_samples"}


@pytest.mark.parametrize(
    ("changed", "status", "words"),
    [
        ({"frames": T - 2}, "length_mismatch", "a sample of 10 frames, the first has 12"),
        ({"vertices": 8}, "no_face", "upper has vertex 11, the mesh has 8"),
        ({"vertices": V + 1}, "length_mismatch", ""),
        (None, "missing_video", "no such sample"),
    ],
)
def test_a_sample_that_does_not_fit_leaves_no_value(folders: Path, changed: dict | None, status: str, words: str):
    """Fewer samples would be another metric."""
    sample(folders, "made", 1)
    sample(folders, "more", -1, **(changed or {}))
    if changed is None:
        for path in list((folders / "more").iterdir()):
            path.rename(path.with_stem("two"))
    rows, notes = score(folders, "--samples", folders / "more", "--regions", folders / "regions.json")
    for metric, part in (("mee", "lips"), ("coverage_error", "lips"), ("diversity_of_all", "all")):
        assert rows.loc[("one", metric, part), "status"] == status
    assert words in notes and rows.loc[("one", "lve", "lips"), "status"] == "ok"


@pytest.mark.parametrize("text", ["{", "[1]", '{"lips": [[1]]}', '{"nose": [1]}', '{"lips": [-1]}', '{"lips": "all"}'])
def test_wrong_regions_are_refused(folders: Path, text: str):
    (folders / "regions.json").write_text(text)
    with pytest.raises(ConfigError, match="--regions .*; (give|correct)"):
        score(folders, "--regions", folders / "regions.json")
