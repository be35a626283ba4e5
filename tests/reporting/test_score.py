"""A folder of anyone's videos: each file's fate is said, nothing is cut to fit, and a table comes out."""

import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from clip_factory import numbered, write_any

from dyads.contract import read_manifest
from dyads.errors import ConfigError, DataError
from dyads.media.video import read_video, write_video
from reporting.score import study as score
from reporting.score.study import look_at


def run(world, videos, probes, out):
    score.main(["--generated", str(videos), "--data", str(world), "--probes", str(probes), "--out", str(out)])
    return pd.read_csv(out / "files.csv", keep_default_na=False).set_index("file")["status"].to_dict()


def test_true_videos_in_any_rate_and_size_are_scored(world, probes, tmp_path, capsys):
    first, second = read_manifest(world, "test")
    videos = tmp_path / "die Übung"
    videos.mkdir()
    frames = read_video(first.avatar.video)
    write_video(videos / f"{first.dyad_id}.mp4", np.repeat(frames, 2, 0), None, fps=50)
    write_video(videos / f"{second.dyad_id}.mp4", read_video(second.avatar.video, size=48), None)
    shutil.copy(first.avatar.video, videos / "someone.mp4")
    found = run(world, videos, probes, tmp_path / "out")
    assert found == {f"{first.dyad_id}.mp4": "resampled", f"{second.dyad_id}.mp4": "rescaled", "someone.mp4": "extra"}
    said = capsys.readouterr().out
    assert "2 of 2 test dialogues can be scored" in said and "left alone" in said and "Main results" in said
    table = pd.read_csv(tmp_path / "out" / "main_table.csv")
    assert table["method"].tolist() == ["external"] and table["ssim/frame_mean"].item() > 0.7


def test_a_clip_that_is_missing_or_of_another_length_has_no_value(world, probes, tmp_path):
    first, second = read_manifest(world, "test")
    videos = tmp_path / "videos"
    videos.mkdir()
    write_video(videos / f"{first.dyad_id}.mp4", read_video(first.avatar.video)[:-5], None)
    found = run(world, videos, probes, tmp_path / "out")
    assert found == {f"{first.dyad_id}.mp4": "length_mismatch", f"{second.dyad_id}.mp4": "missing_video"}
    rows = pd.read_csv(tmp_path / "out" / "external" / "seed0.csv")
    assert rows["value"].isna().all() and set(rows["status"]) == {"length_mismatch", "missing_video"}
    arguments = [
        "--generated",
        str(videos),
        "--data",
        str(world),
        "--probes",
        str(probes),
        "--out",
        str(tmp_path / "out"),
    ]
    assert score.main(arguments) == 2  # nothing scored is no success


def test_no_folder_and_no_video_of_a_test_dialogue_are_refused(world, probes, tmp_path):
    with pytest.raises(ConfigError, match="is no folder"):
        run(world, tmp_path / "nowhere", probes, tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="name the files as"):
        run(world, tmp_path / "empty", probes, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("late", "status"), [(0.0, "ok"), (0.016, "resampled")])
def test_uneven_times_of_25_frames_a_second_on_average_are_said(tmp_path, late, status):
    times = np.arange(40) / 25 + late * (np.arange(40) % 2)
    path = write_any(tmp_path / "a.mkv", numbered(40), times)
    true = SimpleNamespace(video=write_any(tmp_path / "t.mkv", numbered(40), np.arange(40) / 25), width=64, height=64)
    line = look_at(path, SimpleNamespace(dyad_id="a", avatar=true))
    assert line["status"] == status and line["frames"] == line["wanted_frames"] == 40
    assert ("uneven times" in line["note"]) == (status == "resampled")
