"""The gain of energies, and how surely: people are the sample."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import special

from dyads.seeding import rng
from evaluation.granger.gain import Energies

PARTS = ("audio_given_motion", "audio_and_motion")


@dataclass(frozen=True)
class Gain:
    """A net gain in nat (log ratio of energies), its intervals over people, and p against "at most zero".

    `low`, `high`, `p`: Student's, from the jackknife over people; `boot_low`, `boot_high`, `boot_p`: percentiles of
    the bootstrap over people, as published; `raw`: before the time shifts' mean `floor` is taken off.
    """

    net: float
    low: float
    high: float
    p: float
    boot_low: float
    boot_high: float
    boot_p: float
    raw: float
    floor: float
    error: float
    people: int
    own_r2: float


def nets(energies: Energies, weights: np.ndarray, part: str = PARTS[0]) -> np.ndarray:
    """Net gains (n,) of test sets in which person j counts weights[:, j] times, (n, P)."""
    with_all = weights @ energies.both.T
    against = weights @ energies.motion.T if part == PARTS[0] else (weights @ energies.own)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        gains = np.log(against / with_all)
    return gains[:, 0] - gains[:, 1:].mean(1)


@lru_cache(maxsize=4)  # every row and pair of rows is asked of the same draws
def _picked(size: int, draws: int, seed: int) -> np.ndarray:
    """How often each of `size` people is drawn, (draws, size)."""
    return rng(seed, "rdgg.draws").multinomial(size, np.full(size, 1 / size), draws).astype(np.float64)


@lru_cache(maxsize=64)  # a row stands in many pairs
def _nets(energies: Energies, draws: int, seed: int, part: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Net gains of all people (1,), without each of them in turn (P,), and of people drawn (draws,)."""
    size = len(energies.people)
    ones = np.ones((1, size))
    return tuple(nets(energies, w, part) for w in (ones, ones - np.eye(size), _picked(size, draws, seed)))


def difference(a: Energies, b: Energies | None, draws: int, seed: int = 0, part: str = PARTS[0]) -> Gain:
    """The gain of `a`, or its lead over `b` on the same people (both drawn together)."""
    size = len(a.people)
    whole, left_out, drawn = _nets(a, draws, seed, part)
    if b is not None:
        pairs = zip((whole, left_out, drawn), _nets(b, draws, seed, part), strict=True)
        whole, left_out, drawn = (one - other for one, other in pairs)
    net = float(whole[0])
    error = float(np.sqrt((size - 1) / size * np.square(left_out - left_out.mean()).sum())) if size > 1 else np.nan
    reach = error * special.stdtrit(size - 1, 0.975) if size > 1 else np.nan
    p = float(special.stdtr(size - 1, -net / error)) if size > 1 and error > 0 else np.nan
    boot_low, boot_high = np.percentile(drawn, [2.5, 97.5])
    with_all, against = a.both.sum(1), a.motion.sum(1) if part == PARTS[0] else np.full(len(a.both), a.own.sum())
    gains = np.log(against / with_all)
    return Gain(
        net, net - reach, net + reach, p, float(boot_low), float(boot_high), float((drawn <= 0).mean()),
        float(gains[0]), float(gains[1:].mean()), error, size, a.own_r2,
    )  # fmt: skip
