"""The reaction operator: what true listeners make of the speaker's voice and motion, beside their own past."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from einops import rearrange
from scipy.linalg import cho_factor, cho_solve, solve_triangular

from dyads.errors import DataError
from evaluation.granger import Encounter, RdggOptions
from evaluation.granger.abreast import abreast
from evaluation.granger.design import Listener, folds, listener, seen
from evaluation.granger.held import Parts
from evaluation.granger.moments import Moments, gram, moments, target_products

CHUNK = 512  # frames filtered at once, which stay in the cache


@dataclass(frozen=True, eq=False)
class Fold:
    """Coefficients fitted without one fold's people: standardise a lagged driver with (n, k), then multiply."""

    mean: np.ndarray
    scale: np.ndarray
    audio: np.ndarray  # (n, ka, D)
    motion: np.ndarray  # (n, km, D)

    def filtered(self, driver: np.ndarray, lags: Sequence[int]) -> np.ndarray:
        """Predictions float32 (n, T, 2 D) from the first 1, 2, ... n lags of a driver (T, k), read in a circle.

        The first D come from the voice, the rest from the motion.
        """
        size, width, reach = self.audio.shape[1], self.audio.shape[2], lags[-1]
        circle = driver[np.arange(-reach, len(driver)) % max(len(driver), 1)].astype(np.float32)
        made = np.empty((len(lags), len(driver), 2 * width), np.float32)
        for into, here, filters in (
            (made[..., :width], slice(size), self.audio),
            (made[..., width:], slice(size, None), self.motion),
        ):
            _filter(into, circle[:, here], self.mean[:, here], self.scale[:, here, None] * filters, lags)
        return made


def _filter(made: np.ndarray, circle: np.ndarray, mean: np.ndarray, filters: np.ndarray, lags: Sequence[int]) -> None:
    """Fill (n, T, D) from series (longest lag + T, k), means (n, k) and filters (n, k, D), lags added up."""
    reach, frames = lags[-1], made.shape[1]
    centre = np.einsum("nk,nkd->nd", mean, filters).cumsum(0).astype(np.float32)
    wide = rearrange(filters, "n k d -> k (n d)").astype(np.float32)
    for start in range(0, frames, CHUNK):
        stop = min(start + CHUNK, frames)
        of_lags = rearrange(circle[start : stop + reach] @ wide, "t (n d) -> t n d", n=len(lags))
        total = np.zeros((stop - start, filters.shape[2]), np.float32)
        for i, lag in enumerate(lags):
            total += of_lags[reach - lag : len(of_lags) - lag, i]
            np.subtract(total, centre[i], out=made[i, start:stop])


@dataclass(frozen=True, eq=False)
class Operator:
    """One `Fold` per fold, which fold an encounter is in, and 1 / scale of the target's channels (D,)."""

    folds: tuple[Fold, ...]
    of: dict[str, int]
    balance: np.ndarray

    def filtered(self, encounter: Encounter, lags: Sequence[int]) -> np.ndarray:
        """What those who were not this encounter's people would predict, see `Fold.filtered`."""
        return self.folds[self.of[encounter.name]].filtered(driver(encounter), lags)


def driver(encounter: Encounter) -> np.ndarray:
    """The speaker's voice and motion, (T, ka + km); motion less its mean, which also stands where nothing was seen."""
    motion = np.asarray(encounter.speaker_motion, np.float64)
    if not len(motion):
        return np.concatenate([encounter.speaker_audio, motion], 1)
    good = seen(motion)
    centre = motion[good].mean(0) if good.any() else 0.0
    return np.concatenate([encounter.speaker_audio, np.where(good[:, None], motion - centre, 0.0)], 1)


