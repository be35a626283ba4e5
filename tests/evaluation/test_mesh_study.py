"""A study of recordings tells what a folder of the same videos tells: points and shapes of faces by both routes."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dyads.contract import load_arrays, read_manifest
from dyads.media.video import write_video
from dyads.synthetic.world import WorldOptions, write_world
from evaluation import run
from evaluation.probes.mesh import MeshProbe
from evaluation.probes.store import save_probe
from evaluation.readings.stored import read_features
from evaluation.registry import cards
from reporting.score.__main__ import main as score

METRICS = (
    *("lmd", "lvd", "displacements", "lve", "mve", "fdd", "mod", "vico", "e_fid", "aed", "motion_mse", "motion_fd"),
    *("rpcc", "var", "lve_controls"),
)
KEY = ["clip", "metric", "part"]


@pytest.fixture(scope="module")
def late(tmp_path_factory) -> Path:
    """data/: a drawn dialogue without its truth; videos/: the avatar six frames late; true/, user/: as they are."""
    root = tmp_path_factory.mktemp("late")
    write_world(root / "data", WorldOptions(train=0, test=1, size=96, seconds=(4.0, 4.0), workers=1), progress=False)
    for truth in (root / "data").rglob("truth.safetensors"):
        truth.unlink()
    (dyad,) = read_manifest(root / "data", "test")
    arrays = load_arrays(dyad, ("avatar",))
    frames = arrays.avatar_frames
    late = np.concatenate([frames[:1].repeat(6, 0), frames[:-6]])
    write_video(root / "videos" / f"{dyad.dyad_id}.mp4", late, arrays.avatar_audio)
    for folder, side in (("true", dyad.avatar), ("user", dyad.user)):
        (root / folder).mkdir()
        shutil.copy(side.video, root / folder / f"{dyad.dyad_id}.mp4")
    return root


def study(late: Path, probes: Path, out: Path) -> pd.DataFrame:
    run.main([
        "--method", "late", "--videos", str(late / "videos"), "--data", str(late / "data"), "--probes", str(probes),
        "--out", str(out), "--options", json.dumps({"metrics": METRICS}),
    ])  # fmt: skip
    return pd.read_csv(out).set_index(KEY)


def test_a_study_of_recordings_has_what_a_folder_of_videos_has(late: Path, probes: Path, tmp_path: Path, monkeypatch):
    save_probe(probes / "motion.safetensors", MeshProbe(), "mesh", {}, {})
    seen = []
    track = MeshProbe.track
    monkeypatch.setattr(MeshProbe, "track", lambda self, frames, *name: seen.append(len(frames)) or track(self, frames))
    first = study(late, probes, tmp_path / "a" / "seed0.csv")
    assert seen == [100, 100, 1, 100]  # true, user, reference, generated
    again = study(late, probes, tmp_path / "b" / "seed0.csv")
    assert seen[4:] == [100]  # what was found in the true videos is known
    pd.testing.assert_frame_equal(first, again)
    # 22 kB a frame: not with the row's readings; the true faces' points lie once beside the probe
    (clip,) = read_features(tmp_path / "a" / "seed0.features.safetensors")[0].values()
    assert clip["generated"].shape == (100, 67) and not [key for key in clip if key.startswith(("points", "vertices"))]
    (kept,) = (probes / "readings").glob("*/*.safetensors")
    assert kept.stat().st_size < 100 * 468 * 3 * 4 + 200

    assert not score([
        "--generated", f"late={late / 'videos'}", "--true", str(late / "true"), "--user", str(late / "user"),
        "--out", str(tmp_path / "score"), "--no-page", "--metrics", *METRICS,
    ])  # fmt: skip
    folder = pd.read_csv(tmp_path / "score" / "rows.csv").set_index(KEY)
    both = pd.concat([first, folder.add_suffix("_folder")], axis=1, join="inner")
    both = both[~both.index.get_level_values("metric").str.endswith("_small")]  # of a probe that only a study has
    pd.testing.assert_series_equal(both["status"], both["status_folder"], check_names=False)
    # the neutral face is kept in single precision
    np.testing.assert_allclose(both["value"], both["value_folder"], rtol=2e-5, atol=1e-7)
    defined = set(both.index[both["status"] == "ok"].get_level_values("metric"))
    known = {card.name for card in cards().values()}
    wanted = {"lmd_sum", "m_lmd", "lvd", "akd", "lve", "mve", "fdd", "mod", "e_fid", "motion_fd_clip", "aed_dlib"}
    wanted |= {"mod_landmarks", "mod_landmarks_normalised", "lve_controls"}
    assert wanted <= known and wanted <= defined
    assert float(both.loc[(slice(None), "m_lmd"), "value"].iloc[0]) > 0.1  # six frames late
