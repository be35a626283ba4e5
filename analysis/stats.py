"""Statistics of paired differences: tests, intervals, effect sizes, equivalence and power.

A *table* of differences has the shape (seeds, people), of `analysis.people`. Its cells are not independent: those of
one seed share a training, those of one person share a face. `compare` therefore takes one number per person and speaks
of these trainings only; `mean_crossed` and the bootstrap (`analysis.bootstrap`) speak of other trainings and other
people. A failure is NaN with a status, never a number.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from scipy import optimize, special, stats

from evaluation.cards import OK

NAN = float("nan")
STATUSES = {
    OK: "defined",
    "too_few_pairs": "fewer people with a complete pair than an interval of this level needs",
    "one_seed": "one training cannot say how far another would differ",
    "too_few_methods": "ranks of fewer than three methods; compare the two directly",
    "too_few_values": "no value in more than a tenth of the dialogues (of a set: in a seed); what is left may be easy",
    "all_zero": "every difference is zero",
    "unequal_counts": "the two were computed from different numbers of samples, which bias them differently",
    "undefined_draws": "the metric is undefined on more than a tenth of the resampled test sets",
    "no_spread": "all differences, or all seeds' means, are the same, so chance has no size",
}
_EXACT_FLIPS = 12  # up to 2^12 sign patterns are enumerated


@dataclass(frozen=True)
class Paired:
    """Two methods on independent pairs, in the metric's unit; see `compare`.

    `estimate`, `low`, `high`: Hodges-Lehmann; `wilcoxon_p`, `flip_p`: two-sided; `effect`: rank-biserial in [-1, 1].
    """

    pairs: int
    status: str = OK
    estimate: float = NAN
    low: float = NAN
    high: float = NAN
    wilcoxon_p: float = NAN
    flip_p: float = NAN
    effect: float = NAN


@dataclass(frozen=True)
class Mean:
    """A mean difference over `seeds` x `people` pairs, with its standard error.

    `error` is estimated with `freedom` degrees of freedom; the `share` of its square that the people bring, where
    seeds and people are both samples, with `others`.
    """

    seeds: int
    people: int
    status: str = OK
    estimate: float = NAN
    error: float = NAN
    freedom: float = NAN
    share: float = NAN
    others: float = NAN


def complete(table: np.ndarray) -> np.ndarray:
    """The table without seeds that have no value at all, then without dialogues that lack a value of some seed."""
    table = np.atleast_2d(np.asarray(table, np.float64))
    table = table[np.isfinite(table).any(axis=1)]
    return table[:, np.isfinite(table).all(axis=0)] if len(table) else table[:, :0]


def nested(table: np.ndarray, trainings: Sequence[int] | None) -> np.ndarray:
    """A table (seeds, people) as (trainings, people): seeds that share their backbones are one training's, averaged.

    `trainings`: one label per seed; None, or one label for all: the seeds themselves are what varies.
    """
    if trainings is None or len(set(trainings)) < 2:
        return table
    labels = np.unique(np.asarray(trainings), return_inverse=True)[1]
    return np.array([table[labels == label].mean(axis=0) for label in range(labels.max() + 1)])


def _degenerate(differences: np.ndarray) -> str:
    """The status of differences without variation; rounding alone is no variation."""
    if not differences.any():
        return "all_zero"
    return "no_spread" if np.ptp(differences) <= 1e-9 * np.abs(differences).max() else OK


def compare(differences: np.ndarray, level: float = 0.95, flips: int = 9999, seed: int = 0) -> Paired:
    """Rank and permutation statistics of independent paired differences, shape (N,); NaN is left out.

    Wilcoxon leaves zeros out, the interval keeps them; six pairs are the fewest for a 95 % interval.
    """
    d = np.asarray(differences, np.float64)
    d = d[np.isfinite(d)]
    if len(d) and not d.any():
        return Paired(len(d), "all_zero")
    if _rank_limit(len(d), level) < 1:
        return Paired(len(d), "too_few_pairs")
    p = float(stats.wilcoxon(d[d != 0]).pvalue)
    return Paired(len(d), OK, *hodges_lehmann(d, level), p, sign_flip(d, flips, seed), rank_biserial(d))


@cache
def _rank_limit(pairs: int, level: float) -> int:
    """Smallest x with P(W <= x) >= (1 - level) / 2 under the exact null distribution of the signed-rank sum W."""
    chances = np.ones(1)
    for rank in range(1, pairs + 1):
        chances = 0.5 * (np.pad(chances, (0, rank)) + np.pad(chances, (rank, 0)))
    return int(np.searchsorted(chances.cumsum(), (1 - level) / 2))


def hodges_lehmann(differences: np.ndarray, level: float = 0.95) -> tuple[float, float, float]:
    """Median of the Walsh averages with the interval that inverts the signed-rank test (Hollander and Wolfe, 3.3).

    Covers at least `level` for continuous, symmetric differences; NaN ends if there are too few.
    """
    d = np.asarray(differences, np.float64)
    if not len(d):
        return NAN, NAN, NAN
    walsh = np.sort(d[np.stack(np.triu_indices(len(d)))].mean(axis=0))
    limit = _rank_limit(len(d), level)
    ends = (walsh[limit - 1], walsh[len(walsh) - limit]) if limit else (NAN, NAN)
    return float(np.median(walsh)), float(ends[0]), float(ends[1])


def sign_flip(differences: np.ndarray, flips: int = 9999, seed: int = 0) -> float:
    """Two-sided p of the mean under random signs: exact up to 12 nonzero pairs, else of `flips` draws (never 0)."""
    d = np.asarray(differences, np.float64)
    d = d[d != 0]
    if not len(d):
        return NAN
    enough = abs(d.sum()) - 1e-12 * np.abs(d).sum()
    if len(d) <= _EXACT_FLIPS:
        bits = np.arange(2 ** len(d))[:, None] >> np.arange(len(d)) & 1
        return float((np.abs((1 - 2 * bits) @ d) >= enough).mean())
    signs = 1.0 - 2.0 * np.random.default_rng(seed).integers(0, 2, (flips, len(d)))
    return float(((np.abs(signs @ d) >= enough).sum() + 1) / (flips + 1))


def rank_biserial(differences: np.ndarray) -> float:
    """(R+ - R-) / (R+ + R-) of the signed ranks of nonzero differences; in [-1, 1] (Kerby 2014)."""
    d = np.asarray(differences, np.float64)
    d = d[d != 0]
    ranks = stats.rankdata(np.abs(d))
    return float((ranks * np.sign(d)).sum() / ranks.sum()) if len(d) else NAN


def mean_independent(differences: np.ndarray) -> Mean:
    """Mean of independent differences, shape (N,), with the one-sample t test's error; `people` counts them."""
    d = np.asarray(differences, np.float64)
    d = d[np.isfinite(d)]
    status = "too_few_pairs" if len(d) < 2 else _degenerate(d)
    if status != OK:
        return Mean(1, len(d), status)
    return Mean(1, len(d), OK, float(d.mean()), float(d.std(ddof=1) / math.sqrt(len(d))), len(d) - 1.0)


