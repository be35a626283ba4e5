"""The folder adapter: recordings become dyads, nothing is cut silently, faults leave nothing half done."""

import csv
import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from clip_factory import REAL_CLIPS, lag, needs_real_clips, noise, numbered, numbers, write_any
from hypothesis import given
from hypothesis import strategies as st

from dyads.adapters.engine import adapt as engine
from dyads.adapters.engine.adapt import BROKEN, adapt, finish
from dyads.adapters.engine.convert import at_frames, cut_turns
from dyads.adapters.engine.options import AdaptOptions, parse_options
from dyads.adapters.folder import main
from dyads.adapters.pairs import read_pairs
from dyads.check import check
from dyads.contract import Turn, load_arrays, read_manifest, read_turns, write_turns
from dyads.errors import ConfigError, DataError
from dyads.media.video import write_video

PROJECT = Path(__file__).parents[2]
SMALL = AdaptOptions(size=32, crop="centre")  # numbered pictures show no face


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings as they come: other frame rates, containers, stereo and separate sound, odd names."""
    root = tmp_path_factory.mktemp("clips") / "Aufnahmen ü"
    (root / "unter ordner").mkdir(parents=True)
    write_video(root / "unter ordner" / "Ann 1.mp4", numbered(75), noise(48000, 1))
    left, right = noise(3 * 48000, 2), noise(3 * 48000, 3)
    times = np.arange(90) / 30
    write_any(root / "bob.mkv", numbered(90), times, np.stack([left, right]), rate=48000, audio_codec="pcm_s16le")
    write_any(root / "cat.avi", numbered(60), np.arange(60) / 25, video_codec="mpeg4")
    soundfile.write(root / "cat #1.wav", noise(int(2.4 * 44100), 4), 44100)
    soundfile.write(root / "short.wav", noise(16000, 5), 16000)
    write_video(root / "mute.mp4", numbered(50), None)
    (root / "broken.mp4").write_bytes((root / "unter ordner" / "Ann 1.mp4").read_bytes()[:5000])
    turns = [Turn(0.5, 1.5, "user", "hello"), Turn(1.5, 2.8, "avatar", "yes"), Turn(2.9, 3.0, "user", "so")]
    write_turns(root / "turns.jsonl", turns)
    return root


ANN_BOB = {
    **{"dyad_id": "ann_bob", "split": "train", "user_video": "unter ordner/Ann 1.mp4", "user_id": "ann"},
    **{"avatar_video": "bob.mkv", "avatar_audio": "bob.mkv#1", "avatar_id": "bob", "turns": "turns.jsonl"},
}
CAT_CAT = {
    **{
        "dyad_id": "cat",
        "split": "test",
        "user_video": "cat.avi",
        "user_audio": "cat #1.wav",
        "user_id": "cat",
    },
    **{"avatar_video": "cat.avi", "avatar_audio": "cat #1.wav", "avatar_id": "dog", "licence": "CC0"},
    **{"user_box": "0,0,24,24", "avatar_box": "40,40,24,24"},
}


def pairs_file(path: Path, *rows: dict) -> Path:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with open(path, "w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


def run(
    tmp_path: Path, clips: Path, *rows: dict, options: AdaptOptions = SMALL, code: int = 0, workers: int = 1
) -> Path:
    out = tmp_path / "out"
    found = adapt(read_pairs(pairs_file(tmp_path / "pairs.csv", *rows), clips), out, options, workers)
    assert finish(found, out, options) == code
    return out


def test_recordings_become_dyads(tmp_path: Path, clips: Path):
    out = run(tmp_path, clips, ANN_BOB, CAT_CAT)
    assert check(out)[1] == []
    first, second = read_manifest(out)
    arrays = load_arrays(first)
    assert numbers(arrays.user_frames) == list(range(75))
    assert numbers(arrays.avatar_frames)[:6] == [0, 1, 2, 4, 5, 6]  # 30 fps by the nearest time
    assert lag(arrays.user_audio, noise(48000, 1)) == 0
    assert lag(arrays.avatar_audio, soundfile.read(second.user.audio)[0]) != 0
    assert first.turns == read_turns(clips / "turns.jsonl") and second.turns == ()
    assert (first.user.crop, first.user.mixed_audio, second.user.mixed_audio) == ("centre", False, True)
    assert second.avatar.licence == "CC0" and (second.user.subject_id, second.avatar.subject_id) == ("cat", "dog")


def test_the_chosen_channel_is_stored(tmp_path: Path, clips: Path):
    """`bob.mkv#1` is the right channel; `#0` is the left one of the side's own video."""
    out = run(tmp_path, clips, ANN_BOB, {**ANN_BOB, "dyad_id": "left", "avatar_audio": "#0"})
    right, left = (load_arrays(dyad, ()).avatar_audio for dyad in read_manifest(out))
    for sound, seed in ((right, 3), (left, 2)):
        decimated = noise(3 * 48000, seed).reshape(-1, 3).mean(1)  # a crude low-pass, enough to tell them apart
        assert lag(sound, decimated) in (-1, 0, 1) and np.corrcoef(sound, decimated)[0, 1] > 0.6


