"""Ratings and timings beside the videos: bound to the video they are about, and never a number without a judge."""

import json
import shutil

import pandas as pd
import pytest

from dyads.contract import file_sha256, read_manifest
from dyads.errors import ConfigError, DataError
from evaluation import judge, run
from evaluation.clips import Clip
from evaluation.metrics._series import Undefined
from evaluation.metrics.expression import e_consis
from evaluation.metrics.motion import speed
from evaluation.readings import sidecars


class Generous:
    """Gives everything the same rating and remembers what it was asked."""

    def __init__(self, rating: float = 4.0) -> None:
        self.rating, self.asked = rating, []

    def __call__(self, question: judge.Question) -> float | None:
        self.asked.append(question)
        if self.rating == 0:
            raise TimeoutError("the service\nis busy")
        return None if self.rating < 0 else self.rating


@pytest.fixture
def dyads(world):
    return read_manifest(world, "test")


@pytest.fixture
def videos(dyads, tmp_path):
    folder = tmp_path / "videos"
    folder.mkdir()
    for dyad in dyads:
        shutil.copy(dyad.avatar.video, folder / f"{dyad.dyad_id}.mp4")
    return folder


def timed(folder, dyads, **changes) -> None:
    """generate.jsonl as training.generate writes it: 50 frames in 2 seconds of the clock, 4 of the processor."""
    lines = []
    for dyad in dyads:
        sha256 = file_sha256(folder / f"{dyad.dyad_id}.mp4")
        entry = {"dyad_id": dyad.dyad_id, "frames": 50, "wall_seconds": 2.0, "cpu_seconds": 4.0, "sha256": sha256}
        lines.append(json.dumps(entry | changes) + "\n")
    (folder / sidecars.TIMES).write_text("".join(lines))


# Speed


def test_speed_is_frames_over_seconds(videos, dyads):
    timed(videos, dyads)
    timing, rating = sidecars.read_beside(videos).of(dyads[0].dyad_id)
    assert timing == sidecars.Timing(50, 2.0, 4.0) and rating is None
    clip = Clip("a", 50, "ok", None, timing=timing)
    rows = {(row.metric, row.part): row.value for row in speed.clip_values(clip, None)}
    assert rows == {
        ("frames_per_second", "wall"): 25.0,
        ("frames_per_second", "cpu"): 12.5,
        ("latency", "dialogue"): 2.0,
    }


def test_another_video_or_no_time_is_not_timed(videos, dyads):
    timed(videos, dyads, sha256="of another video")
    assert sidecars.read_beside(videos).of(dyads[0].dyad_id)[0] is None
    timed(videos, dyads, wall_seconds=0.0)  # faster than the clock's step: no rate, and above all not infinity
    assert sidecars.read_beside(videos).of(dyads[0].dyad_id)[0] is None
    with pytest.raises(Undefined, match="not_timed"):
        list(speed.clip_values(Clip("a", 50, "ok", None), None))
    timed(videos, dyads, cpu_seconds="soon")
    with pytest.raises(DataError, match="lacks times"):
        sidecars.read_beside(videos).of(dyads[0].dyad_id)
    (videos / sidecars.TIMES).write_text('{"dyad_id": ')
    with pytest.raises(DataError, match="is not JSON"):
        sidecars.read_beside(videos)


# Ratings


def test_a_judge_sees_both_videos_and_its_ratings_reach_the_rows(world, videos, dyads, probes, tmp_path):
    critic = Generous(3.5)
    judge.rate_folder(videos, dyads, critic, "critic")
    timed(videos, dyads)
    question = critic.asked[0]
    assert question.generated == videos / f"{dyads[0].dyad_id}.mp4" and question.dyad == dyads[0]
    assert "1 contradictory" in question.prompt and "5 the same" in question.prompt
    out = tmp_path / "metrics/m/seed0.csv"
    run.main([
        "--method", "m", "--videos", str(videos), "--data", str(world), "--out", str(out),
        "--probes", str(probes),
        "--options", '{"metrics": ["e_consis", "speed"]}',
    ])  # fmt: skip
    rows = pd.read_csv(out)
    assert rows.loc[rows["metric"] == "e_consis", "value"].tolist() == [3.5, 3.5]
    assert rows.loc[rows["metric"] == "latency", "value"].tolist() == [2.0, 2.0]


def test_without_a_judge_there_is_no_value(videos, dyads):
    assert sidecars.read_beside(videos).of(dyads[0].dyad_id) == (None, None)
    with pytest.raises(Undefined, match="no_judge"):
        list(e_consis.clip_values(Clip("a", 5, "ok", None), None))
    with pytest.raises(Undefined, match="no_rating"):
        list(e_consis.clip_values(Clip("a", 5, "ok", None, rating=sidecars.Rating(None)), None))