def fit_operator(encounters: Sequence[Encounter], options: RdggOptions, threads: int = 1) -> Operator:
    """The operator of true listeners, `threads` folds at a time.

    DataError: fewer than two groups of people listen long enough.
    """
    listeners = [found for each in encounters if (found := listener(each, seen(each.motion), options))]
    if len(listeners) < 2:
        raise DataError(
            f"R-DGG finds {len(listeners)} dialogue{'s' * (len(listeners) != 1)} in which the listener is silent and "
            f"seen for {options.stretch / 25:g} s on end; give more or longer dialogues."
        )
    of = folds([found.encounter for found in listeners], options.folds)
    names = sorted(set(of.values()))
    if len(names) < 2:
        raise DataError("R-DGG needs listeners of at least two people, to fit on one what is tested on another.")

    def part(fold: int) -> Moments:
        return _moments([found for found in listeners if of[found.encounter.name] == fold], options)

    parts, whole = Parts(), None
    for found in abreast(part, names, threads):
        parts.add(found)
        if whole is None:
            whole = found
        else:
            whole += found
    size = encounters[0].motion.shape[1]
    balance = target_balance(whole, size)
    widths = [encounters[0].own_audio.shape[1], encounters[0].speaker_audio.shape[1]]

    def fit(index: int) -> Fold:
        return _fit(whole - parts.of(index), size, *widths, balance, options.ridge)

    fitted = tuple(abreast(fit, range(len(names)), threads))
    # encounters without a stretch of their own truth may have one under another row's motion
    home = {found.encounter.person: of[found.encounter.name] for found in listeners}
    rest = {each.name: of.get(each.name, home.get(each.person, 0)) for each in encounters}
    return Operator(fitted, rest, balance)


def target_balance(found: Moments, size: int) -> np.ndarray:
    """1 / sqrt(variance + median variance) of the target's first `size` channels at lag 0."""
    mean = found.mean[0, :size]
    variance = np.maximum(np.diag(found.second[0, 0])[:size] / found.count[0] - mean**2, 0.0)
    return 1 / np.sqrt(variance + max(float(np.median(variance)), 1e-12))


def _moments(listeners: Sequence[Listener], options: RdggOptions) -> Moments:
    stretches = (
        stretch
        for found in listeners
        for stretch in found.stretches(found.encounter.motion, found.encounter.own_audio, driver(found.encounter))
    )
    return moments(stretches, options.lags)


def _fit(train: Moments, size: int, own_audio: int, audio: int, balance: np.ndarray, ridge: float) -> Fold:
    """Ridge regression of the target on [own past | voice] and on [own past | motion]; the driver's coefficients."""
    width = train.first.shape[2]
    own, target = np.arange(size + own_audio), np.arange(size)
    channels = {
        "audio": np.arange(len(own), len(own) + audio),
        "motion": np.arange(len(own) + audio, width),
    }
    g_own, rhs_own = gram(train, own, own), target_products(train, own, target, balance)
    n, found, factor, factored = len(train.lags) - 1, {}, None, None
    for name, here in channels.items():
        g_driver = gram(train, here, here)
        trace = np.trace(g_own) + np.trace(g_driver)
        shrink = ridge * trace / (len(g_own) + len(g_driver))
        if factored is None or not np.isclose(shrink, factored, rtol=1e-12, atol=0):
            factor, factored = _factor(g_own, shrink), shrink
        cross = gram(train, own, here)
        half = solve_triangular(factor[0], cross, lower=True)
        rest = g_driver - half.T @ half
        rhs = target_products(train, here, target, balance) - cross.T @ cho_solve(factor, rhs_own)
        found[name] = cho_solve(_factor(rest, shrink), rhs).reshape(n, len(here), size)
    both = np.concatenate([channels["audio"], channels["motion"]])
    return Fold(train.mean[1:, both], train.inverse_sd[1:, both], found["audio"], found["motion"])


def _factor(square: np.ndarray, ridge: float) -> tuple[np.ndarray, bool]:
    """Cholesky's factor of a symmetric matrix with a ridge, in one copy."""
    square = square.copy(order="F")
    square[np.diag_indices_from(square)] += ridge
    return cho_factor(square, lower=True, overwrite_a=True)
