"""The manifest reader: a sound folder, and one sentence with file and remedy for every fault."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from clip_factory import make_data, noise, numbered, numbers, smooth, write_any

from dyads.contract import (
    COLUMNS,
    Turn,
    data_folders,
    load_arrays,
    read_manifest,
    read_turns,
    scan,
    write_manifest,
    write_turns,
)
from dyads.errors import DataError
from dyads.media.video import write_video, write_wav


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("sound") / "Ordner mit ü und Leerzeichen")


@pytest.fixture
def data(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "Daten für 対話"))


def rows_of(data: Path) -> list[dict]:
    with open(data / "manifest.csv", encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def edit(data: Path, index: int, **values: str) -> None:
    rows = rows_of(data)
    rows[index].update(values)
    write_manifest(data, rows)


def test_a_sound_folder_is_read(data: Path):
    test, train = read_manifest(data, "test"), read_manifest(data, "train")
    assert [dyad.dyad_id for dyad in read_manifest(data)] == ["ann_bob", "cat_dan"]
    assert [dyad.dyad_id for dyad in test + train] == ["cat_dan", "ann_bob"]
    dyad = train[0]
    assert dyad.side("user") is dyad.user and dyad.avatar.subject_id == "bob"
    assert dyad.turns[1] == Turn(0.2, 0.4, "avatar", "grüß dich")
    assert dyad.truth_path == dyad.folder / "truth.safetensors" and dyad.folder == data / "train" / "ann_bob"


def test_arrays_are_decoded(data: Path):
    dyad = read_manifest(data)[0]
    both, one = load_arrays(dyad), load_arrays(dyad, ("user",))
    assert both.user_frames.shape == both.avatar_frames.shape == (10, 32, 32, 3)
    assert numbers(both.user_frames) == list(range(10)) and both.user_audio.shape == (6400,)
    assert both.user_audio.dtype == np.float32 and np.abs(both.user_audio - noise(6400, 0)).max() < 1e-4
    assert one.avatar_frames is None and np.array_equal(one.reference, both.avatar_frames[0])
    assert np.array_equal(one.avatar_audio, both.avatar_audio)
    assert load_arrays(dyad, ()).user_frames is None


def test_one_channel_of_a_stereo_file_is_picked(data: Path):
    dyad = read_manifest(data)[0]
    left, right = noise(6400, 8), noise(6400, 9)
    soundfile.write(dyad.user.audio, np.stack([left, right], 1), 16000, subtype="PCM_16")
    with pytest.raises(DataError, match="user.wav.*mono at 16000 Hz.*dyads.adapters.folder"):
        load_arrays(dyad)
    edit(data, 0, audio_channel="1")
    assert np.abs(load_arrays(read_manifest(data)[0]).user_audio - right).max() < 1e-4
    edit(data, 0, audio_channel="2")
    with pytest.raises(DataError, match="user.wav.*no channel 2; correct audio_channel"):
        load_arrays(read_manifest(data)[0])


def drop_role(data: Path) -> None:
    write_manifest(data, rows_of(data)[1:])


def second_role(data: Path) -> None:
    edit(data, 1, role="user")


def missing_column(data: Path) -> None:
    text = (data / "manifest.csv").read_text(encoding="utf-8")
    (data / "manifest.csv").write_text(text.replace("licence,crop", "licence,cut"), encoding="utf-8")


def short_row(data: Path) -> None:
    with open(data / "manifest.csv", "a", encoding="utf-8") as handle:
        handle.write("tiny,train\n")


def latin1(data: Path) -> None:
    (data / "manifest.csv").write_bytes(",".join(COLUMNS).encode() + b"\nd\xfc\n")


def turns(text: str) -> Callable[[Path], None]:
    def damage(data: Path) -> None:
        (data / "train" / "ann_bob" / "turns.jsonl").write_text(text, encoding="utf-8")

    return damage


def semicolons(data: Path) -> None:
    text = (data / "manifest.csv").read_text(encoding="utf-8")
    (data / "manifest.csv").write_text(text.replace(",", ";"), encoding="utf-8")


def remove(name: str) -> Callable[[Path], None]:
    return lambda data: (data / name).unlink()


def change(index: int, **values: str) -> Callable[[Path], None]:
    return lambda data: edit(data, index, **values)


def turn(**values: object) -> str:
    return json.dumps({"start": 0.0, "end": 0.1, "role": "user", "text": "a"} | values) + "\n"


LIGHT = {
    "no manifest": (remove("manifest.csv"), r"manifest\.csv: there is no manifest; give .*dyads\.adapters\.folder"),
    "missing column": (missing_column, r"manifest\.csv: missing column crop; add it"),
    "empty manifest": (lambda data: write_manifest(data, []), r"manifest\.csv.*lists no dyads; add"),
    "short row": (short_row, r"manifest\.csv line 6: .*as many values.*; correct"),
    "not UTF-8": (latin1, r"manifest\.csv.*save it as UTF-8"),
    "unknown role": (change(0, role="host"), r"manifest\.csv line 2: unknown role 'host'; use"),
    "unknown split": (change(2, split="dev"), r"line 4: unknown split 'dev'; use"),
    "role twice": (second_role, r"manifest\.csv line 3: dyad 'ann_bob' has two rows for role 'user'; keep"),
    "role missing": (drop_role, r"manifest\.csv: dyad 'ann_bob' has no row for role 'user'; add"),
    "identity in two splits": (
        change(2, subject_id="bob"),
        r"manifest\.csv: subject 'bob' is in splits train \(line 3\) and test \(line 4\); keep",
    ),
    "dyad in two splits": (change(0, split="test"), r"rows of dyad 'ann_bob' differ in split; make"),
    "missing video": (
        remove("train/ann_bob/user.mp4"),
        r"line 2: video file .*user\.mp4 is missing; restore",
    ),
    "missing sound": (remove("test/cat_dan/avatar.wav"), r"line 5: audio file .*avatar\.wav.*; restore"),
    "stored fps": (change(0, fps="30"), r"line 2: fps is '30'.*must have 25; .*dyads\.adapters\.folder"),
    "odd width": (change(1, width="33"), r"line 3: width is '33'.*even.*dyads\.adapters\.folder"),
    "empty subject": (change(1, subject_id=""), r"line 3: column subject_id is empty; fill"),
    "no number": (change(1, height="tall"), r"line 3: height is 'tall'"),
    "bad channel": (change(1, audio_channel="left"), r"line 3: audio_channel is 'left'; leave"),
    "semicolons": (semicolons, r"manifest\.csv: its fields are separated by semicolons; save it with commas"),
    "bad flag": (change(1, mixed_audio="maybe"), r"line 3: mixed_audio is 'maybe'; write true or false"),
    "slash in the name": (change(0, dyad_id="../x"), r"line 2: dyad_id '\.\./x' cannot name a folder; drop"),
    "no turns": (remove("train/ann_bob/turns.jsonl"), r"turns\.jsonl: there is no turns file; write"),
    "turn backwards": (
        turns(turn(start=0.3)),
        r"turns\.jsonl line 1: the turn runs from 0\.3 to 0\.1 s; give",
    ),
    "turn without an end": (turns('{"start": 0, "end": null, "role": "user", "text": ""}'), r"numbers\); write each"),
    "turn of half a line": (turns('{"start": 0, "end"'), r"line 1: not a turn \(no JSON: .*\); write each line as"),
    "turn without a role": (turns('{"start": 0, "end": 1}'), r"line 1: not a turn \('role' is missing\); write each"),
    "turn before zero": (turns(turn(start=-1)), r"turns\.jsonl line 1: the turn runs from -1 to"),
    "turn at NaN": (turns(turn(end=float("nan"))), r"turns\.jsonl line 1: the turn runs from 0 to nan"),
    "turn of nobody": (turns(turn() + turn(role="host")), r"turns\.jsonl line 2: unknown role 'host'; use"),
    "turn no JSON": (turns(turn() + "hello\n"), r"turns\.jsonl line 2: not a turn .*; write each line"),
    "turn no object": (turns("[1, 2]\n"), r"turns\.jsonl line 1: not a turn .*; write each line"),
    "turn without words": (turns('{"start": 0, "end": 1, "role": "user"}'), r"line 1: not a turn .*text"),
    "turns out of order": (turns(turn(start=0.05) + turn()), r"turns\.jsonl line 2: .*above; sort"),
}


@pytest.mark.parametrize("fault", LIGHT)
def test_light_faults_are_named_with_a_remedy(data: Path, fault: str):
    damage, words = LIGHT[fault]
    damage(data)
    with pytest.raises(DataError, match=words) as caught:
        read_manifest(data)
    assert "\n" not in str(caught.value) and str(data) in str(caught.value)


def zero_length(data: Path) -> None:
    write_any(data / "train/ann_bob/user.mp4", np.zeros((0, 32, 32, 3), np.uint8), np.zeros(0), noise(6400)[None])


def other_fps(data: Path) -> None:
    times = np.arange(12) / 30
    write_any(data / "train/ann_bob/user.mp4", numbered(12, 32), times, noise(6400)[None])


def no_sound(data: Path) -> None:
    write_video(data / "train/ann_bob/user.mp4", numbered(10, 32), None)


def longer_wav(data: Path) -> None:
    write_wav(data / "train/ann_bob/user.wav", noise(6401))


def other_length(data: Path) -> None:
    write_video(data / "train/ann_bob/user.mp4", numbered(9, 32), noise(9 * 640))
    write_wav(data / "train/ann_bob/user.wav", noise(9 * 640))


def other_size(data: Path) -> None:
    write_video(data / "train/ann_bob/user.mp4", smooth(10, 48, 48), noise(6400))


def text_for_video(data: Path) -> None:
    (data / "train/ann_bob/avatar.mp4").write_text("nothing")


def text_for_sound(data: Path) -> None:
    (data / "train/ann_bob/avatar.wav").write_text("nothing")


DEEP = {
    "zero-length clip": (zero_length, r"user\.mp4: .*(no frames|no known codec).*"),
    "odd fps": (other_fps, r"user\.mp4: the video has 29\.\d+ fps.*must have 25; .*dyads\.adapters\.folder"),
    "no audio stream": (no_sound, r"user\.mp4: the video has no audio stream; .*dyads\.adapters\.folder"),
    "wav of another length": (
        longer_wav,
        r"user\.wav: 6401 samples.*10 frames of user\.mp4, 6400.*dyads\.adapters\.folder",
    ),
    "sides of other length": (
        other_length,
        r"ann_bob: the user has 9 frames, the avatar 10; .*dyads\.adapters\.folder",
    ),
    "other size": (other_size, r"user\.mp4: the video is 48x48 but the manifest says 32x32; correct"),
    "no video": (text_for_video, r"avatar\.mp4: cannot be decoded.*; fetch or export it again"),
    "no sound file": (text_for_sound, r"avatar\.wav: cannot be read as sound.*dyads\.adapters\.folder"),
}


@pytest.mark.parametrize("fault", DEEP)
def test_deep_faults_are_named_when_loading(data: Path, fault: str):
    damage, words = DEEP[fault]
    damage(data)
    dyad = read_manifest(data)[0]  # the light checks do not open media
    with pytest.raises(DataError, match=words) as caught:
        load_arrays(dyad)
    assert "\n" not in str(caught.value) and str(data) in str(caught.value)


def test_several_faults_are_counted_and_all_found(data: Path):
    edit(data, 0, fps="30", mixed_audio="x")
    edit(data, 3, role="host")
    with pytest.raises(DataError, match=r"\(and \d+ more: run `python -m dyads\.check"):
        read_manifest(data)
    faults = "\n".join(scan(data).faults)
    assert "line 2: fps" in faults and "line 2: mixed_audio" in faults and "line 5: unknown role" in faults


def test_an_absent_split_is_named(tmp_path: Path):
    data = make_data(tmp_path / "d", frames=2, people={"train": ["ann>bob"]})
    with pytest.raises(DataError, match=r"manifest\.csv: no dyad is in split 'test'; use"):
        read_manifest(data, "test")


def test_turns_are_written_sorted_and_come_back(tmp_path: Path):
    turns = [Turn(1.0, 2.5, "avatar", 'sie sagte "ja"'), Turn(0.0, 1.25, "user", "naïve\n二")]
    write_turns(tmp_path / "turns.jsonl", turns)
    assert read_turns(tmp_path / "turns.jsonl") == (turns[1], turns[0])
    write_turns(tmp_path / "empty.jsonl", [])
    assert read_turns(tmp_path / "empty.jsonl") == ()


def test_a_replicate_is_on_the_data_of_its_study(tmp_path):
    study = tmp_path / "default"
    for folder in ("data/made", "data/without_manifest", "replicate1/tables", "on/replicate2/tables", "other/tables"):
        (study / folder).mkdir(parents=True)
    (study / "data/made/manifest.csv").touch()
    assert data_folders(study) == data_folders(study / "replicate1") == [study / "data/made"]
    assert data_folders(study / "on/replicate2") == data_folders(study / "other") == []
