"""Sums over the clips of a set, one clip in memory at a time: what metrics of the whole set are computed from.

Clips are added in the manifest's order, each by itself, so that neither memory nor any bit of a value depends on how
the dialogues were cut into shards.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
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


def correlations(ab: np.ndarray, aa: np.ndarray, bb: np.ndarray) -> np.ndarray:
    """Pearson r of summed products of deviations; NaN where one does not vary."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.clip(ab / (np.sqrt(aa) * np.sqrt(bb)), -1, 1)


def flat(series: np.ndarray) -> np.ndarray:
    """All values of (T, D) as one channel, (T D, 1)."""
    return np.asarray(series).reshape(-1, 1)
