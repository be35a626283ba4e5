"""A folder of anyone's videos: each file's fate is said, nothing is cut to fit, and a table comes out."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pandas as pd
import pytest
from clip_factory import numbered, write_any

from dyads.contract import read_manifest
from dyads.errors import ConfigError, DataError
from dyads.media.containers import probe, uneven
from dyads.media.video import read_video, write_video
from reporting.score import study as score
from reporting.score.__main__ import main as score_folder
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
    for name in ("someone.mp4", "other.WEBM", f"{first.dyad_id}.mkv"):
        shutil.copy(first.avatar.video, videos / name)
    found = run(world, videos, probes, tmp_path / "out")
    extra = dict.fromkeys(("someone.mp4", "other.WEBM", f"{first.dyad_id}.mkv"), "extra")
    assert found == {f"{first.dyad_id}.mp4": "resampled", f"{second.dyad_id}.mp4": "rescaled", **extra}
    said = capsys.readouterr().out
    assert "2 of 2 test dialogues can be scored" in said and "left alone" in said and "Main results" in said
    table = pd.read_csv(tmp_path / "out" / "main_table.csv")
    assert table["method"].tolist() == ["external"] and table["ssim/frame_mean"].item() > 0.7


def test_a_clip_that_is_missing_or_of_another_length_has_no_value(world, probes, tmp_path):
    first, second = read_manifest(world, "test")
    videos = tmp_path / "videos"
    videos.mkdir()
    write_video(videos / f"{first.dyad_id}.mp4", read_video(first.avatar.video)[:-5], None)
    shutil.copy(second.avatar.video, videos / f"{second.dyad_id}.MP4")
    assert "MP4 is there, but mp4 alone is read" in look_at(videos / f"{second.dyad_id}.mp4", second)["note"]
    (videos / f"{second.dyad_id}.MP4").unlink()
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


def cut_by_stream_copy(source: Path, target: Path, first: int) -> Path:
    """The packets from the key frame before on, their times moved so that `first` is at 0: what `ffmpeg -ss -c copy`
    makes."""
    with av.open(str(source)) as container, av.open(str(target), "w", options={"avoid_negative_ts": "disabled"}) as out:
        stream = container.streams.video[0]
        copy = out.add_stream_from_template(stream)
        start = round(first / 25 / stream.time_base)
        container.seek(start, stream=stream)
        for packet in container.demux(stream):
            if packet.dts is not None:
                packet.pts, packet.dts, packet.stream = packet.pts - start, packet.dts - start, copy
                out.mux(packet)
    return target


def test_frames_are_counted_as_they_are_decoded(tmp_path):
    """A video cut by stream copy: its header counts frames that nobody is shown."""
    whole = write_any(tmp_path / "whole.mp4", numbered(60), np.arange(60) / 25)
    path = cut_by_stream_copy(whole, tmp_path / "a.mp4", 20)
    assert probe(path).frames > len(read_video(path)) == 40
    for video, wanted, status in ((path, 40, "ok"), (whole, 60, "length_mismatch")):
        true = SimpleNamespace(video=video, width=64, height=64)
        line = look_at(path, SimpleNamespace(dyad_id="a", avatar=true))
        assert (line["status"], line["frames"], line["wanted_frames"]) == (status, 40, wanted)
    for name in ("made", "true"):
        (tmp_path / name).mkdir()
        shutil.copy(path, tmp_path / name / "a.mp4")
    given = ["--generated", str(tmp_path / "made"), "--true", str(tmp_path / "true"), "--out", str(tmp_path / "out")]
    assert score_folder([*given, "--metrics", "psnr", "--no-page"]) == 0
    line = pd.read_csv(tmp_path / "out" / "files.csv", keep_default_na=False).iloc[0]
    assert (line["status"], line["scored_frames"], line["notes"].count("uneven")) == ("ok", 40, 0)


def test_uneven_times_are_seen_without_decoding(tmp_path):
    even, late = (np.arange(40) / 25 + late * (np.arange(40) % 2) for late in (0.0, 0.016))
    assert not uneven(write_any(tmp_path / "even.mkv", numbered(40), even))
    assert uneven(write_any(tmp_path / "late.mkv", numbered(40), late))
