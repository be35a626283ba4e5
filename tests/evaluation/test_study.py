"""The user study: balanced and blinded lists, honest videos, and an analysis that finds what simulated raters think."""

import json
import math
import subprocess
import sys
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_raters import guessing, preferring, ratings, study, write_all

from dyads.contract import file_sha256, load_arrays, read_manifest
from dyads.errors import ConfigError, DataError
from dyads.media import probe, read_video, write_video
from evaluation.study.__main__ import main
from evaluation.study.analyse import AnalysisOptions, _alpha, analyse, appropriateness, wins_of
from evaluation.study.bradley_terry import PRIOR, fit, rank_methods, ranks
from evaluation.study.design import DesignOptions, make_design
from evaluation.study.make import Source, make_study, read_consent
from evaluation.study.ratings import Answer, Rater, read_rater, read_raters
from evaluation.study.stimuli import GAP, VideoOptions, mixed, side_by_side

ROOT = Path(__file__).resolve().parents[2]
QUALITY = {"echo": 1.5, "infp": 0.5, "dim": -0.5, "frozen": -1.5}
QUICK = AnalysisOptions(resamples=200)

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
    command = [sys.executable, "-m", "evaluation.study", *map(str, arguments)]
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


# Analysis


def simulated(tmp_path, number=16, quality=QUALITY, seed=0, **options):
    design, key = study(tuple(quality), **({"dialogues": 8, "pairs": 24, "checks": 2, "lists": 4} | options))
    moods = np.random.default_rng(seed).normal(0, 0.3, number)
    contents = [
        ratings(key, design, f"r{i:02d}", i % len(design.lists), preferring(quality, mood), seed)
        for i, mood in enumerate(moods)
    ]
    return design, key, contents


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_planted_order_is_found(tmp_path, seed):
    _, key, contents = simulated(tmp_path, seed=seed)
    paths, key_path = write_all(tmp_path / "in", key, contents)
    assert analyse(paths, key_path, tmp_path / "out", QUICK) == "16 of 16 raters used"
    order = sorted(QUALITY, key=QUALITY.get, reverse=True)
    table = pd.read_csv(tmp_path / "out/ranks.csv")
    for question in ("lips", "reaction"):
        own = table[table["question"] == question]
        assert list(own["method"]) == order and list(own["rank"]) == [1, 2, 3, 4]
        assert (own["rank_low"] <= own["rank"]).all() and (own["rank"] <= own["rank_high"]).all()
        assert (own["low"] < own["strength"]).all() and (own["strength"] < own["high"]).all()
        assert (own["status"] == "ok").all() and own["compared"].sum() == 2 * 16 * 24
    means = pd.read_csv(tmp_path / "out/appropriateness.csv")
    assert list(means["method"]) == order
    assert (means["low"] < means["mean"]).all() and (means["mean"] < means["high"]).all()
    text = (tmp_path / "out/study.md").read_text()
    assert "16 of 16 raters used" in text and "Krippendorff" in text


def test_raters_at_random_agree_by_chance_and_rank_nobody(tmp_path):
    design, key = study(tuple(QUALITY), dialogues=8, pairs=24, checks=0, lists=2)
    contents = [ratings(key, design, f"r{i}", i % 2, guessing) for i in range(20)]
    analyse(*write_all(tmp_path / "in", key, contents), tmp_path / "out", QUICK)
    agreement = pd.read_csv(tmp_path / "out/agreement.csv").set_index("question")
    assert (agreement["alpha"].abs() < 0.06).all() and (agreement["status"] == "ok").all()
    table = pd.read_csv(tmp_path / "out/ranks.csv")
    assert (table["rank_high"] - table["rank_low"] >= 1).all() and (table["strength"].abs() < 0.35).all()


def test_raters_of_one_mind_agree_perfectly_whichever_side(tmp_path):
    """Two lists show the same pairs on other sides; the answers follow the methods."""
    better = {"echo": 3, "dim": 2, "infp": 1}

    def certain(left, right, rng):
        side = "left" if better[left] > better[right] else "right"
        return (better[left], better[right]), {"lips": side, "reaction": side}

    design, key = study(tuple(better), dialogues=4, pairs=0, checks=0, lists=4)
    contents = [ratings(key, design, f"r{i}", i, certain) for i in range(4)]
    sides = [{(t.left, t.right) for t in trials} for trials in design.lists]
    assert sides[0] != sides[1]
    analyse(*write_all(tmp_path / "in", key, contents), tmp_path / "out", QUICK)
    agreement = pd.read_csv(tmp_path / "out/agreement.csv")
    assert agreement["alpha"].tolist() == [1.0, 1.0, 1.0] and agreement["units"].tolist() == [24, 12, 12]


