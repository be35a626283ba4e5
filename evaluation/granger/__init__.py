"""R-DGG, the reference-based directed Granger gain: does the listener move because of what the speaker says?

Definition: Kravtsov et al. 2026 (docs/si184.md). On true listeners alone, ridge regression of the motion on [the
listener's own motion and voice so far | the speaker so far] gives the reaction operator. Of any listener the operator's
prediction from the speaker is then added to what his own past explains: the gain is the log ratio of the residual
energies, with the speaker's voice and motion against the speaker's motion alone ("audio given motion"), less its mean
over time shifts of the speaker. People are the clusters of the interval.

Here moments of lagged series are sums over time differences, not over lags (`moments`), so that nothing as wide as the
design is ever built, and the speaker's share is filtered once a dialogue for all nulls (`gain`).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from dyads.errors import ConfigError

LAGS = (*range(1, 13), 14, 16, 18, 20, 24, 28, 32, 40, 48, 60, 72, 88, 100)  # frames of 40 ms


@dataclass(frozen=True)
class RdggOptions:
    """The published operating point. Frames are of the 25 Hz clock.

    `lags`: how far back both pasts are read; `skip`: frames at the start of a stretch that are not predicted;
    `stretch`: least length of a stretch of listening; `ridge`: of the operator and of the own past, `refit_ridge`: of
    the prediction's coefficients, both in mean diagonals; `nulls`: time shifts, each at least the longest lag;
    `draws`: of the bootstrap over people; `audio`, `motion`: principal components of the speaker's voice and motion;
    `pca_people`, `pca_rows`: how many the components are fitted on; `folds`: at most so many groups of people are
    left out in turn; `refit`: whether a prediction's coefficients are refitted to each fold by itself or, as the
    published code does, to all at once (docs/si184.md: then true listeners seem to react where nobody does); `joint`:
    also fit the own past anew beside every prediction, as the published code does (builds the whole design: small sets
    only; refitted to all at once).
    """

    lags: tuple[int, ...] = LAGS
    skip: int = 10
    stretch: int = 100
    ridge: float = 1e-4
    refit_ridge: float = 0.1
    nulls: int = 100
    draws: int = 20_000
    audio: int = 64
    motion: int = 32
    pca_people: int = 60
    pca_rows: int = 40_000
    folds: int = 8
    refit: Literal["fold", "pooled"] = "fold"
    joint: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.lags or list(self.lags) != sorted(set(self.lags)) or self.lags[0] < 1:
            raise ConfigError("rdgg.lags must be frames from 1 on, each once and in order.")
        for name in ("skip", "stretch", "nulls", "draws", "audio", "motion", "pca_people", "pca_rows"):
            if getattr(self, name) < 1:
                raise ConfigError(f"rdgg.{name} is {getattr(self, name)}, but must be at least 1.")
        if self.folds < 2 or self.ridge <= 0 or self.refit_ridge <= 0:
            raise ConfigError("rdgg.folds must be at least 2, and both ridges above 0.")
        if self.refit not in ("fold", "pooled"):
            raise ConfigError(f"rdgg.refit is {self.refit!r}, but must be fold or pooled.")

    @property
    def reach(self) -> int:
        """The longest lag, and the shortest time shift."""
        return self.lags[-1]


@dataclass(frozen=True, eq=False)
class Encounter:
    """What R-DGG needs of one dialogue, on one 25 Hz clock of T frames.

    `name`; `person`: the listener; `people`: all who take part (they share a fold); `motion`: the true listener's
    (T, D), NaN where nothing was seen; `speaker_motion` (T, M), NaN likewise; `speaker_audio`, `own_audio` (T, A);
    `listening` (T,): the listener is silent and the other one speaks in this stretch.
    """

    name: str
    person: str
    people: tuple[str, ...]
    motion: np.ndarray
    speaker_motion: np.ndarray
    speaker_audio: np.ndarray
    own_audio: np.ndarray
    listening: np.ndarray


def runs(mask: np.ndarray) -> list[tuple[int, int]]:
    """Start and end (exclusive) of every run of True in (T,)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], np.asarray(mask, np.int8), [0]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
