"""A row measured again from its readings is the same row, and nothing is decoded for it."""

import shutil

import pandas as pd
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from dyads.contract import load_arrays, read_manifest
from dyads.errors import DataError
from dyads.media.video import write_video
from evaluation import recompute, run
from evaluation.readings import clip
from evaluation.registry import cards

KEY = ["clip", "metric", "part"]


def measured(data, probes, out, change=None):
    """A method that repeats the true video ten frames late, so that no value is trivial."""
    videos = out / "videos"
    videos.mkdir(parents=True)
    for dyad in read_manifest(data, "test"):
        frames = load_arrays(dyad, ("avatar",)).avatar_frames
        write_video(videos / f"{dyad.dyad_id}.mp4", frames[[0] * 10 + list(range(len(frames) - 10))], None)
    if change:
        change(videos)
    run.main([
        "--method", "late", "--seed", "2", "--videos", str(videos), "--data", str(data),
        "--out", str(out / "seed2.csv"),
        "--probes", str(probes),
    ])  # fmt: skip
    return out / "seed2.csv", out / "seed2.features.safetensors"


def again(features, out, *more):
    recompute.main(["--features", str(features), "--out", str(out), *map(str, more)])
    return pd.read_csv(out, keep_default_na=False)


def test_the_same_values_come_out_without_decoding(world, probes, tmp_path, monkeypatch):
    rows, features = measured(world, probes, tmp_path / "first")
    shutil.rmtree(tmp_path / "first" / "videos")
    for name in ("read_video", "load_arrays"):
        monkeypatch.setattr(clip, name, None)
    old = pd.read_csv(rows, keep_default_na=False)
    new = again(features, tmp_path / "again.csv")
    needed = {card.name for card in cards().values() if card.per == "set" or card.from_readings}
    assert set(new["metric"]) == needed and {"motion_fd_clip", "fid_small", "rpcc"} <= needed
    assert (new["status"] == "ok").mean() > 0.5
    same = old[old["metric"].isin(needed)].sort_values(KEY).reset_index(drop=True)
    pd.testing.assert_frame_equal(new.sort_values(KEY).reset_index(drop=True), same)

    whole = again(features, tmp_path / "whole.csv", "--rows", rows)
    pd.testing.assert_frame_equal(
        whole.sort_values(KEY).reset_index(drop=True), old.sort_values(KEY).reset_index(drop=True)
    )


def test_a_lost_clip_stays_lost(world, probes, tmp_path):
    first = read_manifest(world, "test")[0].dyad_id
    rows, features = measured(world, probes, tmp_path / "out", lambda videos: (videos / f"{first}.mp4").unlink())
    new = again(features, tmp_path / "again.csv")
    assert set(new.loc[new["clip"].isin([first, "*"]), "status"]) == {"missing_video"}
    assert (new.loc[~new["clip"].isin([first, "*"]), "status"] == "ok").mean() > 0.5
    old = pd.read_csv(rows, keep_default_na=False).set_index(KEY)["value"]
    assert (new.set_index(KEY)["value"] == old.reindex(new.set_index(KEY).index)).all()


def test_rows_of_another_seed_and_files_without_failures_are_refused(world, probes, tmp_path):
    rows, features = measured(world, probes, tmp_path / "out")
    rows.write_text(rows.read_text().replace("late,2,", "late,3,"))
    with pytest.raises(DataError, match="is not of late seed 2"):
        again(features, tmp_path / "again.csv", "--rows", rows)
    assert not (tmp_path / "again.csv").exists()
    with safe_open(str(features), "np") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}
        meta = file.metadata()["meta"].replace('"clips"', '"before"')
    save_file(tensors, features, metadata={"meta": meta})
    with pytest.raises(DataError, match="does not say which clips failed"):
        again(features, tmp_path / "again.csv")
