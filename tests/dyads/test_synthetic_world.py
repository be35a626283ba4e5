"""The synthetic world as a data folder: bytes, contract, splits, errors."""

import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dyads.contract import ROLES, SPLITS, load_arrays, read_manifest
from dyads.errors import ConfigError, DataError
from dyads.features import read_features
from dyads.media.video import read_audio, read_video
from dyads.synthetic.__main__ import main
from dyads.synthetic.coefficients import COEFFICIENTS, EMOTIONS, neutral
from dyads.synthetic.identities import circles_of, identities_of, split_of
from dyads.synthetic.world import WorldOptions, cast, clear_world, generate_dialogue, read_truth, write_world

OPTIONS = WorldOptions(train=2, test=1, size=32, seed=7, seconds=(6.0, 6.5))


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("worlds") / "one"
    assert write_world(out, OPTIONS, progress=False)
    return out


def _hashes(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_bytes_repeat_whatever_the_workers(world, tmp_path):
    write_world(tmp_path / "two", replace(OPTIONS, workers=2), progress=False)
    first, second = _hashes(world), _hashes(tmp_path / "two")
    assert len(first) == 3 * 6 + 2 and first == second


def test_another_seed_is_another_world():
    one, two = (generate_dialogue(seed, "test", 0, (6.0, 6.0)) for seed in (7, 8))
    assert not np.array_equal(one.faces.avatar, two.faces.avatar)
    assert not np.array_equal(one.sound["user"], two.sound["user"])


def test_a_dialogue_does_not_depend_on_the_size_of_the_world(world):
    _, meta = read_truth(world / "train" / "train_0001" / "truth.safetensors")
    alone = generate_dialogue(OPTIONS.seed, "train", 1, OPTIONS.seconds)
    assert meta["identity"] == alone.identity
    tensors, _ = read_truth(world / "train" / "train_0001" / "truth.safetensors")
    assert np.array_equal(tensors["avatar_coefficients"], alone.faces.avatar)


def test_contract_and_truth_agree(world):
    dyads = read_manifest(world)
    assert [d.dyad_id for d in dyads] == ["test_0000", "train_0000", "train_0001"]
    for dyad in dyads:
        arrays = load_arrays(dyad)
        frames = len(arrays.user_frames)
        shapes = {
            **dict.fromkeys(("user_coefficients", "avatar_coefficients", "avatar_expected"), "T 17"),
            **dict.fromkeys(("user_emotion", "avatar_emotion", "state", "event_cue"), "T"),
            "speaking": "T 2",
        }
        tensors, meta = read_features(dyad.truth_path, shapes)
        assert len(tensors["state"]) == frames == len(arrays.avatar_frames)
        assert arrays.user_audio.shape == (frames * 640,)
        assert meta["coefficients"] == list(COEFFICIENTS) and meta["emotions"] == list(EMOTIONS)
        assert {f"person_{meta['identity'][r]:03d}" for r in ("user", "avatar")} == {
            dyad.user.subject_id,
            dyad.avatar.subject_id,
        }
        assert meta["identity"]["user"] != meta["identity"]["avatar"]
        assert all(0 <= t.start < t.end <= frames / 25 + 1e-6 for t in dyad.turns) and dyad.turns


def test_video_shows_the_rendered_coefficients(world):
    dyad = read_manifest(world, "test")[0]
    dialogue = generate_dialogue(OPTIONS.seed, "test", 0, OPTIONS.seconds)
    shown = load_arrays(dyad).avatar_frames.astype(float)
    error = ((shown - dialogue.frames("avatar", OPTIONS.size)) ** 2).mean()
    assert 10 * np.log10(255**2 / error) > 30  # chroma subsampling at 32 px costs most of it


def test_people_of_the_splits_are_disjoint():
    everyone = [person for split in SPLITS for person in identities_of(split)]
    assert len(set(everyone)) == len(everyone)
    assert all(split_of(person) == split for split in SPLITS for person in identities_of(split))
    for split in SPLITS:
        people = identities_of(split)
        met = [cast(3, split, i) for i in range(2 * len(people))]
        for role in ("user", "avatar"):
            assert sorted(c[role] for c in met) == sorted(people * 2)  # everyone twice


def test_test_people_come_in_two_circles_and_the_first_has_the_first_dialogues():
    first, second = (set(circle) for circle in circles_of("test"))
    met = [{cast(3, "test", i)[role] for role in ("user", "avatar")} for i in range(4 * len(first))]
    rounds = 2 * len(first)
    assert set.union(*met[:rounds]) == first and set.union(*met[rounds : 2 * rounds]) == second == set(range(84, 102))
    assert cast(0, "test", 35) == {"user": 56, "avatar": 57}  # as before there was a second circle


def test_validation_dialogues_share_nothing_with_the_others_and_change_nothing_in_them(world, tmp_path):
    """Options are chosen on them: no person, no dialogue of theirs is trained on or tested on."""
    write_world(tmp_path / "more", replace(OPTIONS, validation=2), progress=False)
    splits = {split: read_manifest(tmp_path / "more", split) for split in SPLITS}
    people = {split: {d.side(role).subject_id for d in dyads for role in ROLES} for split, dyads in splits.items()}
    said = {split: {d.side(role).sha256 for d in dyads for role in ROLES} for split, dyads in splits.items()}
    for found in (people, said):
        assert not found["validation"] & (found["train"] | found["test"])
    assert len(splits["validation"]) == 2
    before, after = _hashes(world), _hashes(tmp_path / "more")
    assert {name: after[name] for name in before if name.startswith(("train/", "test/"))} == {
        name: value for name, value in before.items() if name.startswith(("train/", "test/"))
    }


def test_first_frame_of_the_avatar_is_the_neutral_reference():
    for number in range(12):
        faces = generate_dialogue(0, "train", number).faces
        assert np.array_equal(faces.avatar[0], neutral(1)[0])
        assert np.array_equal(faces.expected[0], neutral(1)[0])


def test_complete_folder_is_kept_and_other_options_are_refused(world):
    before = _hashes(world)
    assert not write_world(world, replace(OPTIONS, workers=2), progress=False)
    with pytest.raises(DataError, match="other options"):
        write_world(world, replace(OPTIONS, seed=8), progress=False)
    assert _hashes(world) == before


def test_interrupted_folder_is_finished_to_the_same_bytes(world, tmp_path):
    copy = tmp_path / "cut"
    for name, _ in _hashes(world).items():
        if name != "manifest.csv" and not name.startswith("train/train_0001/truth"):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes((world / name).read_bytes())
    assert write_world(copy, OPTIONS, progress=False)
    assert _hashes(copy) == _hashes(world)


def test_foreign_folder_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match="not empty"):
        write_world(tmp_path, OPTIONS, progress=False)


