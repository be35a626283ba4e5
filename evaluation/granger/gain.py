"""Residual energies of listeners: by their own past, and with what the reaction operator reads from the speaker."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from dyads.errors import DataError
from evaluation.granger import Encounter, RdggOptions
from evaluation.granger.design import Listener, listener, seen, shifts
from evaluation.granger.held import Residuals, Sums
from evaluation.granger.moments import Moments, gram, moments, target_products
from evaluation.granger.operator import Operator


@dataclass(frozen=True, eq=False)
class Energies:
    """Residual energies by person (P,), and by time shift (1 + nulls, P), the first of which is none.

    `total`: of the motion itself; `own`: given the own past; `motion`, `both`: with the operator's prediction from
    the speaker's motion, from voice and motion. `rows`: predicted frames.
    """

    people: tuple[str, ...]
    rows: np.ndarray
    total: np.ndarray
    own: np.ndarray
    motion: np.ndarray
    both: np.ndarray

    @property
    def own_r2(self) -> float:
        """Share of the motion's energy that its own past explains."""
        return float(1 - self.own.sum() / self.total.sum())


@dataclass(frozen=True, eq=False)
class _Design:
    """Listeners compared on the same frames, with each one's residual and its energy for every row, side by side."""

    listeners: Sequence[Listener]
    people: tuple[str, ...]
    place: np.ndarray  # (listeners,): whose each is
    fold: np.ndarray  # (people,): the fold each was left out in
    rows: np.ndarray  # (people,)
    total: np.ndarray  # (rows of the table, people)
    own: np.ndarray
    residuals: Residuals


def energies(
    encounters: Sequence[Encounter],
    rows: Mapping[str, Mapping[str, np.ndarray]],
    operator: Operator,
    options: RdggOptions,
) -> dict[str, Energies]:
    """Energies of every row: name -> encounter -> motion (T, D), NaN where not seen. All on the frames seen in all.

    An encounter that some row lacks, or in which nobody listens long enough, counts for none. DataError: none is left.
    `rows` is asked for one row after the other, twice, so it may read each anew.
    """
    valid = {each.name: np.ones(len(each.listening), bool) for each in encounters}
    for name in rows:
        motion = rows[name]
        valid = {who: mask & seen(motion[who]) for who, mask in valid.items() if who in motion}
    listeners = [found for each in encounters if each.name in valid
                 if (found := listener(each, valid[each.name], options))]  # fmt: skip
    if not listeners:
        raise DataError(
            f"no dialogue has {options.stretch / 25:g} s in which the listener is silent and was seen in every row; "
            "leave out the rows that were seen least."
        )
    if options.joint:
        return {name: _joint(listeners, rows[name], operator, options) for name in rows}
    return _together(listeners, rows, operator, options)


def _together(listeners, rows, operator: Operator, options: RdggOptions) -> dict[str, Energies]:
    design = _design(listeners, rows, operator, options)
    people, count = design.people, len(rows)
    both, motion = _shifted(design, operator, options, count)
    return {
        name: Energies(people, design.rows, design.total[i], design.own[i], motion[i], both[i])
        for i, name in enumerate(rows)
    }


def _people(listeners: Sequence[Listener]) -> tuple[tuple[str, ...], np.ndarray]:
    names = [found.encounter.person for found in listeners]
    people = tuple(sorted(set(names)))
    return people, np.array([people.index(name) for name in names])


def _design(listeners, rows: Mapping[str, Mapping], operator: Operator, options: RdggOptions) -> _Design:
    people, place = _people(listeners)
    fold = np.zeros(len(people), int)
    fold[place] = [operator.of[found.encounter.name] for found in listeners]
    frames = np.bincount(place, [len(found.times) for found in listeners], len(people))
    width = len(operator.balance)
    residuals = Residuals([len(found.times) for found in listeners], width, len(rows))
    total, own = (np.zeros((len(rows), len(people))) for _ in range(2))
    for row, name in enumerate(rows):
        motion = rows[name]
        fit = OwnPast(listeners, motion, operator.balance, options)
        for i, found in enumerate(listeners):
            target, left = fit.residual(found, motion[found.encounter.name])
            total[row, place[i]] += np.square(target).sum()
            own[row, place[i]] += np.square(left).sum()
            residuals.put(i, row, left)
    return _Design(listeners, people, place, fold, frames, total, own, residuals)


