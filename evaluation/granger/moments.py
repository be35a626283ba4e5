"""First and second moments of lagged series, summed by time difference: what a design of all lags would give.

A design has one column per lag l and channel c, holding u[t - l, c]; an entry that reaches before its stretch is
blanked. The product of columns of lags l and m depends on t - l and m - l alone, so one product of the series with
itself, shifted by m - l, serves every pair of lags that far apart; what the pairs' ends differ by is added apart. Those
products at all shifts come from cross-spectra: one complex product a frequency instead of one real product a shift.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import fft

BATCH_BYTES = 60e6  # of spectra held at once
SERIES_BYTES = 60e6  # of series held at once
BINS = 8  # of a spectrum multiplied at once: what stays in the cache is not fetched again


@dataclass(frozen=True, eq=False)
class Stretch:
    """One stretch of listening: series u float64 (L, d), and the first of its frames that is predicted."""

    series: np.ndarray
    first: int

    @property
    def rows(self) -> int:
        return len(self.series) - self.first


@dataclass(eq=False)
class Moments:
    """Sums over predicted frames, of lags 0 and `lags` (n lags in all), with entries before the stretch left out.

    `count` (n,): frames at which lag i can be read; `first` (n, n, d): sum of u[t - lag i] where lags i and j can be
    read; `second[i, j]` for i <= j: sum of u[t - lag i] u[t - lag j]', (d, d).
    """

    lags: tuple[int, ...]
    count: np.ndarray
    first: np.ndarray
    second: dict[tuple[int, int], np.ndarray]

    def __iadd__(self, other: "Moments") -> "Moments":
        for key, value in self.second.items():
            value += other.second[key]
        self.count += other.count
        self.first += other.first
        return self

    def __sub__(self, other: "Moments") -> "Moments":
        second = {key: value - other.second[key] for key, value in self.second.items()}
        return Moments(self.lags, self.count - other.count, self.first - other.first, second)

    def block(self, i: int, j: int) -> np.ndarray:
        """Sum of u[t - lag i] u[t - lag j]'."""
        return self.second[i, j] if i <= j else self.second[j, i].T

    @property
    def mean(self) -> np.ndarray:
        """(n, d): mean of each lag over the frames at which it can be read."""
        own = self.first[np.arange(len(self.lags)), np.arange(len(self.lags))]
        return own / np.maximum(self.count, 1)[:, None]

    @property
    def inverse_sd(self) -> np.ndarray:
        """(n, d): 1 / standard deviation, 0 for a column that does not vary."""
        square = np.stack([np.diag(self.second[i, i]) for i in range(len(self.lags))])
        square /= np.maximum(self.count, 1)[:, None]
        variance = square - self.mean**2
        steady = variance <= 1e-12 * square + 1e-300
        return np.where(steady, 0.0, 1 / np.sqrt(np.where(steady, 1.0, variance)))


def moments(stretches: Iterable[Stretch], lags: Sequence[int]) -> Moments:
    """Moments of lags (0, *lags) over all stretches, each longer than its `first`; few of them are held at once."""
    batches = _batches(stretches)
    found = _moments(next(batches), (0, *lags))
    for batch in batches:
        found += _moments(batch, (0, *lags))
    return found


def _batches(stretches: Iterable[Stretch]) -> Iterator[list[Stretch]]:
    batch, held = [], 0
    for stretch in stretches:
        batch.append(stretch)
        held += stretch.series.nbytes
        if held > SERIES_BYTES:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch


def _moments(stretches: Sequence[Stretch], lags: tuple[int, ...]) -> Moments:
    stack = np.concatenate([stretch.series for stretch in stretches])
    length = np.array([len(stretch.series) for stretch in stretches])
    begin = np.cumsum(length) - length
    first = np.array([stretch.first for stretch in stretches])
    number, width = len(lags), stack.shape[1]
    count = np.array([np.maximum(length - np.maximum(first, lag), 0).sum() for lag in lags], np.float64)
    return Moments(
        lags,
        count,
        _firsts(stretches, np.array(lags), np.zeros((number, number, width))),
        _seconds(stack, begin, length, first, lags),
    )


def _firsts(stretches: Sequence[Stretch], lags: np.ndarray, total: np.ndarray) -> np.ndarray:
    both = np.maximum(lags[:, None], lags)
    for stretch in stretches:
        length = len(stretch.series)
        sums = np.concatenate([np.zeros((1, stretch.series.shape[1])), stretch.series.cumsum(0)])
        start = np.maximum(stretch.first, both)
        there = start < length
        start = np.where(there, start - lags[:, None], 0)
        stop = np.where(there, length - lags[:, None], 0)
        total += sums[stop] - sums[start]
    return total


