"""Set metrics between methods: jackknife, bootstrap and exchange, by hand and by the rate of false alarms."""

import math

import numpy as np
import pytest
from readings_file import META, readings

from analysis import resampling, stats
from analysis.bootstrap import hierarchical_bootstrap
from evaluation.readings.set_level import SetMetric, frechet, set_metric


def mean_metric(values):
    """A 'metric' that is the mean of one number per clip: sums (n, total)."""
    cells = np.stack([np.ones(len(values)), values], 1)
    names = tuple(f"c{index:02d}" for index in range(len(values)))
    return SetMetric(names, cells, lambda totals: totals[:, 1] / totals[:, 0])


def pairs_of(a, b):
    return [(mean_metric(x), mean_metric(y)) for x, y in zip(a, b, strict=True)]


def test_pseudo_values_of_a_mean_are_the_values():
    a, b = np.random.default_rng(0).standard_normal((2, 3, 9))
    pairs = pairs_of(a, b)
    np.testing.assert_allclose(resampling.pseudo_values(pairs), a - b, atol=1e-12)
    crossed, known = resampling.crossed(pairs), stats.mean_crossed(a - b)
    assert (crossed.estimate, crossed.error, crossed.freedom) == pytest.approx(
        (known.estimate, known.error, known.freedom)
    )


def test_bootstrap_of_a_mean_is_the_hierarchical_one():
    a, b = np.random.default_rng(1).standard_normal((2, 4, 12))
    people = [f"p{index // 2}" for index in range(12)]
    found = resampling.bootstrap(pairs_of(a, b), people, draws=2000, seed=3)
    known = hierarchical_bootstrap(a - b, people, draws=2000, seed=3)
    assert found.estimate == pytest.approx(known.estimate)
    # one divides by the clips drawn, the other weighs every drawn cell; both by the same counts
    assert (found.low, found.high) == pytest.approx((known.low, known.high), abs=1e-9)


def test_exchange_of_a_mean_is_the_sign_flip():
    a, b = np.random.default_rng(2).standard_normal((2, 1, 11)) + [[[0.6]], [[0.0]]]
    known = stats.sign_flip((a - b)[0])
    assert resampling.exchange(pairs_of(a, b), flips=9999) == pytest.approx(known, abs=3 * math.sqrt(known / 9999))


def test_pairs_are_cut_to_the_clips_all_share():
    one, other = mean_metric(np.arange(4.0)), mean_metric(np.arange(3.0))
    ((first, second),) = resampling.common([(one, other)])
    assert first.clips == second.clips == ("c00", "c01", "c02")
    assert resampling.plain([(first, second)]) == 0


def test_too_little_data_is_no_number():
    alone = pairs_of(np.zeros((1, 8)), np.ones((1, 8)))
    assert resampling.crossed(alone).status == "one_seed" and resampling.bootstrap(alone).status == "one_seed"
    assert resampling.crossed([]).status == "too_few_pairs" and resampling.bootstrap([]).status == "too_few_pairs"
    assert math.isnan(resampling.exchange([])) and math.isnan(resampling.plain([]))
    assert math.isnan(resampling.exchange(pairs_of(np.zeros((3, 4)), np.ones((3, 4)))))
    never = SetMetric(tuple("abcdefgh"), np.ones((8, 1)), lambda totals: np.full(len(totals), math.nan))
    assert resampling.bootstrap([(never, never)] * 2).status == "undefined_draws"
    assert math.isnan(resampling.exchange([(never, never)] * 2))


def simulated(rng, seeds=3, clips=16, gap=0.0, of_seed=0.1, of_clip=0.4):
    """Pairs of a Frechet distance in 4 dimensions: seeds and dialogues both move a method's frames."""
    names, pairs = tuple(f"c{index}" for index in range(clips)), []
    truth = rng.standard_normal((clips, 20, 4))
    about = of_clip * rng.standard_normal((clips, 1, 4))
    for _ in range(seeds):
        sides = []
        for shift in (gap, 0.0):
            moved = about + of_clip * rng.standard_normal((clips, 1, 4)) + of_seed * rng.standard_normal(4)
            generated = truth + moved + 0.5 * rng.standard_normal((clips, 20, 4)) + shift
            sides.append(frechet(list(zip(generated, truth, strict=True)), names))
        pairs.append(tuple(sides))
    return pairs


RUNS = 400


def rejected(rng, runs=RUNS, **how):
    means = (resampling.crossed(simulated(rng, **how)) for _ in range(runs))
    return np.mean([2 * min(stats.p_above(m), stats.p_below(m)) <= 0.05 for m in means])


@pytest.mark.parametrize("of_seed", [0.1, 0.6])
def test_frechet_distances_of_equal_methods_differ_in_at_most_5_percent_of_studies(of_seed):
    assert rejected(np.random.default_rng(3), of_seed=of_seed) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / RUNS)


def test_a_true_difference_is_found_more_often_the_larger_it_is():
    rates = [rejected(np.random.default_rng(4), 80, gap=gap) for gap in (0.0, 0.5, 1.5)]
    assert rates == sorted(rates) and rates[-1] > 0.8


def test_a_worse_method_is_worse_on_every_set_metric():
    pairs = {}
    for metric, part, sign in (
        ("fid_small", "frame", 1), ("motion_fd_pooled", "all", 1), ("expression_amplitude", "all", 1),
        ("expression_correlation", "all", -1),
    ):  # fmt: skip
        for seed in range(3):
            bad = readings(np.random.default_rng([seed, 1]), 8, shift=1.5, scale=2.0, gain=0.1)
            good = readings(np.random.default_rng([seed, 2]), 8)
            pair = tuple(set_metric(metric, part, found, META) for found in (bad, good))
            pairs.setdefault(metric, []).append(pair)
        mean = resampling.crossed(pairs[metric])
        chance = stats.p_above(mean) if sign > 0 else stats.p_below(mean)
        assert sign * mean.estimate > 0 and chance < 0.05
        assert resampling.exchange(pairs[metric], flips=499) < 0.02