def test_both_sides_end_together_and_the_cut_is_reported(tmp_path: Path, clips: Path, capsys):
    mixed = {**ANN_BOB, "user_video": "cat.avi", "user_audio": "cat #1.wav", "user_id": "cat"}
    out = run(tmp_path, clips, mixed)
    assert "cut 0.60 s from its end" in capsys.readouterr().out
    with open(out / "report.csv", encoding="utf-8") as handle:
        report = {row["role"]: row for row in csv.DictReader(handle)}
    assert float(report["avatar"]["cut_seconds"]) == pytest.approx(0.6)
    assert float(report["user"]["cut_seconds"]) == 0 and report["user"]["frames"] == "60"
    assert report["avatar"]["source"] == "bob.mkv" and float(report["avatar"]["source_fps"]) > 0


def test_a_span_moves_frames_sound_and_turns_together(tmp_path: Path, clips: Path):
    out = run(tmp_path, clips, {**ANN_BOB, "start": "1.0", "end": "2.6", "user_box": "0,0,64,64"})
    dyad = read_manifest(out)[0]
    arrays = load_arrays(dyad)
    assert numbers(arrays.user_frames) == list(range(25, 65))
    assert lag(arrays.user_audio, noise(48000, 1)[16000:41600]) == 0
    assert dyad.turns == (Turn(0.0, 0.5, "user", "hello"), Turn(0.5, 1.6, "avatar", "yes"))
    assert dyad.user.crop == "box:0,0,64,64"


def test_long_recordings_are_cut_into_segments(tmp_path: Path, clips: Path, capsys):
    options = AdaptOptions(size=32, crop="centre", segment_seconds=1.4, minimum_seconds=0.5)
    out = run(tmp_path, clips, ANN_BOB, options=options)
    assert "dropped 0.20 s" in capsys.readouterr().out
    dyads = read_manifest(out, "train")
    assert [dyad.dyad_id for dyad in dyads] == ["ann_bob_s000", "ann_bob_s001"] and check(out)[1] == []
    assert [number for dyad in dyads for number in numbers(load_arrays(dyad).user_frames)] == list(range(70))
    sound = np.concatenate([load_arrays(dyad, ()).user_audio for dyad in dyads])
    assert lag(sound, noise(48000, 1)[: 70 * 640]) == 0
    assert dyads[0].turns == (Turn(0.5, 1.4, "user", "hello"),)  # a turn across the cut is in both parts
    assert [(round(turn.start, 6), round(turn.end, 6)) for turn in dyads[1].turns] == [(0, 0.1), (0.1, 1.4)]


@pytest.mark.parametrize(
    ("seconds", "minimum", "lengths"), [(1.0, 0.5, [25, 25, 25]), (2.0, 1.5, [50]), (9.0, 2.0, [75])]
)
def test_segments_are_whole_and_in_order(
    tmp_path: Path, clips: Path, seconds: float, minimum: float, lengths: list[int]
):
    out = run(
        tmp_path,
        clips,
        ANN_BOB,
        options=AdaptOptions(size=32, crop="centre", segment_seconds=seconds, minimum_seconds=minimum),
    )
    frames = [numbers(load_arrays(dyad, ("user",)).user_frames) for dyad in read_manifest(out)]
    assert [len(part) for part in frames] == lengths and sum(frames, []) == list(range(sum(lengths)))