@pytest.mark.parametrize(
    "change",
    [{"train": 0, "test": 0}, {"size": 33}, {"size": 8}, {"seconds": (9.0, 8.0)}, {"seconds": 8},
     {"seconds": ("a", "b")}, {"workers": 0}, {"train": 1.5}],
)  # fmt: skip
def test_bad_options_are_one_sentence(change):
    with pytest.raises(ConfigError) as caught:
        replace(OPTIONS, **change)
    assert str(caught.value).endswith(".") and next(iter(change)) in str(caught.value)


def test_command_line_errors_have_no_traceback(tmp_path):
    command = [sys.executable, "-m", "dyads.synthetic", "--out", str(tmp_path / "w")]
    done = subprocess.run([*command, "--options", '{"trane": 3}'], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("error: ") and "trane" in done.stderr
    assert len(done.stderr.splitlines()) == 1 and not (tmp_path / "w").exists()


@pytest.mark.parametrize(
    "arguments, word",
    [(["--options", "{"], "JSON"), (["--options", "[1]"], "object"), ([], "--out"),
     (["--preview", "x.mp4", "--dialogue", "valid:0"], "--dialogue")],
)  # fmt: skip
def test_bad_commands_are_refused(monkeypatch, arguments, word):
    monkeypatch.setattr(sys, "argv", ["dyads.synthetic", *arguments])
    with pytest.raises(ConfigError, match=word):
        main()


def test_preview_shows_both_people(tmp_path, monkeypatch):
    path = tmp_path / "look.mp4"
    monkeypatch.setattr(sys, "argv", ["x", "--preview", str(path), "--size", "64", "--options", '{"seconds": [5, 5]}'])
    main()
    frames = read_video(path)
    assert frames.shape[0] == 125 and frames.shape[2] == 128 and read_audio(path).std() > 0.005


def test_only_a_world_makes_way_for_another_and_only_what_it_wrote(tmp_path):
    """A shell's `rm -rf` in its place removed whatever a configuration named."""
    foreign = tmp_path / "foreign"
    (foreign / "train").mkdir(parents=True)
    (foreign / "train/thesis.txt").write_text("years of work")
    clear_world(foreign, WorldOptions())
    assert (foreign / "train/thesis.txt").read_text() == "years of work"

    world = tmp_path / "a world"
    small = WorldOptions(train=1, test=0, size=16, seconds=(4.0, 4.1))
    assert write_world(world, small, progress=False)
    (world / "notes.txt").write_text("mine")
    clear_world(world, small)  # the same options: nothing to make way for
    assert (world / "manifest.csv").is_file()
    clear_world(world, WorldOptions(train=2, test=0, size=16))
    assert sorted(path.name for path in world.iterdir()) == ["notes.txt"]
