"""The user study: balanced and blinded lists, and honest videos."""

import json
import subprocess
import sys
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_raters import study

from dyads.contract import file_sha256, load_arrays, read_manifest
from dyads.errors import ConfigError, DataError
from dyads.media.video import probe, read_video, write_video
from user_study.__main__ import main
from user_study.design import DesignOptions, make_design
from user_study.make import Source, make_study, read_consent
from user_study.stimuli import GAP, VideoOptions, mixed, side_by_side

ROOT = Path(__file__).resolve().parents[2]

# Design


@given(
    methods=st.integers(2, 5), dialogues=st.integers(1, 7), pairs=st.integers(0, 40), checks=st.integers(0, 5),
    lists=st.integers(1, 4), seed=st.integers(0, 99),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_lists_are_balanced_and_nothing_is_shown_twice(methods, dialogues, pairs, checks, lists, seed):
    names = tuple("abcde"[:methods])
    options = DesignOptions(pairs=pairs, checks=checks, lists=lists, seed=seed)
    design = make_design(names, tuple(f"d{i}" for i in range(dialogues)), options)
    couples = list(combinations(names, 2))
    assert len(design.lists) == lists
    for trials in design.lists:
        shown, left, used = Counter(), Counter(), Counter()
        for trial in trials:
            a, b = design.stimuli[trial.left], design.stimuli[trial.right]
            assert a.dialogue == b.dialogue
            if trial.answer:
                right, wrong = (a, b) if trial.answer == "left" else (b, a)
                assert right.kind == "true" and wrong.kind in ("frozen", "shifted")
                continue
            shown[frozenset((a.method, b.method))] += 1
            left[a.method] += 1
            left[b.method] -= 1
            used[a.method, b.method, a.dialogue] += 1
            used[b.method, a.method, a.dialogue] += 1
        wanted = min(pairs or len(couples) * dialogues, len(couples) * dialogues)
        assert sum(shown.values()) == wanted and len(trials) == wanted + checks
        assert max(used.values()) == 1
        counts = [shown[frozenset(couple)] for couple in couples]
        assert max(counts) - min(counts) <= 1
        assert max(map(abs, left.values())) <= methods  # sides: no method is mostly on one
    again = make_design(names, tuple(f"d{i}" for i in range(dialogues)), options)
    assert again == design


def test_checks_stand_within_the_list_and_lists_differ():
    design, _ = study(dialogues=8, pairs=12, checks=3, lists=6)
    for trials in design.lists:
        places = [place for place, trial in enumerate(trials) if trial.answer]
        assert len(places) == 3 and places[0] > 0 and min(np.diff(places)) > 1
    assert len(set(design.lists)) == 6
    other, _ = study(dialogues=8, pairs=12, checks=3, lists=6, seed=1)
    assert not set(other.stimuli) & set(design.stimuli)


def test_checks_are_of_dialogues_in_which_the_avatar_speaks():
    design = make_design(("a", "b"), ("d0", "d1", "d2"), DesignOptions(pairs=3, checks=4, lists=3), spoken=("d1",))
    for trials in design.lists:
        assert {design.stimuli[trial.left].dialogue for trial in trials if trial.answer} == {"d1"}
    with pytest.raises(ConfigError, match="--checks 0"):
        make_design(("a", "b"), ("d0",), DesignOptions(), spoken=())


@pytest.mark.parametrize("methods, dialogues", [(("a",), ("d",)), (("a", "a"), ("d",)), (("a", "b"), ())])
def test_a_study_of_nothing_is_refused(methods, dialogues):
    with pytest.raises(ConfigError):
        make_design(methods, dialogues, DesignOptions())


# Videos


@pytest.fixture(scope="module")
def results(world, tmp_path_factory):
    """A results folder: two methods that show the true avatar, upside down or mirrored."""
    folder = tmp_path_factory.mktemp("results") / "tiny"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "synthetic").symlink_to(world)
    for dyad in read_manifest(world, "test"):
        frames = read_video(dyad.avatar.video)
        for method, turned in (("upside", frames[:, ::-1]), ("mirror", frames[:, :, ::-1])):
            write_video(folder / f"videos/{method}/seed0/{dyad.dyad_id}.mp4", turned, None)
    return folder


@pytest.fixture(scope="module")
def made(results, tmp_path_factory):
    """A whole study of it."""
    out = tmp_path_factory.mktemp("made") / "study"
    options = DesignOptions(pairs=2, checks=2, lists=2)
    make_study(
        out, Source(results, results / "data/synthetic"), ("upside", "mirror"), 2, options, VideoOptions(height=64)
    )
    return out


