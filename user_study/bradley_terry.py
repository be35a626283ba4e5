"""Bradley-Terry strengths from pairwise choices, and their ranks, with intervals over raters."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse.csgraph import connected_components
from scipy.special import expit

# A weak normal prior on the strengths: without it, a method that wins every time has none.
PRIOR = 0.01
STEPS = 200  # of at most one unit of strength


@dataclass(frozen=True)
class Ranking:
    """Per method: `strength` (log-odds of winning, mean 0), its 95 % interval, rank from 1 and the rank's interval.

    NaN where undefined; `status`: ok, not_connected (some methods were never compared, even indirectly).
    """

    status: str
    strength: np.ndarray
    low: np.ndarray
    high: np.ndarray
    rank: np.ndarray
    rank_low: np.ndarray
    rank_high: np.ndarray


def fit(wins: np.ndarray, prior: float = PRIOR) -> np.ndarray:
    """Strengths (..., n), mean 0, that maximise the likelihood of `wins` (..., n, n), a tie being half a win for each.

    wins[i, j]: how often i was preferred to j; P(i over j) = 1 / (1 + exp(s_j - s_i)) (Bradley and Terry 1952). By
    Newton's method with bounded steps; the prior makes the maximum unique.
    """
    total, size = wins + wins.swapaxes(-1, -2), wins.shape[-1]
    strength = np.zeros(wins.shape[:-1])
    for _ in range(STEPS):
        chance = expit(strength[..., :, None] - strength[..., None, :])
        slope = (wins - total * chance).sum(-1) - prior * strength
        weight = total * chance * (1 - chance)
        curve = (weight.sum(-1) + prior)[..., None] * np.eye(size) - weight
        step = np.linalg.solve(curve, slope[..., None])[..., 0]
        strength += step / np.maximum(1, np.abs(step).max(-1, keepdims=True))
        if np.abs(slope).max(initial=0) < 1e-9:
            return strength - strength.mean(-1, keepdims=True)
    raise RuntimeError(f"Newton's method did not settle in {STEPS} steps")


def ranks(strength: np.ndarray) -> np.ndarray:
    """Of strengths (..., n): 1 for the strongest; equals share the better rank."""
    return 1 + (strength[..., None, :] > strength[..., :, None] + 1e-6).sum(-1)


def rank_methods(wins: np.ndarray, resamples: int, rng: np.random.Generator) -> Ranking:
    """Strengths and ranks from the wins of every rater, (raters, n, n); raters are resampled with replacement."""
    count, size = len(wins), wins.shape[1]
    undefined = np.full(size, np.nan)
    summed = wins.sum(0)
    parts = connected_components(summed + summed.T > 0, directed=False)[0]
    if count == 0 or parts > 1:
        return Ranking("not_connected", *(undefined,) * 6)
    strength = fit(summed)
    if count == 1:
        return Ranking("one_rater", strength, undefined, undefined, ranks(strength), undefined, undefined)
    times = rng.multinomial(count, np.full(count, 1 / count), size=resamples)
    drawn = fit(np.tensordot(times, wins, 1))
    order = ranks(drawn)
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    rank_low, rank_high = np.quantile(order, [0.025, 0.975], axis=0, method="inverted_cdf")
    return Ranking("ok", strength, low, high, ranks(strength), rank_low, rank_high)
