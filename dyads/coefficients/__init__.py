"""Dialogues without video: two people's motion coefficients, their validity, speech and voice features, on one clock.

A data folder of kind `coefficients` (`python -m dyads.adapters.si184`, `python -m dyads.adapters.coefficients`):

    manifest.csv                   one row per dialogue and role, `COLUMNS`
    coefficients.json              encoders (names of channels, groups), voice features, systems, what was left out
    people/<stem>.safetensors      a true person, `Track` by encoder, speech, voice
    systems/<system>/<stem>.safetensors   what a system generated in the listener's place
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

FPS = 25  # of the common clock
KIND = "coefficients"
LEAST, MOST = 0.5, 2.5  # motion this much shorter or longer than its recording is no whole one
COLUMNS = (
    *("dataset", "kind", "split", "dyad_id", "role", "subject_id", "session", "coefficients", "licence", "sha256"),
)


@dataclass(frozen=True)
class Encoder:
    """Who read the coefficients: the names of its channels, and groups of them by name (`all`: what metrics take).

    Groups may overlap; channels outside `all` are kept for R-DGG alone.
    """

    name: str
    names: tuple[str, ...]
    groups: dict[str, tuple[int, ...]]


@dataclass(frozen=True, eq=False)
class Track:
    """One person's motion by one encoder on its own clock: float32 (n, D), bool (n,), frames a second.

    Frame i was seen at i / fps seconds; where `valid` is False its numbers mean nothing.
    """

    values: np.ndarray
    valid: np.ndarray
    fps: float


@dataclass(frozen=True, eq=False)
class Person:
    """A true person in one dialogue.

    `tracks` by encoder; `speech`: (k, 2) seconds, from and to; `seconds`: of the recording; `voice`: where its
    features are read from when asked for, float16 (T, A) at 25 Hz.
    """

    tracks: dict[str, Track]
    speech: np.ndarray
    seconds: float
    voice: "Path | None" = None

    @property
    def frames(self) -> int:
        """Frames of the common clock that begin within the recording."""
        return int(np.floor(self.seconds * FPS + 1e-6))


@dataclass(frozen=True)
class Dialogue:
    """One dialogue: the listener (`avatar`) and the speaker (`user`), by the stem of each one's file."""

    dataset: str
    split: str
    dyad_id: str
    session: str
    avatar: Path
    user: Path
    avatar_id: str
    user_id: str


@dataclass(frozen=True)
class Folder:
    """A data folder, see `store.read_folder`. `systems`: name -> label; `left_out`: (dyad_id, system, reason)."""

    path: Path
    dataset: str
    encoders: dict[str, Encoder]
    dialogues: tuple[Dialogue, ...]
    systems: dict[str, str]
    voice: str
    licence: str = ""
    left_out: tuple[tuple[str, str, str], ...] = field(default=())

    def generated(self, system: str, dialogue: Dialogue) -> Path:
        """The file of what a system generated in a dialogue."""
        return self.path / "systems" / system / f"{dialogue.dyad_id}.safetensors"
