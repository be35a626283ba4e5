"""Numbers that a small fault would change unseen; each test kills a mutant of tests/mutants/listed.yaml."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.optimize
from readings_file import META, readings

from analysis import comparisons, people, resampling, stats
from analysis.bootstrap import covers, hierarchical_bootstrap
from analysis.claims import Claim, chances, judge
from analysis.pairing import _by_set, compare
from evaluation.frechet import extrapolate
from evaluation.metrics._estimate import estimate
from evaluation.metrics._series import Undefined, follows, frechet, slope
from evaluation.metrics.expression.expression import expression_amplitude
from evaluation.metrics.motion import rpcc
from evaluation.readings import set_level
from evaluation.readings.by_row import Readings
from evaluation.readings.set_level import SetMetric, set_metric
from evaluation.readings.talking_listening import masked
from evaluation.registry import cards

CLIPS = [f"d{index:02d}" for index in range(24)]
WHO = [f"p{index}" for index in (0, 1, 1, 2, 3, 3, 3, 4, 5, 6, 6, 7, 0, 2, 8, 8, 9, 1, 4, 5, 7, 9, 9, 9)]  # no symmetry
SUBJECTS = dict(zip(CLIPS, WHO, strict=True))


def table(seed=0, seeds=3):
    level = np.random.default_rng(seed).standard_normal(10)[[int(name[1:]) for name in WHO]]
    return level + 0.4 + 0.2 * np.random.default_rng(seed + 1).standard_normal((seeds, 24))


def rows_of(values, other=0.0, metric="psnr", part="frame"):
    lines = []
    for seed, line in enumerate(values):
        for clip, value in zip(CLIPS, line, strict=True):
            lines += [("a", seed, clip, metric, part, value), ("b", seed, clip, metric, part, other)]
    rows = pd.DataFrame(lines, columns=["method", "seed", "clip", "metric", "part", "value"])
    return rows.assign(status="ok", dataset="d", split="test")


def test_whose_dialogue_is_whose_reaches_each_statistic_in_its_order():
    values = table()
    found = compare(rows_of(values), "psnr", "frame", ("a", "b"), Readings(subjects=SUBJECTS))
    known = stats.mean_crossed(people.by_person(values, WHO))
    assert (found.mean.estimate, found.mean.error, found.mean.share) == pytest.approx(
        (known.estimate, known.error, known.share)
    )
    rank = stats.compare(people.means(values, WHO).mean(axis=0))
    assert (found.rank.estimate, found.rank.wilcoxon_p, found.rank.flip_p) == pytest.approx(
        (rank.estimate, rank.wilcoxon_p, rank.flip_p)
    )
    boot = hierarchical_bootstrap(values, WHO)
    assert (found.boot.low, found.boot.high) == pytest.approx((boot.low, boot.high))
    turned = stats.mean_crossed(people.by_person(values, WHO[::-1]))
    assert known.error != pytest.approx(turned.error, rel=1e-3)  # else this could not tell


def pairs_of(values):
    zero = np.zeros(24)
    value = lambda totals: totals[:, 1] / totals[:, 0]  # noqa: E731
    return [
        tuple(SetMetric(tuple(CLIPS), np.stack([np.ones(24), side], 1), value) for side in (line, zero))
        for line in values
    ]


def test_whose_clip_is_whose_reaches_each_statistic_of_a_set_metric():
    pairs = pairs_of(table())
    found = _by_set(pairs, [0, 1, 2], Readings(subjects=SUBJECTS), True, given=False)
    known, boot = resampling.crossed(pairs, WHO), resampling.bootstrap(pairs, WHO)
    assert (found.mean, found.boot.low, found.boot.high) == (known, boot.low, boot.high)
    assert found.rank.flip_p == resampling.exchange(pairs, WHO)
    assert known.error != pytest.approx(resampling.crossed(pairs, WHO[::-1]).error, rel=1e-3)


def test_a_person_changes_sides_in_every_seed_at_once():
    """Three copies of a training are one: with sides drawn anew for each, chance would shrink by their number."""
    pairs = pairs_of(table(seeds=1) - 0.2)
    one, thrice = (resampling.exchange(pairs * times, WHO, flips=1999) for times in (1, 3))
    assert 0.05 < one < 0.95 and thrice == one


def test_chance_is_that_of_seed_0_and_of_as_many_draws_as_the_notes_say():
    values, pairs = table()[0], pairs_of(table(seeds=1))
    for found, again, other, draws in (
        (stats.sign_flip(values), stats.sign_flip(values, 9999, 0), stats.sign_flip(values, 9999, 1), 10_000),
        (
            resampling.exchange(pairs, WHO),
            resampling.exchange(pairs, WHO, 999, 0),
            resampling.exchange(pairs, WHO, 999, 1),
            1000,
        ),
    ):
        assert found == again != other and (found * draws) % 1 == pytest.approx(0, abs=1e-6)
    boots = [hierarchical_bootstrap(table(), **given) for given in ({}, {"seed": 0, "draws": 2000}, {"seed": 1})]
    assert boots[0] == boots[1] != boots[2]


def test_what_was_not_compared_counts_nothing():
    rows = rows_of(table()).assign(value=math.nan, status="no_speech")
    found = compare(rows, "psnr", "frame", ("a", "b"), Readings())
    assert (found.status, found.dialogues, found.total) == ("no_speech: a", 0, 0)
    assert (found.mean.seeds, found.mean.people, found.rank.pairs) == (0, 0, 0)


def test_the_two_sided_p_and_the_interval_of_every_kind():
    mean = stats.mean_crossed(people.by_person(table(), WHO))
    above, below = stats.p_above(mean, 0.1), stats.p_below(mean, 0.1)
    greater = Claim("t", "s", "psnr", "frame", ("a", "b"), "greater", "f", margin=0.1)
    assert chances(greater, mean) == pytest.approx((min(1, 2 * above), min(1, 2 * below)))
    equal = Claim("t", "s", "psnr", "frame", ("a", "b"), "equivalent", "f", margin=0.1)
    within, beyond = stats.p_within(mean, 0.1), min(stats.p_above(mean, 0.1), stats.p_below(mean, -0.1))
    assert chances(equal, mean) == pytest.approx((min(1, 2 * within), min(1, 2 * beyond)))
    for claim in (greater, equal):
        one = judge(rows_of(table()), [claim], Readings(subjects=SUBJECTS))[0]
        assert one.level == 0.95 and (one.low, one.high) == pytest.approx(stats.limits(mean, 0.95))


def test_a_p_between_5_and_10_percent_has_no_mark():
    noise = np.random.default_rng(3).standard_normal((3, 24))
    noise -= noise.mean()

    def p_of(shift):
        mean = stats.mean_crossed(noise + shift)
        return 2 * min(stats.p_above(mean), stats.p_below(mean))

    shift = scipy.optimize.brentq(lambda x: p_of(x) - 0.07, 0.0, 2.0)
    for factor, better in ((1.0, ""), (1.3, "better")):
        line = comparisons.compare_rows(
            rows_of(noise + factor * shift), "b", ["a", "b"], [(cards()["psnr"], "frame")], Readings()
        ).iloc[0]
        assert line["better"] == better and (line["p"] == pytest.approx(0.07, abs=1e-3) or factor > 1)


def test_a_bootstrap_without_a_value_on_a_third_of_the_draws_has_no_interval():
    """Undefined where the first clip is not drawn, which happens to 36 % of test sets."""

    def value(totals):
        return np.where(totals[:, 0] > 0, totals[:, 1], np.nan)

    cells = np.stack([np.arange(24) == 0, np.random.default_rng(0).standard_normal(24)], 1).astype(float)
    pair = SetMetric(tuple(CLIPS), cells, value), SetMetric(tuple(CLIPS), cells * [1, 0.5], value)
    assert resampling.bootstrap([pair, pair]).status == "undefined_draws"
    assert covers(3) == pytest.approx(0.749, abs=1e-3) and covers(2) < 0.65 and 0.87 < covers(8) < 0.95
    assert math.isnan(covers(1))


def test_a_bootstrap_of_three_seeds_holds_the_truth_as_often_as_its_column_says():
    """Where seeds vary alone; called 95 %, and told beside every interval that it is none."""
    rng = np.random.default_rng(0)
    found = [hierarchical_bootstrap(np.tile(rng.standard_normal((3, 1)), 6), draws=300) for _ in range(400)]
    held = np.mean([one.low <= 0 <= one.high for one in found])
    assert held == pytest.approx(covers(3), abs=0.07) and held < 0.85
    claim = Claim("t", "s", "psnr", "frame", ("a", "b"), "greater", "f")
    one = judge(rows_of(table()), [claim], Readings(subjects=SUBJECTS))[0]
    assert one.bootstrap_covers == covers(3) and one.bootstrap_low < one.estimate < one.bootstrap_high


# Metrics


def test_what_trembles_by_less_than_a_hundredth_is_still():
    rng = np.random.default_rng(0)
    true = np.cumsum(rng.standard_normal((60, 1)), 0)
    for size, still in ((0.005, True), (0.02, False)):
        trembling = size * (true - true.mean()) / true.std()
        assert follows(trembling, true) == pytest.approx(0.0 if still else 1.0)
        assert rpcc.rpcc(trembling, true, true) == pytest.approx(2.0 if still else 0.0, abs=1e-9)
        named = {"generated": trembling.astype(np.float32)}
        assert set_level._moves(np.array([60.0]), np.array([np.square(trembling).sum()]), 1)[0] == (not still), named
        if still:
            with pytest.raises(Undefined, match="constant_series"):
                slope(true, trembling, constant_sd=0.01)


def test_bounds_are_on_the_side_that_the_cards_say():
    turning = np.tile([1.0, -1.0], 10)
    assert follows(0.01 * turning, turning) == 0.0  # a hundredth itself is still
    assert frechet(np.array([0.0, 2.0]), np.array([1.0, 3.0])) == pytest.approx(1.0)  # of two samples


def test_a_truth_that_follows_the_oracle_a_little_has_an_amplitude():
    oracle = np.random.default_rng(0).standard_normal((200, 3))
    assert expression_amplitude(0.01 * oracle, 0.02 * oracle, oracle) == pytest.approx(0.5)
    with pytest.raises(Undefined):
        expression_amplitude(oracle, 0.0005 * oracle, oracle)
    products = np.zeros((2, 3, 3))
    products[:, 0, 2], products[:, 1, 2], products[:, 2, 2] = 1.0, [2.0, 0.05], 100.0
    found = set_level._amplitude(np.array([100.0, 100.0]), products, 1)
    assert found[0] == pytest.approx(0.5) and np.isnan(found[1])


def test_sids_truth_is_that_of_each_draw():
    metric = set_metric("sid", "pose", readings(np.random.default_rng(0)), META)
    weights = np.random.default_rng(1).integers(0, 4, (5, 6)).astype(float)
    weights[:, 0] = 1
    totals = weights @ metric.cells
    together = metric.truth(totals)
    assert together == pytest.approx([metric.truth(one[None])[0] for one in totals]) and np.ptp(together) > 0.01
    assert metric.value(totals) == pytest.approx([metric.value(one[None])[0] for one in totals])
    draws = metric.draws(totals)
    assert draws.shape == (5, 8) and np.abs(draws.mean(1) - metric.at(weights)).max() < 0.3
    pair = metric, set_metric("sid", "pose", readings(np.random.default_rng(5)), META)
    luck = resampling.luck([pair])
    assert 0 < luck < 0.05
    pairs = [pair, (pair[0], set_metric("sid", "pose", readings(np.random.default_rng(6)), META))]
    lucky = resampling.crossed([tuple(replace(side, draws=None) for side in own) for own in pairs])
    assert resampling.crossed(pairs).error ** 2 == pytest.approx(lucky.error**2 + resampling.luck(pairs))


def test_a_gaussian_of_no_more_samples_than_dimensions_is_none():
    rng = np.random.default_rng(0)
    sides = [(rng.standard_normal((4, 6)), rng.standard_normal((4, 6))) for _ in range(3)]
    metric = set_level.frechet(sides, ("a", "b", "c"))
    found = metric.at(np.array([[1.0, 0, 0], [1, 1, 0], [1, 1, 1]]))
    assert np.isnan(found[0]) and np.isfinite(found[1:]).all()  # 4 samples, 8 and 12 of 6 dimensions


@pytest.mark.parametrize(("frames", "dimensions"), [(20, 3), (3, 13)])  # by moments, and of so few all at once
def test_an_extrapolation_draws_whole_clips(frames, dimensions):
    rng = np.random.default_rng(0)
    shift = 2 * rng.standard_normal((2, 14, 1, dimensions))
    generated, true = (list(side + 0.1 * rng.standard_normal((14, frames, dimensions))) for side in shift)
    found = {row.part: row.value for row in estimate("m", "all", generated, true)}["all_extrapolated"]
    sides = np.concatenate(generated), np.concatenate(true)
    groups = np.repeat(np.arange(14), frames)
    by_clip, by_frame = (
        np.mean([extrapolate(*sides, generator=np.random.default_rng(k), groups=g).extrapolation for k in range(20)])
        for g in (groups, None)
    )
    assert abs(found - by_clip) < abs(found - by_frame)


def test_a_states_readings_keep_the_reference_images_own_line():
    clip = next(iter(readings(np.random.default_rng(0)).values()))
    kept = masked(clip, "listening")  # the avatar speaks in the first half
    assert np.array_equal(kept["truth"][0], clip["truth"][0]) and len(kept["truth"]) == 30
    assert np.array_equal(kept["truth"][1:], clip["truth"][31:])
