"""Residual energies of listeners: by their own past, and with what the reaction operator reads from the speaker."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from dyads.errors import DataError
from evaluation.granger import Encounter, RdggOptions
from evaluation.granger.abreast import abreast
from evaluation.granger.design import Listener, listener, seen, shifts
from evaluation.granger.held import Residuals, Sums
from evaluation.granger.operator import Operator
from evaluation.granger.own_past import OwnPast


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
class Compared:
    """Rows compared on the same frames: the listeners with these frames, and row -> encounter -> motion (T, D)."""

    listeners: Sequence[Listener]
    rows: Mapping[str, Mapping[str, np.ndarray]]


@dataclass(frozen=True, eq=False)
class _Design:
    """Listeners compared, with each one's residual and its energy for every row, side by side."""

    listeners: Sequence[Listener]
    people: tuple[str, ...]
    place: np.ndarray  # (listeners,): whose each is
    fold: np.ndarray  # (people,): the fold each was left out in
    frames: np.ndarray  # (people,)
    total: np.ndarray  # (rows, people)
    own: np.ndarray
    residuals: Residuals


def energies(
    encounters: Sequence[Encounter],
    rows: Mapping[str, Mapping[str, np.ndarray]],
    operator: Operator,
    options: RdggOptions,
) -> dict[str, Energies]:
    """Energies of every row, all on the frames seen in all of them; see `compared`."""
    return energies_of([compared(encounters, rows, options)], operator, options)[0]


def compared(
    encounters: Sequence[Encounter], rows: Mapping[str, Mapping[str, np.ndarray]], options: RdggOptions
) -> Compared:
    """Rows: name -> encounter -> motion (T, D), NaN where not seen; on the frames seen in all of them.

    An encounter that some row lacks, or in which nobody listens long enough, counts for none. DataError: none is left.
    `rows` is asked for one row after the other, here and once again, so it may read each anew.
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
    return Compared(listeners, rows)


def energies_of(
    sets: Sequence[Compared], operator: Operator, options: RdggOptions, threads: int = 1
) -> list[dict[str, Energies]]:
    """Energies of every row of each set; a speaker is filtered once for all of them. `threads` people at a time."""
    if options.joint:
        return [{name: _joint(one.listeners, one.rows[name], operator, options) for name in one.rows} for one in sets]
    designs = [_design(one, operator, options, threads) for one in sets]
    shifted = _shifted(designs, operator, options, threads)
    return [
        {
            name: Energies(design.people, design.frames, design.total[i], design.own[i], motion[i], both[i])
            for i, name in enumerate(one.rows)
        }
        for one, design, (both, motion) in zip(sets, designs, shifted, strict=True)
    ]


def _people(listeners: Sequence[Listener]) -> tuple[tuple[str, ...], np.ndarray]:
    names = [found.encounter.person for found in listeners]
    people = tuple(sorted(set(names)))
    return people, np.array([people.index(name) for name in names])


def _design(compared: Compared, operator: Operator, options: RdggOptions, threads: int) -> _Design:
    listeners, rows = compared.listeners, compared.rows
    people, place = _people(listeners)
    fold = np.zeros(len(people), int)
    fold[place] = [operator.of[found.encounter.name] for found in listeners]
    frames = [len(found.times) for found in listeners]
    residuals = Residuals(frames, len(operator.balance), len(rows))
    total, own = (np.zeros((len(rows), len(people))) for _ in range(2))
    names = list(rows)

    def fitted(row: int) -> None:
        motion = rows[names[row]]
        fit = OwnPast(listeners, motion, operator.balance, options)
        for at, found in enumerate(listeners):
            target, left = fit.residual(found, motion[found.encounter.name])
            total[row, place[at]] += np.square(target).sum()
            own[row, place[at]] += np.square(left).sum()
            residuals.put(at, row, left)

    for _ in abreast(fitted, range(len(names)), threads):
        pass
    return _Design(listeners, people, place, fold, np.bincount(place, frames, len(people)), total, own, residuals)


def predictions(found: Listener, filtered: np.ndarray, shift: int) -> np.ndarray:
    """The operator's predictions at the predicted frames with the speaker `shift` frames late: (frames, 2 D)."""
    return filtered[found.reachable - 1, (found.times - shift) % filtered.shape[1]]


def _shifted(
    designs: Sequence[_Design], operator: Operator, options: RdggOptions, threads: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """(both, motion) energies (rows, shifts, people) of each design at all time shifts."""
    number, size = options.nulls + 1, 2 * len(operator.balance)

    def of_person(person: str) -> list[np.ndarray]:
        """Of each design's listeners who are this person, products (shifts, size, size + D · rows + 1) of predictions
        with themselves, with residuals and with ones; and the sum of residuals."""
        mine = [[at for at, found in enumerate(each.listeners) if found.encounter.person == person] for each in designs]
        sums = [np.zeros((number, size, size + each.residuals.columns + 1), np.float32) for each in designs]
        encounters = {designs[i].listeners[at].encounter.name: designs[i].listeners[at].encounter
                      for i, places in enumerate(mine) for at in places}  # fmt: skip
        for name, encounter in encounters.items():
            filtered = operator.filtered(encounter, options.lags)
            for design, places, held in zip(designs, mine, sums, strict=True):
                for at in (at for at in places if design.listeners[at].encounter.name == name):
                    _add_products(held, design.listeners[at], filtered, design.residuals.of(at), options)
        return sums

    kept = [Sums(number, size, each.residuals.columns) for each in designs]
    people = sorted({person for each in designs for person in each.people})
    for person, sums in zip(people, abreast(of_person, people, threads), strict=True):
        for design, whole, held in zip(designs, kept, sums, strict=True):
            if person in design.people:
                whole.add(held)
    return [_energies(each, whole, options, threads) for each, whole in zip(designs, kept, strict=True)]


def _add_products(held: np.ndarray, found: Listener, filtered: np.ndarray, residual: np.ndarray, options) -> None:
    beside = np.concatenate([residual, np.ones((len(residual), 1), np.float32)], 1)
    size = held.shape[1]
    for k, shift in enumerate(shifts(found.encounter, options)):
        made = predictions(found, filtered, shift)
        held[k, :, :size] += made.T @ made
        held[k, :, size:] += made.T @ beside


def _energies(design: _Design, sums: Sums, options: RdggOptions, threads: int) -> tuple[np.ndarray, np.ndarray]:
    (count, people), number, size = design.own.shape, options.nulls + 1, sums.size
    width = size // 2
    left = np.zeros((people, design.residuals.columns))
    for at, person in enumerate(design.place):
        left[person] += design.residuals.of(at).sum(0, dtype=np.float64)
    fold = design.fold if options.refit == "fold" else np.zeros(people, int)

    def at_shift(k: int) -> list[np.ndarray]:
        ss, sr = _standardised(*sums.of(k), left, design.frames)
        found = [np.empty((count, people)) for _ in range(2)]
        for energy, keep in zip(found, (slice(None), slice(width, None)), strict=True):
            for here in (np.flatnonzero(fold == one) for one in np.unique(fold)):
                explained = _refit(ss[here][:, keep, keep], sr[here][:, keep], options.refit_ridge)
                energy[:, here] = design.own[:, here] - explained.reshape(len(here), count, width).sum(2).T
        return found

    both, motion = np.stack(list(abreast(at_shift, range(number), threads)), 2)
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