def test_inattentive_raters_are_counted_and_change_nothing(tmp_path):
    design, key, contents = simulated(tmp_path)
    reverse = {method: -value for method, value in QUALITY.items()}
    bad = [ratings(key, design, f"x{i}", i % 4, preferring(reverse), attentive=False) for i in range(20)]
    clean = write_all(tmp_path / "clean", key, contents)
    mixed_files = write_all(tmp_path / "mixed", key, contents + bad)
    analyse(*clean, tmp_path / "a", QUICK)
    said = analyse(*mixed_files, tmp_path / "b", QUICK)
    assert said == "16 of 36 raters used (20 failed attention checks)"
    for name in ("appropriateness", "ranks", "agreement"):
        assert (tmp_path / f"a/{name}.csv").read_text() == (tmp_path / f"b/{name}.csv").read_text()
    raters = pd.read_csv(tmp_path / "b/raters.csv").set_index("rater")
    assert (raters.loc[[f"x{i}" for i in range(20)], "checks_failed"] == 2).all()
    assert "20 raters who failed" in (tmp_path / "b/study.md").read_text()
    # allowed to fail, they turn the order round
    analyse(*mixed_files, tmp_path / "c", AnalysisOptions(allow_failed=2, resamples=100))
    assert pd.read_csv(tmp_path / "c/ranks.csv")["method"].iloc[0] != "echo"


def test_unfinished_and_unplayable_steps_are_left_out(tmp_path):
    _, key, contents = simulated(tmp_path, number=2)
    first, second = contents
    trials = [i for i, entry in enumerate(first["answers"]) if not key["lists"][0][i]["answer"]]
    for step in trials[:3]:
        first["answers"][step] |= {"done": False, "appro": {"left": None, "right": None}, "lips": None}
    first["answers"][trials[3]] |= {"broken": True, "lips": None}
    for step, trial in enumerate(key["lists"][1]):
        if trial["answer"]:
            second["answers"][step]["done"] = False
    paths, _ = write_all(tmp_path, key, contents)
    one, two = read_raters(paths, key)
    assert (one.status, len(one.answers), one.broken) == ("used", 20, 1)
    assert two.status == "no_check"


def change(path, content, **changes):
    for place, value in changes.items():
        if place in content:
            content[place] = value
        else:
            content["answers"][0][place] = value
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"study": "other"}, "belongs to study other"),
        ({"list": 99}, "list 99"),
        ({"list": True}, "list True"),
        ({"answers": []}, "has not one answer for each"),
        ({"rater": ""}, "names no rater"),
        ({"left": "deadbeef0000"}, "other videos in step 1"),
        ({"appro": {"left": 6, "right": 1}}, "rates the left avatar of step 1 6"),
        ({"appro": {"left": 3}}, "rates the right avatar of step 1 None"),
        ({"lips": "both"}, "answers lips of step 1 'both'"),
    ],
)
def test_altered_ratings_are_refused(tmp_path, changes, message):
    _, key, contents = simulated(tmp_path, number=1)
    change(tmp_path / "r.json", contents[0], **changes)
    with pytest.raises(DataError, match=message):
        read_rater(tmp_path / "r.json", key)


def test_the_same_rater_twice_is_refused(tmp_path):
    _, key, contents = simulated(tmp_path, number=1)
    (path,), _ = write_all(tmp_path, key, contents)
    (tmp_path / "copy.json").write_text(path.read_text())
    with pytest.raises(DataError, match="both of rater r00"):
        read_raters([path, tmp_path / "copy.json"], key)


def test_analyse_command_and_its_errors(tmp_path, capsys):
    design, key, contents = simulated(tmp_path, number=4)
    paths, key_path = write_all(tmp_path, key, contents)
    main(["analyse", *map(str, paths), "--key", str(key_path), "--out", str(tmp_path / "out"), "--resamples", "100"])
    assert capsys.readouterr().out.startswith("4 of 4 raters used")
    bad = write_all(tmp_path / "bad", key, [ratings(key, design, "x", 0, guessing, attentive=False)])
    for arguments, message in (
        ((*bad[0], "--key", key_path), "none of the 1 raters can be used"),
        ((*paths, "--key", paths[0]), "has no 'methods'"),
        ((tmp_path / "nothing.json", "--key", key_path), "is no ratings file"),
        ((*paths, "--key", key_path, "--resamples", 1), "--resamples is 1"),
    ):
        with pytest.raises((ConfigError, DataError), match=message):
            main(["analyse", *map(str, arguments), "--out", str(tmp_path / "nowhere")])
    assert not (tmp_path / "nowhere").exists()


# Mathematics


@given(st.integers(1, 50), st.integers(1, 50))
def test_two_methods_have_the_log_odds_of_their_wins(a, b):
    strength = fit(np.array([[0, a], [b, 0]], float), prior=1e-9)
    assert strength[0] - strength[1] == pytest.approx(math.log(a / b), abs=1e-3)


@given(st.lists(st.integers(0, 12), min_size=12, max_size=12))
@settings(deadline=None)
def test_expected_wins_are_the_observed_ones(counts):
    """The likelihood's own condition: every method wins as often as its strength promises, but for the prior's pull."""
    wins = np.zeros((4, 4))
    wins[~np.eye(4, dtype=bool)] = counts
    strength = fit(wins)
    gap = strength[:, None] - strength[None, :]
    expected = (wins + wins.T) / (1 + np.exp(-gap))
    assert expected.sum(1) == pytest.approx(wins.sum(1) - PRIOR * strength, abs=1e-3)
    assert strength.mean() == pytest.approx(0, abs=1e-9)


