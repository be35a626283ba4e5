"""Sums over the clips of a set, one clip in memory at a time: what metrics of the whole set are computed from.

Clips are added in the manifest's order, each by itself, so that neither memory nor any bit of a value depends on how
the dialogues were cut into shards.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement
from typing import Any

import numpy as np

from evaluation.clips import Clip
from evaluation.frechet import Moments, moments
from evaluation.metrics._series import require_alike


@dataclass(frozen=True)
class ByClip:
    """What `of` makes of each of `clips`, made anew whenever one goes through them; `moments_of`: its moments, where
    those are kept."""

    clips: Collection[Clip]
    of: Callable[[Clip], Any]
    moments_of: Callable[[Clip], Moments] | None = None

    def __len__(self) -> int:
        return len(self.clips)

    def __iter__(self) -> Iterator[Any]:
        return map(self.of, self.clips)

    def moments(self) -> Iterator[Moments]:
        """Of each clip."""
        return map(moments, self) if self.moments_of is None else map(self.moments_of, self.clips)


class Products:
    """Of k series that go together: their count, means (k, D) and summed products of deviations (k, k, D).

    `products[i, j, d]`: of series i and j in channel d. Pairs of equal series have equal sums, to the last bit.
    `finite`: whether every value was. Merged as by Chan, Golub & LeVeque 1983.
    """

    def __init__(self) -> None:
        self.count, self.finite = 0, True
        self.mean = self.products = np.zeros(0)

    def add(self, *series: np.ndarray) -> None:
        """One clip's series, (T, D) each. ValueError: two shapes."""
        require_alike(*series)
        here = [np.asarray(one, np.float64) for one in series]
        if not here[0].size:
            return
        self.finite = self.finite and all(np.isfinite(one).all() for one in here)
        count = len(here[0])
        with np.errstate(invalid="ignore", over="ignore"):
            mean = np.stack([one.mean(0) for one in here])
            apart = [one - centre for one, centre in zip(here, mean, strict=True)]
            products = np.empty((len(here), len(here), here[0].shape[1]))
            for i, j in combinations_with_replacement(range(len(here)), 2):
                products[i, j] = products[j, i] = (apart[i] * apart[j]).sum(0)
            if self.count:
                whole = self.count + count
                step = mean - self.mean
                products = self.products + products + step[:, None] * step * (self.count * count / whole)
                mean = self.mean + step * (count / whole)
        self.count, self.mean, self.products = self.count + count, mean, products

    def spread(self, series: int) -> np.ndarray:
        """Standard deviation by channel (D,)."""
        return np.sqrt(self.products[series, series] / self.count)

    def pooled_spread(self, series: int) -> float:
        """Standard deviation over frames and channels, each channel centred."""
        return float(np.sqrt(self.products[series, series].mean() / self.count))

    def correlation(self, a: int, b: int) -> float:
        """Pearson r, each channel centred, then all pooled; NaN where one does not vary."""
        return float(correlations(*(self.products[pair].sum() for pair in ((a, b), (a, a), (b, b)))))

    def slope(self, y: int, x: int) -> float:
        """Least-squares slope of series y on x, each channel centred, one for all channels."""
        return float(self.products[x, y].sum() / self.products[x, x].sum())


@dataclass(frozen=True)
class PairSums:
    """Of generated, true and user motion in `count` frames, channel by channel: means (3, D), and summed products of
    deviations (5, D) of the pairs gg, tt, uu, gu, tu, not finite where a value was not."""

    count: int
    means: np.ndarray
    products: np.ndarray

    def of(self, columns: np.ndarray) -> "PairSums":
        """Of these channels alone."""
        return PairSums(self.count, self.means[:, columns], self.products[:, columns])

    def centred(self) -> "PairSums":
        """As if every channel's mean were 0."""
        return replace(self, means=np.zeros_like(self.means))

    def flattened(self) -> "PairSums":
        """All values as one channel."""
        channels = self.means.shape[1]
        with np.errstate(invalid="ignore", over="ignore"):
            means = self.means.sum(1, keepdims=True) / max(channels, 1)
            products = self.products + self.count * _pairs(self.means - means)
            return PairSums(self.count * channels, means, products.sum(1, keepdims=True))

    def joined(self, other: "PairSums") -> "PairSums":
        """Of the frames of both, as by Chan, Golub & LeVeque 1983."""
        if not self.count or not other.count:
            return self if self.count else other
        count = self.count + other.count
        with np.errstate(invalid="ignore", over="ignore"):
            step = other.means - self.means
            products = self.products + other.products + _pairs(step) * (self.count * other.count / count)
            return PairSums(count, self.means + step * (other.count / count), products)


NOTHING = PairSums(0, np.zeros((3, 0)), np.zeros((5, 0)))


def _pairs(apart: np.ndarray) -> np.ndarray:
    """Products of generated, true and user (3, D) in the order of `PairSums.products`."""
    generated, true, user = apart
    return np.stack([generated**2, true**2, user**2, generated * user, true * user])


def pair_sums(
    generated: np.ndarray,
    true: np.ndarray,
    user: np.ndarray,
    alike: Callable[[str, Callable[[], Any]], Any] = lambda key, find: find(),
) -> PairSums:
    """Of three series (T, D). `alike`: as `Clip.alike`, for what the generated one has no part in.

    ValueError: unlike shapes.
    """
    require_alike(generated, true, user)
    with np.errstate(invalid="ignore", over="ignore"):
        g_mean, g = _apart(generated)
        (t_mean, u_mean), (tt, uu, tu) = alike("pair_sums", lambda: _without_generated(true, user))
        gg, gu = _together(g, g), _together(g, _apart(user)[1])
    return PairSums(len(g), np.stack([g_mean, t_mean, u_mean]), np.stack([gg, tt, uu, gu, tu]))


def _without_generated(true: np.ndarray, user: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means (2, D) and summed products tt, uu, tu (3, D)."""
    (t_mean, t), (u_mean, u) = _apart(true), _apart(user)
    return np.stack([t_mean, u_mean]), np.stack([_together(t, t), _together(u, u), _together(t, u)])


def _apart(series: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means (D,) and deviations (T, D). One order in memory, so that equal series have equal sums, to the last bit."""
    series = np.asarray(series, np.float64, order="C")
    mean = series.sum(0) / max(len(series), 1)
    return mean, series - mean


def _together(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.einsum("td,td->d", a, b)


def correlations(ab: np.ndarray, aa: np.ndarray, bb: np.ndarray) -> np.ndarray:
    """Pearson r of summed products of deviations; NaN where one does not vary."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.clip(ab / (np.sqrt(aa) * np.sqrt(bb)), -1, 1)


def flat(series: np.ndarray) -> np.ndarray:
    """All values of (T, D) as one channel, (T D, 1)."""
    return np.asarray(series).reshape(-1, 1)