@given(st.floats(0, 5), st.floats(0.01, 5))
def test_cut_turns_stay_within_the_part(start: float, length: float):
    turns = (Turn(0.5, 2.0, "user", "a"), Turn(1.0, 1.0, "avatar", "b"), Turn(2.0, 6.0, "avatar", "c"))
    for turn in cut_turns(turns, start, start + length):
        assert 0 <= turn.start <= turn.end <= length + 1e-9


def stamps(out: Path) -> dict[str, int]:
    return {str(path.relative_to(out)): path.stat().st_mtime_ns for path in out.rglob("*.mp4")}


def test_a_second_run_only_makes_what_is_missing(tmp_path: Path, clips: Path, capsys):
    out = run(tmp_path, clips, ANN_BOB, CAT_CAT)
    before, manifest = stamps(out), (out / "manifest.csv").read_bytes()
    (out / "test" / "cat" / "user.wav").unlink()
    (out / "manifest.csv").unlink()
    capsys.readouterr()
    run(tmp_path, clips, ANN_BOB, CAT_CAT)
    printed = capsys.readouterr().out
    assert "kept ann_bob" in printed and "made cat" in printed
    after = stamps(out)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"test/cat/user.mp4", "test/cat/avatar.mp4"}
    assert (out / "manifest.csv").read_bytes() == manifest  # and the encoder gave the same bytes
    run(tmp_path, clips, ANN_BOB, CAT_CAT, options=AdaptOptions(size=48, crop="centre"))
    assert read_manifest(out)[0].user.width == 48 and check(out)[1] == []


def state(out: Path) -> dict[str, str]:
    with open(out / "skipped.csv", encoding="utf-8") as handle:
        return {row["dyad_id"]: f"{row['state']}: {row['why']}" for row in csv.DictReader(handle)}


def test_a_broken_recording_is_listed_and_the_others_are_made(tmp_path: Path, clips: Path, capsys):
    bad = {**CAT_CAT, "user_audio": "short.wav"}
    out = run(tmp_path, clips, bad, ANN_BOB, code=BROKEN)
    assert re.match(r"broken: .*short\.wav: the sound lasts 1\.000 s but the video 2\.400 s.*; give", state(out)["cat"])
    assert "1 of 2 dialogues are broken" in capsys.readouterr().err
    assert [dyad.dyad_id for dyad in read_manifest(out)] == ["ann_bob"] and not (out / "test").exists()
    before = stamps(out)
    run(tmp_path, clips, CAT_CAT, ANN_BOB)
    assert before.items() <= stamps(out).items() and check(out)[1] == [] and state(out) == {}


def test_what_was_made_before_stays_when_its_recording_breaks(tmp_path: Path, clips: Path):
    shutil.copytree(clips, tmp_path / "clips")
    out = run(tmp_path, tmp_path / "clips", ANN_BOB, CAT_CAT)
    manifest, before = (out / "manifest.csv").read_bytes(), stamps(out)
    (tmp_path / "clips" / "cat.avi").write_bytes(b"no video")
    run(tmp_path, tmp_path / "clips", ANN_BOB, CAT_CAT, code=BROKEN)
    assert (out / "manifest.csv").read_bytes() == manifest and stamps(out) == before and check(out)[1] == []
    run(tmp_path, tmp_path / "clips", ANN_BOB, CAT_CAT, options=AdaptOptions(size=32, crop="centre", broken_share=0.5))
    (out / "test" / "cat" / "user.mp4").write_bytes(b"other")  # what is no longer as listed is not kept
    run(tmp_path, tmp_path / "clips", ANN_BOB, CAT_CAT, code=BROKEN)
    assert [dyad.dyad_id for dyad in read_manifest(out)] == ["ann_bob"]


