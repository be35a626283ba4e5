"""The user study's analysis finds what simulated raters think, and refuses what it cannot trust."""

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.optimize
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_raters import guessing, preferring, ratings, study, write_all

from dyads.errors import ConfigError, DataError
from user_study.__main__ import main
from user_study.analyse import AnalysisOptions, _alpha, agreement, analyse, appropriateness, wins_of
from user_study.bradley_terry import PRIOR, fit, rank_methods, ranks
from user_study.ratings import Answer, Rater, read_rater, read_raters

QUALITY = {"echo": 1.5, "infp": 0.5, "dim": -0.5, "frozen": -1.5}
QUICK = AnalysisOptions(resamples=200)

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


def test_a_mean_is_over_ratings_and_not_over_raters(tmp_path):
    """One rater of 12 pairs says 4 of everything, one of 2 pairs says 1."""
    design, key = study(("echo", "dim"), dialogues=6, pairs=6, checks=0, lists=1)
    contents = [
        ratings(key, design, name, 0, lambda *_, v=value: ((v, v), {"lips": "same", "reaction": "same"}))
        for name, value in (("a", 4), ("b", 1))
    ]
    many, few = read_raters(write_all(tmp_path, key, contents)[0], key)
    few = replace(few, answers=few.answers[:2])
    means = appropriateness([many, few], key, QUICK).set_index("method")["mean"]
    number = len(many.answers)
    assert number > 4 and list(means) == pytest.approx([(4 * number + 1 * 2) / (number + 2)] * 2)


def test_appropriateness_agrees_on_an_ordered_scale(tmp_path):
    """Two raters who differ by one step throughout agree in order, and not at all by name."""
    design, key = study(("echo", "dim", "infp"), dialogues=8, pairs=24, checks=0, lists=1)
    scale = {"echo": 4, "dim": 2, "infp": 1}
    contents = [
        ratings(
            key, design, name, 0,
            lambda left, right, _, u=up: ((scale[left] + u, scale[right] + u), {"lips": "left", "reaction": "left"}),
        )
        for name, up in (("a", 0), ("b", 1))
    ]  # fmt: skip
    found = agreement(read_raters(write_all(tmp_path, key, contents)[0], key)).set_index("question")
    assert found.loc["appropriateness", "alpha"] > 0.4


def test_the_prior_is_weak():
    """A method that wins 10 of 10: the likelihood's slope, less 0.01 of the strength, is zero."""
    found = fit(np.array([[0.0, 10.0], [0.0, 0.0]]))
    known = scipy.optimize.brentq(lambda s: 10 / (1 + math.exp(2 * s)) - 0.01 * s, 0.0, 10.0)
    assert PRIOR == 0.01 and found[0] == pytest.approx(known, abs=1e-3)


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
