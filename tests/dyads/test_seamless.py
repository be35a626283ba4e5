"""Seamless Interaction's layout with all that is odd about it: what becomes of each; wrong trees get one sentence."""

import csv
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from dyads.adapters.__main__ import main
from dyads.adapters.seamless import SeamlessOptions, pairs, side_turns, validity
from dyads.adapters.seamless_files import FILE_ID, read_tree
from dyads.check import check
from dyads.check import main as check_command
from dyads.contract import load_arrays, read_manifest
from dyads.errors import ConfigError, DataError
from dyads.layouts.seamless import as_bucket, plain, traps, write_seamless

SECONDS = 4.0
OPTIONS = '{"size": 32, "segment_seconds": 2.0, "minimum_seconds": 1.0, "crop": "centre"}'


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("seamless") / "Daten ü"
    write_seamless(root, plain(2, 1, SECONDS, dev=1) + traps(SECONDS), height=80)
    return root


@pytest.fixture(scope="module")
def adapted(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("adapted") / "data"
    assert main(["--kind", "seamless", "--root", str(tree), "--out", str(out), "--options", OPTIONS]) == 0
    return out


def left_out(out: Path) -> dict[str, str]:
    with open(out / "skipped.csv", encoding="utf-8") as handle:
        return {row["dyad_id"].split("_")[1]: row["why"] for row in csv.DictReader(handle)}


def test_a_tree_becomes_a_sound_data_folder(adapted: Path):
    summary, faults = check(adapted)
    assert faults == [] and "no manifest" not in summary
    dyads = read_manifest(adapted)
    assert {dyad.user.licence for dyad in dyads} == {"CC BY-NC 4.0"} and not any(d.user.mixed_audio for d in dyads)
    assert not list(adapted.glob(".making.*"))


def test_both_orders_of_two_people_are_dyads(adapted: Path):
    dyads = {dyad.dyad_id: dyad for dyad in read_manifest(adapted)}
    one = dyads["V00_S0000_I00000000_P0000_P0001_s000"]
    other = dyads["V00_S0000_I00000000_P0001_P0000_s000"]
    assert (
        (one.user.subject_id, one.avatar.subject_id)
        == ("P0000", "P0001")
        == (other.avatar.subject_id, other.user.subject_id)
    )
    assert one.user.video.samefile(other.avatar.video) and one.avatar.audio.samefile(other.user.audio)
    roles = {"user": "avatar", "avatar": "user"}
    assert [(t.start, roles[t.role], t.text) for t in one.turns] == [(t.start, t.role, t.text) for t in other.turns]
    assert any(turn.text for turn in one.turns)


def test_people_with_letters_are_people_of_their_own(adapted: Path):
    assert FILE_ID.fullmatch("V00_S2022_I00001199_P1275A").groups() == ("V00_S2022_I00001199", "P1275A")
    people = {dyad.user.subject_id for dyad in read_manifest(adapted)}
    assert {"P1275", "P1275A", "P1277", "P1277A"} <= people


def test_two_frame_rates_become_one_without_drift(adapted: Path):
    """30,000 / 1001 frames a second: 119 frames are 3.97 s, so the second part is a frame short."""
    lengths = {dyad.dyad_id: len(load_arrays(dyad).user_frames) for dyad in read_manifest(adapted)}
    assert lengths["V00_S0001_I00000001_P0002_P0003_s000"] == 50
    assert lengths["V00_S0001_I00000001_P0002_P0003_s001"] == 49
    assert lengths["V00_S0000_I00000000_P0000_P0001_s001"] == 50


def test_dev_is_left_and_can_be_taken(tree: Path, adapted: Path):
    assert not any("S0400" in dyad.dyad_id for dyad in read_manifest(adapted))
    found, _, _ = pairs(tree, SeamlessOptions(dev="test"))
    assert {pair.split for pair in found if "S0400" in pair.dyad_id} == {"test"}


EXPECTED = {
    "S1004": "avatar: its sound is silent throughout, its turns speak for",
    "S1005": "user: its sound is silent throughout; left out (option silent_sides)",
    "S1006": "neither side has voice activity or words",
    "S1008": "two people are wanted, only P2013 is there",
    "S1009": "no part of it is valid in 50% of its frames",
    "S1012": "P0700 is also in the test split; left out of training",
}


def test_what_cannot_be_used_is_listed_with_its_reason(adapted: Path):
    reasons = left_out(adapted)
    assert set(reasons) == set(EXPECTED)
    for session, words in EXPECTED.items():
        assert words in reasons[session]
    made = {dyad.dyad_id.split("_")[1] for dyad in read_manifest(adapted)}
    assert not made & set(EXPECTED) and {"S1000", "S1001", "S1002", "S1003", "S1007", "S1010", "S1011"} <= made


def test_flags_count_by_their_number_not_by_a_rate(tree: Path):
    for session, person, count in (("S1002", "P2001", 960), ("S1003", "P2003", 765)):
        path = next(tree.rglob(f"*{session}*{person}.npz"))
        flags, remarks = validity((path,), SECONDS)
        assert len(flags) == count and flags.all() and "a second, not 30" in remarks[0]


def test_invalid_parts_are_left_out_and_flags_kept(adapted: Path):
    """The last 1.6 of 4 s of S1013 are invalid: four fifths of its second part."""
    dyads = [dyad for dyad in read_manifest(adapted) if "S1013" in dyad.dyad_id]
    assert sorted(dyad.dyad_id[-4:] for dyad in dyads) == ["s000", "s000"]
    with np.load(dyads[0].folder / "valid.npz") as flags:
        assert flags["user"].all() and flags["avatar"].shape == (50,)


def test_archives_are_read_where_they_lie(tree: Path, adapted: Path):
    """The two sides of S1011 lie in different archives, which stay packed."""
    assert sorted(path.name for path in tree.rglob("*.tar")) == ["0022.tar", "0028.tar"]
    found = read_tree(tree)
    sides = found.recordings["naturalistic", "V01_S1011_I00001011"]
    assert {member.archive.name for side in sides.values() for member in side.members.values()} == {
        "0022.tar",
        "0028.tar",
    }
    dyad = next(dyad for dyad in read_manifest(adapted) if "S1011" in dyad.dyad_id)
    assert load_arrays(dyad).avatar_frames.std() > 10


def test_words_fall_into_the_voice_that_speaks_them(tmp_path: Path):
    words = [{"word": w, "start": s, "end": s + 0.2} for w, s in (("yes", 0.1), ("but", 0.45), ("no", 2.1))]
    content = {
        "metadata:vad": [{"start": 0.0, "end": 0.5}, [2.0, 9.0], {"start": 12.0, "end": 13.0}],
        "metadata:transcript": [{"start": 0.0, "end": 2.5, "transcript": "yes but no", "words": words}],
    }
    path = tmp_path / "side.json"
    path.write_text(json.dumps(content))
    turns, remarks = side_turns((path,), "user", 4.0)
    assert [(turn.start, turn.end, turn.text) for turn in turns] == [(0.0, 0.5, "yes but"), (2.0, 4.0, "no")]
    assert remarks == ["user: 1 intervals lie beyond the recording's 4.0 s"]
    words += [{"word": "uh", "start": None, "end": 1.0}, {"word": "x"}, {"word": "y", "start": "?", "end": 1}, "z"]
    path.write_text(json.dumps(content))
    assert side_turns((path,), "user", 4.0)[0] == turns  # words that nobody could align
    content["metadata:vad"] = []
    path.write_text(json.dumps(content))
    turns, remarks = side_turns((path,), "user", 4.0)
    assert [turn.text for turn in turns] == ["yes but no"] and "no voice activity" in remarks[0]


@pytest.mark.parametrize(
    ("content", "words"),
    [("{", "cannot be read as JSON"), ("[]", "holds no JSON object"), ('{"metadata:vad": 3}', "is no list"),
     ('{"metadata:vad": [{"start": 1}]}', "not start and end")],
)  # fmt: skip
def test_damaged_annotations_are_named(tmp_path: Path, content: str, words: str):
    (tmp_path / "side.json").write_text(content)
    with pytest.raises(DataError, match=f"side.json.*{words}"):
        side_turns((tmp_path / "side.json",), "user", 4.0)


def test_a_pickle_or_no_flags_in_features(tmp_path: Path):
    np.savez(tmp_path / "none.npz", other=np.zeros(3))
    assert validity((tmp_path / "none.npz",), 1.0) == (None, [])
    np.savez(tmp_path / "nan.npz", **{"movement:is_valid": np.array([1.0, np.nan] * 15)})
    assert validity((tmp_path / "nan.npz",), 1.0)[0].tolist() == [True, False] * 15
    np.savez(tmp_path / "pickle.npz", **{"movement:is_valid": np.array([object()])})
    with pytest.raises(DataError, match=r"pickle\.npz: cannot be read"):
        validity((tmp_path / "pickle.npz",), 1.0)


def test_features_of_a_download_that_did_not_end_are_named(tmp_path: Path):
    """Wherever it was cut: in the zip's directory, in an array, or before the first byte."""
    np.savez(tmp_path / "whole.npz", **{"movement:is_valid": np.ones(4000), "boxes_and_keypoints:is_valid_box": [1]})
    whole = (tmp_path / "whole.npz").read_bytes()
    for length in (0, 1, 300, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.npz").write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"cut\.npz: cannot be read.*fetch it again"):
            validity((tmp_path / "cut.npz",), 1.0)
    spoilt = bytearray(whole)
    spoilt[400:420] = bytes(20)
    (tmp_path / "cut.npz").write_bytes(spoilt)
    with pytest.raises(DataError, match=r"cut\.npz: cannot be read"):
        validity((tmp_path / "cut.npz",), 1.0)


def test_a_copy_of_the_bucket_says_the_same_as_the_tree(tmp_path: Path):
    """One folder for each kind of file; annotations are called as a recording's own .json there."""
    write_seamless(tmp_path / "tree", plain(1, 0, SECONDS), height=48)
    shutil.copytree(tmp_path / "tree", tmp_path / "bucket")
    as_bucket(tmp_path / "bucket")
    assert len(list((tmp_path / "bucket").rglob("annotations/*/*.json"))) == 2
    known = []
    for root in (tmp_path / "tree", tmp_path / "bucket"):
        (pair,), skipped, remarks = pairs(root, SeamlessOptions())
        assert skipped == {} and [line.rpartition(": ")[2] for line in remarks] == ["no interaction is in split test."]
        found = pair.notes.read(lambda path: path, SECONDS)
        known.append((found.turns, found.remarks, {role: flags.tolist() for role, flags in found.valid.items()}))
    assert known[0] == known[1] and known[0][0] and set(known[0][2]) == {"user", "avatar"}


def test_files_that_are_there_twice_are_told(tmp_path: Path, tree: Path):
    folder = tmp_path / "improvised" / "train" / "0000"
    for archive in ("0000", "0001"):
        (folder / archive).mkdir(parents=True)
        for path in tree.rglob("V00_S0000*"):
            shutil.copy(path, folder / archive)
    _, _, remarks = pairs(tmp_path, SeamlessOptions())
    twice = [line for line in remarks if "is there twice" in line]
    assert len(twice) == 2 and all("0001" in line.partition(": ")[0] and "the first counts" in line for line in twice)


def test_wrong_trees_get_one_sentence(tmp_path: Path, tree: Path):
    def listing(root: Path, kind: str = "seamless") -> str:
        with pytest.raises((DataError, ConfigError)) as caught:
            main(["--kind", kind, "--root", str(root), "--out", str(tmp_path / "out")])
        assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()
        return str(caught.value)

    assert "there is no such folder" in listing(tmp_path / "nowhere")
    (tmp_path / "other" / "RD").mkdir(parents=True)
    assert "no Seamless Interaction tree (it holds RD)" in listing(tmp_path / "other")
    (tmp_path / "empty" / "improvised" / "train").mkdir(parents=True)
    assert "hold no recording" in listing(tmp_path / "empty")
    half = tmp_path / "half" / "improvised" / "train" / "0000" / "0000"
    half.mkdir(parents=True)
    shutil.copy(next(tree.rglob("*P0000.mp4")), half)
    assert "no interaction has both its sides" in listing(tmp_path / "half")
    assert "there is no data set 'seemless'" in listing(tree, "seemless")


def test_downloads_that_did_not_end_are_named(tmp_path: Path, tree: Path):
    shutil.copytree(tree, tmp_path / "tree")
    archive = next((tmp_path / "tree").rglob("0022.tar"))
    archive.write_bytes(archive.read_bytes()[:9000])
    (archive.parent / "0099.tar.incomplete").write_bytes(b"")
    found, skipped, remarks = pairs(tmp_path / "tree", SeamlessOptions())
    assert any("0022.tar: ends within" in remark for remark in remarks)
    assert any("0099.tar.incomplete" in remark for remark in remarks)
    assert "V01_S1011_I00001011" in skipped and found


def test_check_knows_a_raw_tree(tree: Path, capfd, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["check", str(tree)])
    assert check_command() == 1
    printed = capfd.readouterr().out
    assert "as seamless lays them out" in printed and "left out: V01_S1008" in printed and "dialogues (" in printed


@pytest.mark.parametrize("text", ['{"labels": "all"}', '{"dev": "valid"}', '{"orders": "none"}', '{"limit": -1}'])
def test_wrong_options_are_refused(tree: Path, tmp_path: Path, text: str):
    with pytest.raises(ConfigError):
        main(["--kind", "seamless", "--root", str(tree), "--out", str(tmp_path / "out"), "--options", text])
