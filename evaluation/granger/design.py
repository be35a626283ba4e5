"""From encounters to stretches of listening: who is predicted when, from which series, and who is left out together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dyads.seeding import rng
from evaluation.granger import Encounter, RdggOptions, runs
from evaluation.granger.moments import Stretch


@dataclass(frozen=True, eq=False)
class Listener:
    """One encounter's stretches [start, stop) that count, on frames valid for all that is compared."""

    encounter: Encounter
    spans: tuple[tuple[int, int], ...]
    options: RdggOptions

    def first(self, start: int) -> int:
        """Frames of a stretch before the first that is predicted: its lags must not reach before the recording."""
        return max(self.options.skip, self.options.reach - start)

    @property
    def times(self) -> np.ndarray:
        """Predicted frames, (rows,)."""
        return np.concatenate([np.arange(start + self.first(start), stop) for start, stop in self.spans])

    @property
    def reachable(self) -> np.ndarray:
        """Of every predicted frame, how many lags stay within its stretch, (rows,)."""
        depth = np.concatenate([np.arange(self.first(start), stop - start) for start, stop in self.spans])
        return np.searchsorted(self.options.lags, depth, side="right")

    def target(self, motion: np.ndarray) -> np.ndarray:
        """Motion (T, D) at the predicted frames, each stretch centred: (rows, D)."""
        return np.concatenate([s[self.first(a) :] for (a, _), s in zip(self.spans, self._pieces(motion), strict=True)])

    def stretches(self, motion: np.ndarray, *others: np.ndarray) -> list[Stretch]:
        """Each stretch's series [motion, centred | others]."""
        return [
            Stretch(np.concatenate([piece, *(other[a:b] for other in others)], 1, dtype=np.float64), self.first(a))
            for (a, b), piece in zip(self.spans, self._pieces(motion), strict=True)
        ]

    def _pieces(self, motion: np.ndarray) -> list[np.ndarray]:
        pieces = (np.asarray(motion[a:b], np.float64) for a, b in self.spans)
        return [piece - piece.mean(0) for piece in pieces]


def listener(encounter: Encounter, valid: np.ndarray, options: RdggOptions) -> Listener | None:
    """The encounter's stretches of listening in which bool (T,) `valid` holds; None if there are none to predict."""
    if len(encounter.listening) <= 2 * options.reach + 20:  # no room for time shifts
        return None
    long = ((a, b) for a, b in runs(encounter.listening & valid) if b - a >= options.stretch)
    spans = tuple((a, b) for a, b in long if b > a + max(options.skip, options.reach - a))
    return Listener(encounter, spans, options) if spans else None


def seen(motion: np.ndarray) -> np.ndarray:
    """bool (T,): frames of (T, D) in which everything was seen."""
    return np.isfinite(motion).all(axis=1)


def shifts(encounter: Encounter, options: RdggOptions) -> np.ndarray:
    """Time shifts of this encounter's speaker, 0 first: (1 + nulls,) frames, each at least the longest lag."""
    frames = len(encounter.listening)
    drawn = rng(options.seed, "rdgg.shift", encounter.name).integers(
        options.reach, frames - options.reach, options.nulls
    )
    return np.concatenate([[0], drawn])


def folds(encounters: Sequence[Encounter], most: int) -> dict[str, int]:
    """Encounter -> fold: those linked by people go together; a set that cannot be parted so is parted by listener.

    Groups are dealt to at most `most` folds, the largest first.
    """
    groups = _linked({each.name: each.people for each in encounters})
    if len(set(groups.values())) < 2:
        groups = {each.name: each.person for each in encounters}
    sizes: dict[str, int] = {}
    for group in groups.values():
        sizes[group] = sizes.get(group, 0) + 1
    loads = [0] * min(most, len(sizes))
    place = {}
    for group in sorted(sizes, key=lambda name: (-sizes[name], name)):
        place[group] = min(range(len(loads)), key=loads.__getitem__)
        loads[place[group]] += sizes[group]
    return {name: place[group] for name, group in groups.items()}


def _linked(people: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Encounter -> one of the people of its connected component."""
    root: dict[str, str] = {}

    def find(person: str) -> str:
        root.setdefault(person, person)
        while root[person] != person:
            root[person] = root[root[person]]
            person = root[person]
        return person

    for group in people.values():
        for person in group[1:]:
            root[find(person)] = find(group[0])
    return {name: find(group[0]) for name, group in people.items()}