def test_an_error_that_nobody_foresaw_leaves_the_others(tmp_path: Path, clips: Path, monkeypatch, capsys):
    real = engine.convert

    def convert(pair, out, options):
        if pair.dyad_id == "cat":
            raise KeyError("a field that is not there")
        return real(pair, out, options)

    monkeypatch.setattr(engine, "convert", convert)
    out = run(tmp_path, clips, CAT_CAT, ANN_BOB, code=BROKEN)
    assert "KeyError" in state(out)["cat"] and "Traceback" in capsys.readouterr().err
    assert [dyad.dyad_id for dyad in read_manifest(out)] == ["ann_bob"]


def test_workers_give_the_same_bytes(tmp_path: Path, clips: Path):
    (tmp_path / "two").mkdir()
    one, two = (run(folder, clips, ANN_BOB, CAT_CAT, workers=n) for folder, n in ((tmp_path, 1), (tmp_path / "two", 2)))
    assert (one / "manifest.csv").read_bytes() == (two / "manifest.csv").read_bytes()


def test_flags_are_spread_over_the_time_they_cover():
    flags = np.array([1, 0, 1, 1], bool)
    assert at_frames(flags, 100, 0.0, 4.0).reshape(4, 25).all(1).tolist() == [True, False, True, True]
    assert at_frames(np.repeat(flags, 240), 100, 0.0, 4.0).reshape(4, 25).all(1).tolist() == [True, False, True, True]
    assert at_frames(flags, 25, 1.0, 4.0).any() == False  # noqa: E712
    assert not at_frames(np.zeros(0), 5, 0.0, 1.0).any()


MEDIA_FAULTS = {
    "no sound": ({"user_video": "mute.mp4"}, r"mute\.mp4: the file has no audio stream; give"),
    "truncated": ({"user_video": "broken.mp4"}, r"broken\.mp4: .*truncated.*again"),
    "no picture": ({"user_video": "short.wav"}, r"short\.wav: .*no video stream; give"),
    "no such channel": (
        {"avatar_audio": "bob.mkv#2"},
        r"bob\.mkv: there is no audio channel 2, it has 2; correct",
    ),
    "end after the video": (
        {"end": "9"},
        r"Ann 1\.mp4: the video ends at 3\.00 s, before end 9 s; correct end",
    ),
    "start after the video": ({"start": "8", "end": "9"}, r"Ann 1\.mp4: .*correct start and end"),
    "box outside": ({"user_box": "70,0,10,10"}, r"Ann 1\.mp4: the box .* lies outside 64x64; correct it"),
    "bad turns": (
        {"turns": "short.wav"},
        r"short\.wav: not UTF-8 text.*; save|short\.wav line 1: not a turn",
    ),
}


@pytest.mark.parametrize("fault", MEDIA_FAULTS)
def test_bad_recordings_are_named_and_leave_no_half_output(tmp_path: Path, clips: Path, fault: str):
    change, words = MEDIA_FAULTS[fault]
    with pytest.raises(DataError, match=words) as caught:
        run(tmp_path, clips, {**ANN_BOB, **change})
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in (tmp_path / "out").rglob("*")) == ["report.csv", "skipped.csv"]


PAIR_FAULTS = {
    "missing column": (
        [{key: ANN_BOB[key] for key in ANN_BOB if key != "user_id"}],
        "missing column user_id; add",
    ),
    "empty file": ([], "lists no dialogues; add|missing column"),
    "empty value": ([{**ANN_BOB, "avatar_id": ""}], "line 2: column avatar_id is empty; fill"),
    "unknown split": ([{**ANN_BOB, "split": "dev"}], "line 2: unknown split 'dev'; use"),
    "missing video": (
        [{**ANN_BOB, "user_video": "x.mp4"}],
        r"line 2: user_video .*x\.mp4 does not exist; correct",
    ),
    "missing sound": (
        [{**ANN_BOB, "avatar_audio": "x.wav"}],
        r"line 2: avatar_audio .*x\.wav does not exist; corr",
    ),
    "missing turns": ([{**ANN_BOB, "turns": "x.jsonl"}], r"line 2: turns .*x\.jsonl does not exist; correct"),
    "no box": ([{**ANN_BOB, "user_box": "1,2,3"}], "line 2: user_box '1,2,3' is no box; write"),
    "flat box": ([{**ANN_BOB, "user_box": "1,2,3,0"}], "line 2: user_box '1,2,3,0' is no box; write"),
    "span backwards": ([{**ANN_BOB, "start": "2", "end": "1"}], "line 2: start '2' and end '1'.*; give"),
    "zero length": ([{**ANN_BOB, "start": "1", "end": "1"}], "line 2: start '1' and end '1'.*; give"),
    "no number": ([{**ANN_BOB, "start": "soon"}], "line 2: start 'soon' and end ''.*; give"),
    "same name twice": ([ANN_BOB, ANN_BOB], "line 3: dyad_id 'ann_bob' is already on line 2; rename"),
    "name with slash": ([{**ANN_BOB, "dyad_id": "a/b"}], "line 2: dyad_id 'a/b' cannot name a folder; drop"),
    "identity in both splits": (
        [ANN_BOB, {**CAT_CAT, "avatar_id": "bob"}],
        r"identity 'bob' is in splits train \(line 2\) and test \(line 3\); keep",
    ),
}