def test_a_rating_of_another_version_does_not_count(videos, dyads):
    judge.rate_folder(videos, dyads, Generous(), "critic")
    first, second = (dyad.dyad_id for dyad in dyads)
    shutil.copy(videos / f"{second}.mp4", videos / f"{first}.mp4")
    found = sidecars.read_beside(videos)
    assert found.of(first)[1] == sidecars.Rating(None) and found.of(second)[1] == sidecars.Rating(4.0)


@pytest.mark.parametrize("rating", [0, -1, 7.0, float("nan")])
def test_a_judge_that_fails_gives_no_rating(videos, dyads, rating, capsys):
    ratings = judge.rate_folder(videos, dyads, Generous(rating), "critic")
    assert [entry["rating"] for entry in ratings.values()] == [None, None]
    assert sidecars.read_beside(videos).of(dyads[0].dyad_id)[1] == sidecars.Rating(None)
    reason = ratings[dyads[0].dyad_id].get("reason", "")
    assert ("is busy" in reason) == (rating == 0) and ("is no rating" in reason) == (not rating <= 0)
    assert reason in capsys.readouterr().out


def test_what_the_same_judge_has_rated_is_not_asked_again(videos, dyads):
    judge.rate_folder(videos, dyads, Generous(), "critic")
    first, second = (dyad.dyad_id for dyad in dyads)
    shutil.copy(videos / f"{second}.mp4", videos / f"{first}.mp4")
    again = Generous(2.0)
    ratings = judge.rate_folder(videos, dyads, again, "critic")
    assert [question.dyad.dyad_id for question in again.asked] == [first]
    assert {dyad_id: entry["rating"] for dyad_id, entry in ratings.items()} == {first: 2.0, second: 4.0}
    other = Generous(1.0)
    judge.rate_folder(videos, dyads, other, "another critic")
    assert len(other.asked) == 2


def test_ratings_from_elsewhere_are_bound_to_the_videos(world, videos, dyads, tmp_path, capsys):
    first, second = (dyad.dyad_id for dyad in dyads)
    given = tmp_path / "people.json"
    given.write_text(json.dumps({first: 5, second: None}))
    common = ["--videos", str(videos), "--data", str(world)]
    judge.main([*common, "--ratings", str(given)])
    assert "1 of 2 videos rated" in capsys.readouterr().out
    found = sidecars.read_beside(videos)
    assert found.of(first)[1] == sidecars.Rating(5.0) and found.of(second)[1] == sidecars.Rating(None)
    assert json.loads((videos / sidecars.RATINGS).read_text())["judge"] == "people.json"
    for content, message in (
        ({first: 6}, "is no rating"),
        ({first: True}, "is no rating"),
        ({"someone": 3}, "no dialogue of this split"),
    ):
        given.write_text(json.dumps(content))
        with pytest.raises(DataError, match=message):
            judge.main([*common, "--ratings", str(given)])
    (videos / f"{first}.mp4").unlink()
    given.write_text(json.dumps({first: 3}))
    with pytest.raises(DataError, match="no such video"):
        judge.main([*common, "--ratings", str(given)])


def test_the_command_makes_a_judge_of_its_class(world, videos, dyads):
    common = ["--videos", str(videos), "--data", str(world)]
    judge.main([*common, "--judge", f"{__name__}:Generous", "--options", '{"rating": 2.5}'])
    assert sidecars.read_beside(videos).of(dyads[0].dyad_id)[1] == sidecars.Rating(2.5)
    for name, options, message in (
        (f"{__name__}:Nobody", "{}", "no class 'Nobody'"),
        (f"{__name__}:Generous", '{"mood": 1}', "cannot be made of --options"),
        ("pathlib:PurePath", "{}", "cannot be called"),
    ):
        with pytest.raises(ConfigError, match=message):
            judge.main([*common, "--judge", name, "--options", options])
    with pytest.raises(ConfigError, match="is no folder"):
        judge.main(["--videos", str(videos / "no"), "--data", str(world), "--judge", f"{__name__}:Generous"])


@pytest.mark.parametrize(
    "content", ['{"ratings": 5}', '{"ratings": {"a": 5}}', "[]", '{"ratings": {"a": {"rating": 9}}}']
)
def test_a_damaged_file_of_ratings_is_refused(videos, content):
    (videos / sidecars.RATINGS).write_text(content)
    with pytest.raises(DataError, match="ratings.json"):
        sidecars.read_beside(videos)