def test_a_method_that_always_wins_has_a_finite_strength():
    strength = fit(np.array([[0, 9.0], [0, 0]]))
    assert np.isfinite(strength).all() and strength[0] > strength[1]


def test_what_was_never_compared_has_no_rank():
    wins = np.zeros((3, 4, 4))
    wins[:, 0, 1] = wins[:, 2, 3] = 1
    found = rank_methods(wins, 100, np.random.default_rng(0))
    assert found.status == "not_connected" and np.isnan(found.strength).all() and np.isnan(found.rank).all()
    one = rank_methods(np.ones((1, 2, 2)), 100, np.random.default_rng(0))
    assert one.status == "one_rater" and np.isnan(one.low).all() and one.rank.tolist() == [1, 1]


def test_intervals_of_strengths_cover_the_planted_ones():
    """Over 200 simulated studies of 24 raters; by percentiles of so few raters a 95 % interval covers a little less."""
    rng, planted = np.random.default_rng(3), np.array([1.5, 0.5, -0.5, -1.5])
    upper = np.triu(np.ones((4, 4)), 1)
    chance = 1 / (1 + np.exp(planted[None, :] - planted[:, None]))
    covered = []
    for number in range(200):
        won = rng.binomial(4, chance, (24, 4, 4)) * upper
        wins = won + ((4 - won) * upper).swapaxes(1, 2)
        found = rank_methods(wins, 200, np.random.default_rng(number))
        covered.append((found.low <= planted) & (planted <= found.high))
    assert 0.88 <= np.mean(covered) <= 0.98


def test_ties_share_the_better_rank():
    assert ranks(np.array([0.5, -1.0, 0.5, 0.0])).tolist() == [1, 4, 1, 3]


def test_alpha_of_krippendorffs_own_example():
    """Data 'C' of Krippendorff (1980), in the documentation of R's irr: 0.743 nominal, 0.815 ordinal."""
    raters = [
        "1 2 3 3 2 1 4 1 2 . . .", "1 2 3 3 2 2 4 1 2 5 . 3", ". 3 3 3 2 3 4 2 2 5 1 .", "1 2 3 3 2 4 4 1 2 5 1 .",
    ]  # fmt: skip
    table = [line.split() for line in raters]
    units = {
        (unit,): {str(rater): float(line[unit]) for rater, line in enumerate(table) if line[unit] != "."}
        for unit in range(12)
    }
    assert _alpha(units, "nominal") == (pytest.approx(0.743, abs=5e-4), "ok")
    assert _alpha(units, "ordinal") == (pytest.approx(0.815, abs=5e-4), "ok")


def test_alpha_is_undefined_without_overlap_or_variety():
    apart = _alpha({("a",): {"r": 1.0}, ("b",): {"s": 2.0}}, "nominal")
    assert math.isnan(apart[0]) and apart[1] == "no_overlap"
    same = _alpha({("a",): {"r": 1.0, "s": 1.0}, ("b",): {"r": 1.0, "s": 1.0}}, "nominal")
    assert math.isnan(same[0]) and same[1] == "constant"


def test_a_tie_is_half_a_win(tmp_path):
    design, key = study(("echo", "dim"), dialogues=1, pairs=1, checks=0, lists=1)
    content = ratings(key, design, "r", 0, lambda *_: ((2, 4), {"lips": "same", "reaction": "left"}))
    paths, _ = write_all(tmp_path, key, [content])
    raters = read_raters(paths, key)
    assert wins_of(raters, key, "lips")[0].tolist() == [[0, 0.5], [0.5, 0]]
    left = key["stimuli"][key["lists"][0][0]["left"]]["method"]
    assert wins_of(raters, key, "reaction")[0][key["methods"].index(left)].sum() == 1
    means = appropriateness(raters, key, QUICK).set_index("method")
    assert means.loc[left, "mean"] == 2 and means["low"].isna().all()  # one rater has no interval


def test_intervals_of_means_cover_the_true_mean():
    """Raters differ in mood; over simulated studies a 95 % interval covers about 95 % (percentiles: a little less)."""
    design, key = study(("echo", "dim"), dialogues=4, pairs=4, checks=0, lists=1)
    covered, rng = 0, np.random.default_rng(5)
    for _ in range(150):
        raters = []
        for mood in rng.normal(0, 0.5, 14):
            rated = np.clip(np.rint(3 + mood + rng.normal(0, 0.7, (len(design.lists[0]), 2))), 1, 5).astype(int)
            pairs = zip(design.lists[0], rated.tolist(), strict=True)
            answers = tuple(Answer(trial, tuple(both), {}) for trial, both in pairs)
            raters.append(Rater("", "used", 0, 0, 0, 0.0, answers))
        means = appropriateness(raters, key, QUICK).set_index("method")
        covered += means.loc["echo", "low"] <= 3.0 <= means.loc["echo", "high"]  # 3 by symmetry
    assert 0.85 <= covered / 150 <= 0.99