def mean_crossed(table: np.ndarray) -> Mean:
    """Mean difference when both seeds and people are samples: a two-way random-effects analysis of variance.

    The setting of multi-reader studies (Dorfman, Berbaum and Metz 1992): var = (MS_seed + max(MS_person - MS_rest,
    0)) / (seeds x people). Both parts are estimates, the first one from very few seeds; `p_above` says how that
    counts. A single column (a value of the whole test set) leaves a t test over seeds.
    """
    table = complete(table)
    seeds, people = table.shape
    if people == 0:
        return Mean(seeds, people, "too_few_pairs")
    status = "one_seed" if seeds < 2 else _degenerate(table)
    if status != OK:
        return Mean(seeds, people, status)
    if people == 1:
        return replace(mean_independent(table[:, 0]), seeds=seeds, people=1)
    mean = table.mean()
    of_seed, of_person = table.mean(axis=1, keepdims=True), table.mean(axis=0, keepdims=True)
    free_seed, free_person = seeds - 1, people - 1
    square_seed = people * np.square(of_seed - mean).sum() / free_seed
    square_person = seeds * np.square(of_person - mean).sum() / free_person
    square_rest = np.square(table - of_seed - of_person + mean).sum() / (free_seed * free_person)
    of_people = max(square_person - square_rest, 0.0)
    total = square_seed + of_people
    if total <= 1e-18 * np.square(table).max():
        return Mean(seeds, people, "no_spread")
    error = math.sqrt(total / (seeds * people))
    return Mean(seeds, people, OK, float(mean), error, free_seed, float(of_people / total), free_person)


def mean_people(table: np.ndarray, given: bool) -> Mean:
    """`mean_crossed`; of one output that is given, which no seed varies, Student's t over people alone."""
    table = np.atleast_2d(table)
    return mean_independent(complete(table)[0]) if given and len(table) == 1 else mean_crossed(table)


def limits(mean: Mean, level: float = 0.95) -> tuple[float, float]:
    """The mean differences that `p_above` and `p_below` do not reject: Student's interval where one sample varies."""
    reach = mean.error * _reach(mean, (1 - level) / 2)
    return mean.estimate - reach, mean.estimate + reach