class OwnPast:
    """Ridge regression of a row's motion on its own past and the listener's own voice so far."""

    def __init__(
        self, listeners: Sequence[Listener], motion: Mapping, balance: np.ndarray, options: RdggOptions
    ) -> None:
        self.options, self.balance = options, balance
        stretches = (
            stretch
            for found in listeners
            for stretch in found.stretches(motion[found.encounter.name], found.encounter.own_audio)
        )
        self.found: Moments = moments(stretches, options.lags)
        size, width = len(balance), self.found.first.shape[2]
        columns = np.arange(width)
        self.gram = gram(self.found, columns, columns)
        self.gram[np.diag_indices_from(self.gram)] += options.ridge * np.trace(self.gram) / len(self.gram)
        self.factor = cho_factor(self.gram, lower=True, overwrite_a=True)
        del self.gram
        rhs = target_products(self.found, columns, np.arange(size), balance)
        self.weights = cho_solve(self.factor, rhs)
        mean, scale = self.found.mean[1:], self.found.inverse_sd[1:]
        by_lag = self.weights.reshape(len(options.lags), width, size)
        self.filters = scale[:, :, None] * by_lag  # what the series itself is multiplied with
        self.offset = -np.einsum("nw,nws->ns", mean, self.filters).cumsum(0)  # of the first 1, 2, ... lags
        self.centre = self.found.mean[0, :size]

    def residual(self, found: Listener, motion: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The balanced target and what the own past leaves of it, (frames, D) each."""
        targets, lefts = [], []
        for stretch in found.stretches(motion, found.encounter.own_audio):
            series, first = stretch.series, stretch.first
            target = (series[first:, : len(self.balance)] - self.centre) * self.balance
            made = np.zeros_like(target)
            for lag, weights in zip(self.options.lags, self.filters, strict=True):
                begin = max(first, lag)
                if begin < len(series):
                    made[begin - first :] += series[begin - lag : len(series) - lag] @ weights
            depth = np.searchsorted(self.options.lags, np.arange(first, len(series)), side="right")
            made += self.offset[depth - 1]
            targets.append(target)
            lefts.append(target - made)
        return np.concatenate(targets), np.concatenate(lefts)

    def design(self, found: Listener, motion: np.ndarray) -> np.ndarray:
        """The whole standardised design of a listener, (frames, n · width); for `joint` alone."""
        mean, scale = self.found.mean[1:], self.found.inverse_sd[1:]
        pieces = []
        for stretch in found.stretches(motion, found.encounter.own_audio):
            times = np.arange(stretch.first, len(stretch.series))
            piece = np.zeros((len(times), len(self.options.lags), stretch.series.shape[1]))
            for i, lag in enumerate(self.options.lags):
                good = times >= lag
                piece[good, i] = (stretch.series[times[good] - lag] - mean[i]) * scale[i]
            pieces.append(piece.reshape(len(times), -1))
        return np.concatenate(pieces)


def predictions(found: Listener, filtered: np.ndarray, shift: int) -> np.ndarray:
    """The operator's predictions at the predicted frames with the speaker `shift` frames late: (frames, 2 D)."""
    return filtered[(found.times - shift) % len(filtered), found.reachable - 1]


def _shifted(design: _Design, operator: Operator, options: RdggOptions, count: int):
    """(both, motion) energies (rows of the table, shifts, people) at all time shifts."""
    width, number, people = len(operator.balance), options.nulls + 1, len(design.people)
    size, left = 2 * width, np.zeros((people, count * width))
    sums = Sums(number, size, count * width)
    for person in range(people):
        held = np.zeros((number, size, size + count * width + 1))
        for place in np.flatnonzero(design.place == person):
            found, residual = design.listeners[place], design.residuals.of(place)
            filtered = operator.filtered(found.encounter, options.lags)
            left[person] += residual.sum(0, dtype=np.float64)
            for k, shift in enumerate(shifts(found.encounter, options)):
                made = predictions(found, filtered, shift)
                held[k, :, :size] += made.T @ made
                held[k, :, size:-1] += made.T @ residual
                held[k, :, -1] += made.sum(0, dtype=np.float64)
        sums.add(held)
    both, motion = (np.empty((count, number, people)) for _ in range(2))
    fold = design.fold if options.refit == "fold" else np.zeros(people, int)
    for k in range(number):
        ss, sr = _standardised(*sums.of(k), left, design.rows)
        for energy, keep in ((both, slice(None)), (motion, slice(width, None))):
            for here in (np.flatnonzero(fold == one) for one in np.unique(fold)):
                explained = _refit(ss[here][:, keep, keep], sr[here][:, keep], options.refit_ridge)
                energy[:, k, here] = design.own[:, here] - explained.reshape(len(here), count, width).sum(2).T
    return both, motion


def _standardised(square, cross, sums, left, rows):
    """Products by person of predictions standardised over all rows, with themselves and with residuals."""
    total = rows.sum()
    mean = sums.sum(0) / total
    sd = np.sqrt(np.maximum(np.einsum("pii->i", square) / total - mean**2, 0.0))
    inverse = np.where(sd > 1e-9 * (np.abs(mean) + sd) + 1e-300, 1 / np.maximum(sd, 1e-300), 0.0)
    outer = sums[:, :, None] * mean
    square = square - outer - outer.transpose(0, 2, 1) + rows[:, None, None] * np.outer(mean, mean)
    cross = cross - mean[:, None] * left[:, None, :]
    return square * inverse[:, None] * inverse, cross * inverse[:, None]


def _refit(square: np.ndarray, cross: np.ndarray, ridge: float) -> np.ndarray:
    """Energy that refitted predictions take away, by person and channel (P, D · rows)."""
    whole = square.sum(0)
    whole[np.diag_indices_from(whole)] += ridge * np.trace(whole) / len(whole) + 1e-300
    weights = cho_solve(cho_factor(whole, lower=True), cross.sum(0))
    return 2 * np.einsum("sc,psc->pc", weights, cross) - np.einsum("sc,psc->pc", weights, square @ weights)


def _joint(listeners, motion: Mapping, operator: Operator, options: RdggOptions) -> Energies:
    """As published: with every prediction the own past is fitted anew too. The whole design is in memory."""
    people, place = _people(listeners)
    fit = OwnPast(listeners, motion, operator.balance, options)
    pairs = [fit.residual(found, motion[found.encounter.name]) for found in listeners]
    size = np.array([len(left) for _, left in pairs])
    who, left = np.repeat(place, size), np.concatenate([left for _, left in pairs])
    x = np.concatenate([fit.design(found, motion[found.encounter.name]) for found in listeners])
    filtered = [operator.filtered(found.encounter, options.lags).astype(np.float64) for found in listeners]
    moved = np.stack([shifts(found.encounter, options) for found in listeners], 1)
    width, energy = len(operator.balance), {"both": [], "motion": []}

    def by_person(values: np.ndarray) -> np.ndarray:
        return np.bincount(who, np.square(values).sum(1), len(people))

    for shift in moved:
        made = np.concatenate([predictions(*each) for each in zip(listeners, filtered, shift, strict=True)])
        sd = made.std(0)
        made = (made - made.mean(0)) * np.where(sd > 1e-9, 1 / np.maximum(sd, 1e-300), 0.0)
        cross = x.T @ made
        through = cho_solve(fit.factor, cross)
        for name, keep in (("both", slice(None)), ("motion", slice(width, None))):
            s, c, m = made[:, keep], cross[:, keep], through[:, keep]
            square = s.T @ s
            shrink = options.refit_ridge * np.trace(square) / len(square) + 1e-300
            schur = square + shrink * np.eye(len(square)) - c.T @ m
            # s'(target) - c' own weights = s'left
            weights = cho_solve(cho_factor(schur, lower=True), s.T @ left)
            energy[name].append(by_person(left - s @ weights + x @ (m @ weights)))
    total = by_person(np.concatenate([target for target, _ in pairs]))
    rows = np.bincount(who, minlength=len(people)).astype(np.float64)
    return Energies(people, rows, total, by_person(left), np.stack(energy["motion"]), np.stack(energy["both"]))