@pytest.mark.parametrize("fault", PAIR_FAULTS)
def test_bad_pairs_files_are_named_before_anything_is_written(tmp_path: Path, clips: Path, fault: str):
    rows, words = PAIR_FAULTS[fault]
    with pytest.raises(DataError, match=words) as caught:
        run(tmp_path, clips, *rows)
    assert str(caught.value).startswith(str(tmp_path / "pairs.csv")) and not (tmp_path / "out").exists()


def test_all_faults_of_a_pairs_file_come_at_once(tmp_path: Path, clips: Path):
    with pytest.raises(DataError) as caught:
        run(tmp_path, clips, {**ANN_BOB, "split": "dev", "end": "x"}, {**CAT_CAT, "user_video": "x.mp4"})
    assert len(str(caught.value).splitlines()) == 3


@pytest.mark.parametrize(
    "text, words",
    [
        ("{", "--options is not JSON"),
        ("[1]", "--options is no JSON object; give"),
        ('{"sise": 64}', "unknown key 'sise'; use one of dataset, size"),
        ('{"size": "64"}', "size is '64'; give a int"),
        ('{"size": 33}', "size is 33; give an even number"),
        ('{"segment_seconds": 1, "minimum_seconds": 2}', "segment_seconds is 1; give"),
    ],
)
def test_bad_options_are_named(text: str, words: str):
    with pytest.raises(ConfigError, match=words):
        parse_options(AdaptOptions, text)


def test_flags_win_over_options():
    options = parse_options(
        AdaptOptions, json.dumps({"size": 128, "crf": 20, "segment_seconds": 8}), size=32, segment_seconds=None
    )
    assert options == AdaptOptions(size=32, crf=20, segment_seconds=8)


def test_the_command_line(tmp_path: Path, clips: Path, monkeypatch):
    pairs_file(tmp_path / "pairs.csv", CAT_CAT)
    arguments = ["--pairs", tmp_path / "pairs.csv", "--root", clips, "--out", tmp_path / "out", "--size", 32]
    monkeypatch.setattr(sys, "argv", ["folder", *map(str, arguments)])
    assert main() == 0 and len(read_manifest(tmp_path / "out")) == 1
    monkeypatch.setattr(sys, "argv", ["folder", *map(str, arguments), "--root", str(tmp_path / "nowhere")])
    with pytest.raises(DataError, match="nowhere: there is no such folder; give"):
        main()


@needs_real_clips
def test_the_example_pairs_and_two_real_dialogues(tmp_path: Path):
    pairs = {pair.dyad_id: pair for pair in read_pairs(PROJECT / "workflow/config/real_clips_pairs.csv", REAL_CLIPS)}
    assert {pair.split for pair in pairs.values()} == {"train", "test"} and "af" in pairs
    chosen = [pair.__class__(**{**pair.__dict__, "end": 1.2}) for pair in (pairs["af"], pairs["silent_to_odd"])]
    adapt(chosen, tmp_path / "out", AdaptOptions(size=64))
    assert check(tmp_path / "out")[1] == []
    for dyad in read_manifest(tmp_path / "out"):
        assert load_arrays(dyad).avatar_frames.shape == (30, 64, 64, 3)
        assert dyad.user.crop.startswith("tracked:") and dyad.avatar.crop.startswith(("tracked:", "box:"))