def _seconds(
    stack: np.ndarray, begin: np.ndarray, length: np.ndarray, first: np.ndarray, lags: tuple[int, ...]
) -> dict[tuple[int, int], np.ndarray]:
    products = _lagged_products(stack, begin, length, lags[-1])
    ends = _ends(stack, begin, length, lags[-1])
    by_difference: dict[int, list[tuple[int, int]]] = {}
    for i, early in enumerate(lags):
        for j in range(i, len(lags)):
            by_difference.setdefault(lags[j] - early, []).append((i, j))
    found = {}
    for difference, pairs in by_difference.items():
        whole = products[difference]
        tail, before = np.zeros_like(whole), 0
        for i, j in pairs:  # in order of the earlier lag
            lag = lags[i]
            late, early = (ends[before + d : lag + d].reshape(-1, stack.shape[1]) for d in (0, difference))
            tail += late.T @ early
            found[i, j] = whole - tail
            before = lag
        head, reached = np.zeros_like(whole), np.full_like(first, difference)
        for i, j in reversed(pairs):  # and from the beginning on, in order of the later ones
            stop = np.maximum(first - lags[i], reached)
            index = begin.repeat(stop - reached) + _ranges(reached, stop)
            if len(index):
                head += stack[index].T @ stack[index - difference]
            found[i, j] -= head
            reached = stop
    return found


def _ranges(start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """All of range(start[0], stop[0]), then of range(start[1], stop[1]), ..."""
    number = stop - start
    return np.arange(number.sum()) + np.repeat(start - (np.cumsum(number) - number), number)


def _ends(stack: np.ndarray, begin: np.ndarray, length: np.ndarray, reach: int) -> np.ndarray:
    """(reach, stretches, d): the last frame of each stretch, the one before it, ...; zeros before its first."""
    place = length - 1 - np.arange(reach)[:, None]
    made = stack[np.maximum(begin + place, 0)]
    made[place < 0] = 0.0
    return made


def _lagged_products(stack: np.ndarray, begin: np.ndarray, length: np.ndarray, reach: int) -> np.ndarray:
    """Sum of u[s] u[s - difference]' within stretches, for differences 0 to `reach`: (reach + 1, d, d).

    Stretches are cut into blocks; each meets itself and `reach` frames before it, with zeros before its stretch.
    """
    size = fft.next_fast_len(min(4 * reach, reach + int(length.max())), real=True)
    block, width = size - reach, stack.shape[1]
    places = [(a, start, min(start + block, a + n)) for a, n in zip(begin, length, strict=True)
              for start in range(a, a + n, block)]  # fmt: skip
    bins = size // 2 + 1
    spectrum = np.zeros((bins, width, width), np.complex128)
    batch = max(1, int(BATCH_BYTES // (bins * width * 16)))
    for here in (places[i : i + batch] for i in range(0, len(places), batch)):
        late, early = np.zeros((2, len(here), size, width))
        for i, (first, start, stop) in enumerate(here):
            late[i, : stop - start] = stack[start:stop]
            before = max(start - reach, first)
            early[i, reach - (start - before) : reach + stop - start] = stack[before:stop]
        late, early = (fft.rfft(series, axis=1) for series in (late, early))
        for some in (slice(i, i + BINS) for i in range(0, bins, BINS)):
            spectrum[some] += np.conj(late[:, some]).transpose(1, 2, 0) @ early[:, some].transpose(1, 0, 2)
    return fft.irfft(spectrum, size, axis=0)[reach::-1]


def gram(found: Moments, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Products of the standardised lagged channels `left` and `right`: (n·|left|, n·|right|), lag by lag, no lag 0."""
    mean, scale = found.mean, found.inverse_sd
    n = len(found.lags)
    made = np.empty(((n - 1) * len(left), (n - 1) * len(right)))
    for i in range(1, n):
        for j in range(1, n):
            block = centred(found, i, j, left, right, mean[i], mean[j])
            block *= scale[i, left][:, None] * scale[j, right]
            made[(i - 1) * len(left) : i * len(left), (j - 1) * len(right) : j * len(right)] = block
    return made


def target_products(found: Moments, left: np.ndarray, target: np.ndarray, balance: np.ndarray) -> np.ndarray:
    """Products of the standardised lagged channels with the centred, balanced target at lag 0: (n·|left|, |target|)."""
    mean, scale = found.mean, found.inverse_sd
    made = [
        centred(found, i, 0, left, target, mean[i], mean[0]) * scale[i, left][:, None] * balance
        for i in range(1, len(found.lags))
    ]
    return np.concatenate(made)


def centred(
    found: Moments, i: int, j: int, left: np.ndarray, right: np.ndarray, a: np.ndarray, b: np.ndarray
) -> np.ndarray:
    """Sum of (u[t - lag i] - a)(u[t - lag j] - b)' over the frames at which both can be read."""
    both = found.count[max(i, j)]
    block = found.block(i, j)[np.ix_(left, right)] - np.outer(a[left], found.first[j, i, right])
    return block - np.outer(found.first[i, j, left], b[right]) + both * np.outer(a[left], b[right])