def p_above(mean: Mean, threshold: float = 0.0) -> float:
    """One-sided p against "the difference is at most `threshold`".

    Generalised p (Tsui and Weerahandi 1989): the chance of a normal deviate beyond the estimate, averaged over what the
    two parts of its variance may be, given their estimates. It is Student's t test where seeds or people alone bring
    the variation. Satterthwaite's approximation rejects up to 7.7 % of true hypotheses at 5 % with three seeds, the
    freedom of the smaller sample alone rejects as few as 0.1 %; two-sided at 5 % this rejects 2.3 to 4.5 % with three
    seeds, 3.3 to 5 % with five, and with two no more than 1 to 3 %.
    """
    return _tail(mean, (mean.estimate - threshold) / mean.error)


def p_below(mean: Mean, threshold: float = 0.0) -> float:
    """One-sided p against "the difference is at least `threshold`"."""
    return _tail(mean, (threshold - mean.estimate) / mean.error)


def _tail(mean: Mean, errors: float) -> float:
    """Chance that a true difference of zero lies so many standard errors below the estimate."""
    if not 0 < mean.share < 1:
        return float(special.stdtr(mean.others if mean.share == 1 else mean.freedom, -errors))
    variances, weights = _variances(mean.freedom, mean.others, mean.share)
    return float(weights @ special.ndtr(-errors / np.sqrt(variances)))


def _reach(mean: Mean, chance: float) -> float:
    """How many standard errors a tail of that chance begins at."""
    if not 0 < mean.share < 1:
        return float(special.stdtrit(mean.others if mean.share == 1 else mean.freedom, 1 - chance))
    most = special.stdtrit(min(mean.freedom, mean.others), 1 - chance)
    return float(optimize.brentq(lambda errors: _tail(mean, errors) - chance, 0.0, 1.5 * most))


def _variances(freedom: float, others: float, share: float, drawn: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """What error² may be in units of its estimate, with weights; `drawn`: what its estimate may be in units of it."""
    (u, of_u), (v, of_v) = _chi_squares(freedom, 200), _chi_squares(others, 24)
    u, v = (u, v) if drawn else (1 / u, 1 / v)
    return ((1 - share) * u[:, None] + share * v).ravel(), (of_u[:, None] * of_v).ravel()


@cache
def _chi_squares(freedom: float, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Values of chi² / freedom and their weights, dense near zero, where the smallest p come from."""
    middles = (np.arange(number) + 0.5) / number
    weights = 4 * middles**3 / number
    return special.gammaincinv(freedom / 2, middles**4) * 2 / freedom, weights / weights.sum()


def p_within(mean: Mean, margin: float) -> float:
    """TOST: p against "the difference is `margin` or more in size"; below 0.05 iff the 90 % interval lies inside."""
    if not margin > 0:
        raise ValueError(f"an equivalence margin is above 0, not {margin}")
    return max(p_above(mean, -margin), p_below(mean, margin))


def power(mean: Mean, difference: float, level: float = 0.95) -> float:
    """Chance that a two-sided test with this error sees a true `difference`; noncentral t where one sample varies."""
    return _power(mean, difference / mean.error, _reach(mean, (1 - level) / 2))


def _power(mean: Mean, shift: float, bound: float) -> float:
    """The chance to see a difference of `shift` standard errors beyond `bound` of them."""
    if 0 < mean.share < 1:
        variances, weights = _variances(mean.freedom, mean.others, mean.share, drawn=True)
    else:
        variances, weights = _chi_squares(mean.others if mean.share == 1 else mean.freedom, 1000)
    scaled = bound * np.sqrt(variances)  # scipy.stats.nct is NaN far out
    return float(weights @ (special.ndtr(shift - scaled) + special.ndtr(-shift - scaled)))


def detectable(mean: Mean, chance: float = 0.8, level: float = 0.95) -> float:
    """Power note: the smallest true difference that as many clips and seeds see with `chance`, given this error."""
    if mean.status != OK:
        return NAN
    bound = _reach(mean, (1 - level) / 2)
    return mean.error * float(optimize.brentq(lambda shift: _power(mean, shift, bound) - chance, 0.0, 100.0))


def holm(p: np.ndarray, tests: int | None = None) -> np.ndarray:
    """Holm's adjusted p of one family, in the given order; NaN stays NaN.

    `tests`: how many hypotheses the family has, the ones without a p among them (what is not measured today counts all
    the same, so that a verdict does not hang on which rows were run); default: those with a p. Otherwise the same as
    statsmodels' multipletests, which collects garbage at every call: seconds, for a table's many columns.
    """
    p = np.asarray(p, np.float64)
    adjusted, tested = np.full(p.shape, NAN), np.flatnonzero(np.isfinite(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    factors = (len(order) if tests is None else tests) - np.arange(len(order))
    if len(order) and factors[-1] < 1:
        raise ValueError(f"a family of {tests} has {len(order)} p")
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * factors))
    return adjusted
