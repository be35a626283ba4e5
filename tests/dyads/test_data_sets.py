"""ViCo, HDTF and RealTalk as they lie on disk: each becomes a sound data folder; what is odd is told."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest

from dyads.adapters import hdtf, realtalk, vico
from dyads.adapters.__main__ import main
from dyads.adapters.engine.adapt import REPORT, describe
from dyads.check import check
from dyads.contract import load_arrays, read_manifest
from dyads.errors import DataError
from dyads.layouts.others import write_hdtf, write_realtalk, write_vico, write_vico_challenge
from dyads.layouts.recognise import recognised

OPTIONS = '"size": 32, "crop": "centre"'
WRITERS = {"vico": write_vico, "hdtf": write_hdtf, "realtalk": write_realtalk}


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    found = {}
    for kind, write in WRITERS.items():
        found[kind] = tmp_path_factory.mktemp(kind) / "Daten ü"
        write(found[kind])
    return found


def adapt(kind: str, root: Path, out: Path, more: str = "") -> list:
    assert main(["--kind", kind, "--root", str(root), "--out", str(out), "--options", f"{{{OPTIONS}{more}}}"]) == 0
    assert check(out)[1] == []
    return read_manifest(out)


def test_each_tree_is_recognised_and_no_other(trees: dict[str, Path], tmp_path: Path):
    for kind, root in trees.items():
        assert recognised(root) == [kind]
        for other in set(WRITERS) - {kind}:
            with pytest.raises(DataError, match=f"looks like {kind}, not {other}; write"):
                main(["--kind", other, "--root", str(root), "--out", str(tmp_path / "out")])
    assert recognised(tmp_path) == []


@pytest.mark.parametrize("kind", WRITERS)
def test_an_empty_folder_gets_one_sentence(kind: str, tmp_path: Path):
    with pytest.raises(DataError) as caught:
        main(["--kind", kind, "--root", str(tmp_path), "--out", str(tmp_path / "out")])
    assert "\n" not in str(caught.value) and ";" in str(caught.value)


def test_vico_listeners_have_no_sound(trees: dict[str, Path], tmp_path: Path):
    dyads = adapt("vico", trees["vico"], tmp_path / "out")
    assert [(dyad.dyad_id, dyad.split) for dyad in dyads] == [
        ("00_listener", "train"), ("01_listener", "train"), ("03_listener", "test"),
    ]  # fmt: skip
    alone = adapt("vico", trees["vico"], tmp_path / "alone", ', "only": "test"')
    assert [(dyad.dyad_id, dyad.user.sha256) for dyad in alone] == [("03_listener", dyads[2].user.sha256)]
    for dyad in dyads:
        arrays = load_arrays(dyad, ())
        assert len(arrays.user_audio) == 4 * 16_000  # 120 frames at 30 a second
        assert np.abs(arrays.avatar_audio).max() == 0 and np.abs(arrays.user_audio).max() > 0.01
        assert not dyad.avatar.mixed_audio and dyad.user.subject_id.startswith("speaker_")
        assert arrays.reference.std() > 10


def test_vico_people_of_both_sides_leave_training(trees: dict[str, Path]):
    found, skipped, _ = vico.pairs(trees["vico"], vico.VicoOptions(test="test"))
    assert [pair.split for pair in found] == ["test"] and len(skipped) == 2
    assert all("also in the test split" in why for why in skipped.values())


def test_vico_without_a_header_and_with_missing_files(trees: dict[str, Path], tmp_path: Path):
    table = (trees["vico"] / "RLD_data.csv").read_text().splitlines()
    (tmp_path / "RLD_data.csv").write_text("\n".join(table[1:]) + "\n")
    with pytest.raises(DataError, match=r"not one listening is complete: 00_listener: 00_speaker\.mp4.*missing; fetch"):
        vico.pairs(tmp_path, vico.VicoOptions())
    (tmp_path / "RLD_data.csv").write_text("a,b\n")
    with pytest.raises(DataError, match="not every line has the 7 values"):
        vico.pairs(tmp_path, vico.VicoOptions())


def test_vico_challenge_layout(tmp_path: Path):
    write_vico_challenge(tmp_path / "vico")
    found, skipped, _ = vico.pairs(tmp_path / "vico", vico.VicoOptions())
    assert [pair.split for pair in found] == ["train", "test"] and not skipped
    assert found[0].user.subject_id == "person_7" and found[0].avatar.audio is None


def test_vico_people_who_both_speak_and_listen_are_one(trees: dict[str, Path], tmp_path: Path):
    """67 speakers and 76 listeners are 92 people: who listens in the test side may not speak in training."""
    for name in ("videos", "audios"):
        (tmp_path / name).symlink_to(trees["vico"] / name)
    rows = [line.split(",") for line in (trees["vico"] / "RLD_data.csv").read_text().splitlines()]
    for row, (listener, speaker) in zip(rows[1:], ((1, 2), (3, 4), (5, 6), (2, 7)), strict=True):
        row[4:6] = str(listener), str(speaker)
    (tmp_path / "RLD_data.csv").write_text("".join(",".join(row) + "\n" for row in rows))
    found, skipped, _ = vico.pairs(tmp_path, vico.VicoOptions())
    assert [pair.dyad_id for pair in found] == ["01_listener", "03_listener"]
    assert list(skipped) == ["00_listener"] and "person_2 is also in the test split" in skipped["00_listener"]


def test_hdtf_clips_and_raw_videos_with_spans(trees: dict[str, Path], tmp_path: Path):
    dyads = adapt("hdtf", trees["hdtf"], tmp_path / "out", ', "test_videos": 1, "seed": 3')
    names = {dyad.dyad_id: dyad for dyad in dyads}
    assert len({dyad.split for dyad in dyads}) == 2
    for dyad in dyads:
        assert dyad.user.crop == "none" and load_arrays(dyad).user_frames.std() < 3
    assert {"Radio1_0", "Radio1_1"} <= set(names)  # files Radio1_0 at 25 and RD_Radio1_001 at 30 frames a second
    assert len({len(load_arrays(names[name]).user_frames) for name in ("Radio1_0", "Radio1_1")}) == 1
    raw = names["Radio2_0"]
    assert raw.avatar.crop == "box:56,0,144,144"  # annotated at 288 lines, fetched at 144
    assert len(load_arrays(raw, ()).avatar_audio) == 2 * 16_000


def test_hdtf_test_list_by_seed_keeps_people_apart(trees: dict[str, Path]):
    lists = set()
    for seed in range(8):
        found, skipped, _ = hdtf.pairs(trees["hdtf"], hdtf.HdtfOptions(test_videos=1, seed=seed))
        again, _, _ = hdtf.pairs(trees["hdtf"], hdtf.HdtfOptions(test_videos=1, seed=seed))
        assert found == again and "WRA_Gone_000" in skipped
        test = {pair.avatar.subject_id for pair in found if pair.split == "test"}
        assert not test & {pair.avatar.subject_id for pair in found if pair.split == "train"}
        lists.add(frozenset(pair.dyad_id for pair in found if pair.split == "test"))
    assert len(lists) > 1
    with pytest.raises(DataError, match="50 of them are to be the test side; give fewer"):
        hdtf.pairs(trees["hdtf"], hdtf.HdtfOptions())


def test_a_test_set_without_a_test_side_is_one_sentence(trees: dict[str, Path], tmp_path: Path):
    options = f'{{{OPTIONS}, "only": "test", "test_videos": 0}}'
    with pytest.raises(DataError, match="no recording is in split test; take that test set out"):
        main(["--kind", "hdtf", "--root", str(trees["hdtf"]), "--out", str(tmp_path / "out"), "--options", options])


def test_hdtf_damaged_lists(trees: dict[str, Path], tmp_path: Path):
    (tmp_path / "RD_video_url.txt").write_text("Radio1 https://example.org\n")
    with pytest.raises(DataError, match=r"none of the 1 listed videos is there; put Radio1_0\.mp4"):
        hdtf.pairs(tmp_path, hdtf.HdtfOptions())
    (tmp_path / "RD_annotion_time.txt").write_text("Radio1.mp4 soon\n")
    with pytest.raises(DataError, match="'soon' is no span"):
        hdtf.pairs(tmp_path, hdtf.HdtfOptions())
    (tmp_path / "RD_annotion_time.txt").write_text("Radio1.mp4 00:00-00:04\n")
    for name, line, words in (
        ("RD_crop_wh.txt", "Radio1_x.mp4 1 2 3 4", "'x' is no number; fetch"),
        ("RD_crop_wh.txt", "Radio1_0.mp4 1 2 3", r"Radio1_0\.mp4 has no crop min_w w min_h h; fetch"),
        ("RD_crop_wh.txt", "Radio1_0.mp4 1 0 3 4", r"Radio1_0\.mp4 has no crop"),
        ("RD_resolution.txt", "Radio1.mp4 720p", "'720p' is no number; fetch"),
        ("RD_resolution.txt", "Radio1.mp4", "'' is no number; fetch"),
    ):
        (tmp_path / name).write_text(line + "\n")
        with pytest.raises(DataError, match=f"{name}: {words}"):
            hdtf.pairs(tmp_path, hdtf.HdtfOptions())
        (tmp_path / name).unlink()


def test_hdtf_a_raw_video_that_cannot_be_read_does_not_stop_the_list(trees: dict[str, Path], tmp_path: Path):
    shutil.copytree(trees["hdtf"], tmp_path / "hdtf")
    (tmp_path / "hdtf" / "Radio2.mp4").write_bytes(b"cut off")
    found, _, _ = hdtf.pairs(tmp_path / "hdtf", hdtf.HdtfOptions(test_videos=1))
    whole, _, _ = hdtf.pairs(trees["hdtf"], hdtf.HdtfOptions(test_videos=1))
    assert [pair.dyad_id for pair in found] == [pair.dyad_id for pair in whole]
    assert describe({**dict.fromkeys(REPORT, 0), "dyad_id": "a", "role": "user", "source": "", "inside": ""}) == (
        "a user: 0 grey frames, nobody was filmed"
    )


def test_realtalk_two_faces_one_track(trees: dict[str, Path], tmp_path: Path):
    dyads = adapt("realtalk", trees["realtalk"], tmp_path / "out")
    assert len(dyads) == 4 and all(dyad.user.mixed_audio and dyad.avatar.mixed_audio for dyad in dyads)
    one, other = (
        next(d for d in dyads if d.dyad_id == f"talk0_0001_{a}0_{b}0")
        for a, b in (("user", "avatar"), ("avatar", "user"))
    )
    assert (
        (one.user.crop, one.avatar.crop) == ("box:0,0,96,96", "box:192,0,96,96") == (other.avatar.crop, other.user.crop)
    )
    left, right = load_arrays(one).user_frames, load_arrays(one).avatar_frames
    assert len(left) == 100 and np.abs(left.astype(int) - right).mean() > 3
    assert {turn.role for turn in one.turns} <= {"user", "avatar"} and one.turns
    assert [turn.text for turn in one.turns] == [turn.text for turn in other.turns]


REALTALK_FAULTS = {
    "no file": (None, r"realtalk\.csv is missing; list the shots"),
    "no column": ({"end": None}, "missing column end; add"),
    "empty": ({"left_id": ""}, "line 2: column left_id is empty; fill"),
    "one person": ({"right_id": "user0"}, "are both 'user0'; name two"),
    "no video": ({"video": "x.mp4"}, r"x\.mp4 does not exist; correct"),
    "no span": ({"start": "9", "end": "1"}, "are no span; give"),
    "no split": ({"split": "dev"}, "unknown split 'dev'; use"),
    "no box": ({"left_box": "1,2"}, "left_box '1,2' is no box; write x,y,w,h"),
    "no turns": ({"turns": "x.jsonl"}, r"x\.jsonl does not exist; correct"),
}


@pytest.mark.parametrize("fault", REALTALK_FAULTS)
def test_realtalk_lists_are_checked(trees: dict[str, Path], tmp_path: Path, fault: str):
    change, words = REALTALK_FAULTS[fault]
    with open(trees["realtalk"] / "realtalk.csv", encoding="utf-8") as handle:
        row = next(csv.DictReader(handle))
    for name in (row["video"], row["turns"]):
        (tmp_path / name).write_bytes((trees["realtalk"] / name).read_bytes())
    if change is not None:
        row = {key: value for key, value in (row | change).items() if value is not None}
        with open(tmp_path / "realtalk.csv", "w", encoding="utf-8", newline="") as handle:
            writer = csv.DictWriter(handle, list(row))
            writer.writeheader()
            writer.writerow(row)
    with pytest.raises(DataError, match=words):
        realtalk.pairs(tmp_path, realtalk.RealtalkOptions())