def test_the_page_knows_nothing_of_methods_dialogues_and_right_answers(made):
    key = json.loads((made / "key.json").read_text())
    secret = [b"upside", b"mirror", b"test_0", b"frozen", b"shifted", b"synthetic", b'"answer"']
    files = [path for path in (made / "page").rglob("*") if path.is_file()]
    assert len(files) == 5 + len(key["stimuli"])
    for path in files:
        assert not [word for word in secret if word in path.read_bytes()], path
        assert not any(word.decode() in path.name for word in secret)
    assert {path.stem for path in files if path.suffix == ".mp4"} == set(key["stimuli"])


def test_videos_are_those_of_the_key(made, results):
    key = json.loads((made / "key.json").read_text())
    dyads = {dyad.dyad_id: dyad for dyad in read_manifest(results / "data/synthetic", "test")}
    seen = Counter()
    for token, stimulus in key["stimuli"].items():
        path = made / f"page/videos/{token}.mp4"
        assert stimulus["sha256"] == file_sha256(path)
        arrays = load_arrays(dyads[stimulus["dialogue"]])
        info, frames = probe(path), read_video(path).astype(float)
        assert info.has_audio and frames.shape[1:] == (64, 64 + GAP + 64, 3)
        assert len(frames) == len(arrays.avatar_frames)
        person, avatar = frames[:, ::2, :64:2], frames[:, ::2, 64 + GAP :: 2]
        true = arrays.avatar_frames.astype(float)
        wanted = {
            "true": true, "frozen": np.broadcast_to(true[:1], true.shape), "shifted": np.roll(true, 38, axis=0),
            "method": true[:, ::-1] if stimulus["method"] == "upside" else true[:, :, ::-1],
        }  # fmt: skip
        errors = {kind: np.abs(avatar - video).mean() for kind, video in wanted.items()}
        assert min(errors, key=errors.get) == stimulus["kind"] and errors[stimulus["kind"]] < 12
        assert np.abs(person - arrays.user_frames).mean() < 12
        seen[stimulus["kind"]] += 1
    assert set(seen) == {"method", "true", "frozen", "shifted"} and seen["method"] == 4


def test_the_same_seed_makes_the_same_study(made, results, tmp_path):
    source, options = Source(results, results / "data/synthetic"), DesignOptions(pairs=2, checks=2, lists=2)
    make_study(tmp_path / "again", source, ("upside", "mirror"), 2, options, VideoOptions(height=64))
    for path in made.rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (tmp_path / "again" / path.relative_to(made)).read_bytes(), path


def run(*arguments):
    command = [sys.executable, "-m", "user_study", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


@pytest.mark.parametrize(
    "methods, more, message",
    [
        (("upside", "nobody"), (), r"nobody \(seed 0\) lacks 2 of 2"),
        (("upside", "mirror"), ("--dialogues", "3"), "--dialogues is 3, but must be 1 to 2"),
        (("upside",), (), "at least two different names"),
        (("upside", "mirror"), ("--pairs", "-1"), "--pairs is -1"),
        (("upside", "mirror"), ("--consent", "none.txt"), "cannot be read"),
        (("upside", "mirror"), ("--split", "val"), "val"),
        (("upside", "mirror"), ("--row-seed", "7"), r"\(seed 7\) lacks 2 of 2"),
    ],
)
def test_make_refuses_what_it_cannot_do(results, tmp_path, methods, more, message):
    given = {"--dialogues": "1"} | dict(zip(more[::2], more[1::2], strict=True))
    options = [word for pair in given.items() for word in pair]
    with pytest.raises((ConfigError, DataError), match=message):
        main(["make", "--results", str(results), "--methods", *methods, "--out", str(tmp_path / "new"), *options])
    assert not list(tmp_path.iterdir())  # nothing half made is left


def test_a_study_that_exists_is_not_overwritten(made, results):
    arguments = ("--results", results, "--methods", "upside", "mirror", "--dialogues", 1, "--out", made)
    result = run("make", *arguments)
    assert result.returncode == 2 and "exists already" in result.stderr and "Traceback" not in result.stderr


def test_consent_is_read_by_paragraphs(tmp_path):
    (tmp_path / "consent.txt").write_text("One\nline.\n\n\nTwo.\n")
    assert read_consent(tmp_path / "consent.txt") == ("One line.", "Two.")
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(ConfigError, match="is empty"):
        read_consent(tmp_path / "empty.txt")


def test_faces_are_enlarged_by_whole_factors_to_one_height():
    person, avatar = np.zeros((2, 90, 120, 3), np.uint8), np.zeros((2, 64, 64, 3), np.uint8)
    assert side_by_side(person, avatar, 150).shape == (2, 192, 256 + GAP + 192, 3)
    assert side_by_side(avatar, avatar, 20).shape == (2, 64, 128 + GAP, 3)


def test_voices_are_mixed_without_clipping():
    loud, quiet = np.array([0.9, -0.9], np.float32), np.array([0.6, 0.0], np.float32)
    assert mixed(loud, quiet) == pytest.approx([1.0, -0.6])
    assert mixed(quiet, np.zeros(2, np.float32)) == pytest.approx(quiet)
