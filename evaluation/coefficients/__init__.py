"""Rows that are motion coefficients: what a row is, and a data folder's dialogues on the common clock as clips."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from dyads.coefficients import Dialogue, Encoder, Folder, Person, Track
from dyads.coefficients.clock import dropped, on_clock, spoken
from dyads.coefficients.controls import CONTROLS, SHORTEST_SHIFT, TRUTH, other, partners, shifted, still
from dyads.coefficients.store import read_person, read_tracks
from dyads.errors import ConfigError, DataError
from evaluation.cards import OK
from evaluation.clips import Clip
from evaluation.granger import RdggOptions

STILL = 1e-6  # given coefficients have no jitter of a reader's; LivePortrait's expression moves by 0.006


@dataclass(frozen=True)
class Row:
    """What a row shows: a system of the folder, `GT`, or a control of `dyads.coefficients.controls`; and on which time.

    `protocol` clock: invalid frames are masked on the common clock; dropped: cut out of each side before pairing, as
    the published tables do.
    """

    source: str
    protocol: Literal["clock", "dropped"] = "clock"


@dataclass(frozen=True)
class CoefficientOptions:
    """`encoder`: whose coefficients the metrics take, where the folder has several (R-DGG takes all, side by side);
    `rdgg`: its options."""

    encoder: str = "emoca"
    rdgg: RdggOptions = field(default_factory=RdggOptions)


class Data:
    """A folder's dialogues on the common clock, with what is the same for all rows."""

    def __init__(self, folder: Folder, systems: Sequence[str], encoder: Encoder) -> None:
        self.folder, self.systems, self.encoder = folder, systems, encoder
        self.people: dict[Path, Person] = {}
        for dialogue in folder.dialogues:
            for path in (dialogue.avatar, dialogue.user):
                if path not in self.people:  # tracks are read anew when asked for: all of them are gigabytes
                    self.people[path] = replace(read_person(path, folder.encoders), tracks={})
        self.partner = partners(folder.dialogues) if len({d.avatar_id for d in folder.dialogues}) > 1 else {}
        self.by_id = {dialogue.dyad_id: dialogue for dialogue in folder.dialogues}
        self.same: dict[str, dict] = {dialogue.dyad_id: {} for dialogue in folder.dialogues}  # see `Clip.alike`

    @cached_property
    def seen(self) -> dict[str, np.ndarray]:
        """Dialogue -> bool (T,): frames in which both people and every system were seen by the encoder."""
        return {dialogue.dyad_id: self._common(dialogue) for dialogue in self.folder.dialogues}

    def frames(self, dialogue: Dialogue) -> int:
        """Frames of the clock in which both were recorded."""
        return min(self.people[dialogue.avatar].frames, self.people[dialogue.user].frames)

    def tracks(self, source: str, dialogue: Dialogue) -> dict[str, Track]:
        """Tracks of a true listener or of a system in his place."""
        if source == TRUTH:
            return read_tracks(dialogue.avatar, self.folder.encoders)
        path = self.folder.generated(source, dialogue)
        if not path.is_file():
            raise DataError(f"{path} is missing; make the data folder again, or leave {source} out of the rows.")
        return read_tracks(path, self.folder.encoders)

    def motion(self, source: str, dialogue: Dialogue, encoders: Sequence[str]) -> np.ndarray:
        """(T, D) of encoders side by side on the clock, NaN where one of them did not see the face."""
        frames = self.frames(dialogue)
        if source not in CONTROLS:
            tracks = self.tracks(source, dialogue)
            return _beside([on_clock(tracks[name], frames) for name in encoders])
        if source == "other":
            if not self.partner:  # everyone who listens is the same person
                return np.full((frames, sum(len(self.folder.encoders[name].names) for name in encoders)), np.nan)
            one = self.by_id[self.partner[dialogue.dyad_id]]
            return other(self.motion(TRUTH, one, encoders), frames, dialogue.dyad_id)
        true = self.motion(TRUTH, dialogue, encoders)
        return shifted(true) if source == "shifted" else still(true)

    def there(self, source: str) -> bool:
        """Whether a source has a frame in any dialogue: nobody stands in for one who alone listens, and little is late
        in short dialogues."""
        if source == "other":
            return bool(self.partner)
        return source != "shifted" or any(self.frames(each) >= 2 * SHORTEST_SHIFT for each in self.folder.dialogues)

    def user(self, dialogue: Dialogue, encoders: Sequence[str]) -> np.ndarray:
        tracks = read_tracks(dialogue.user, self.folder.encoders)
        return _beside([on_clock(tracks[name], self.frames(dialogue)) for name in encoders])

    def _common(self, dialogue: Dialogue) -> np.ndarray:
        sides = [self.user(dialogue, [self.encoder.name])]
        sides += [self.motion(source, dialogue, [self.encoder.name]) for source in (TRUTH, *self.systems)]
        return np.logical_and.reduce([np.isfinite(side).all(1) for side in sides])


def _beside(parts: list[np.ndarray]) -> np.ndarray:
    made = np.concatenate(parts, 1)
    made[~np.isfinite(made).all(1)] = np.nan
    return made


def clips(data: Data, row: Row) -> Iterator[Clip]:
    """One row's clips."""
    make = _dropped_clip if row.protocol == "dropped" else _clock_clip
    for dialogue in data.folder.dialogues:
        yield make(data, row, dialogue)


def _clock_clip(data: Data, row: Row, dialogue: Dialogue) -> Clip:
    encoders = [data.encoder.name]
    generated = data.motion(row.source, dialogue, encoders)
    true, user = data.motion(TRUTH, dialogue, encoders), data.user(dialogue, encoders)
    valid = data.seen[dialogue.dyad_id] & np.isfinite(generated).all(1)
    speaking = spoken(data.people[dialogue.avatar].speech, len(valid))
    clip = _clip(data, dialogue, speaking, (generated, true, user), valid)
    if np.array_equal(valid, data.seen[dialogue.dyad_id]):
        clip.same = data.same[dialogue.dyad_id]
    return clip


def _dropped_clip(data: Data, row: Row, dialogue: Dialogue) -> Clip:
    if row.source in CONTROLS:
        raise ConfigError(f"row of {row.source}: a control has no frames to drop; use protocol clock.")
    name, person = data.encoder.name, data.people[dialogue.avatar]
    sides = [dropped(data.tracks(source, dialogue)[name]) for source in (row.source, TRUTH)]
    sides.append(dropped(read_tracks(dialogue.user, data.folder.encoders)[name]))
    frames = min(map(len, sides))
    # the published mask: seconds stretched over the frames that are left
    speaking = spoken(person.speech, frames, frames / person.seconds)
    clip = _clip(data, dialogue, speaking, tuple(side[:frames] for side in sides), None)
    clip.motion_whole = sides[1]  # clusters are fitted on all of the truth's frames
    return clip


def _clip(data: Data, dialogue: Dialogue, speaking, motions, valid: np.ndarray | None) -> Clip:
    generated, true, user = motions
    first = true if valid is None else true[valid]
    return Clip(
        dyad_id=dialogue.dyad_id,
        frames=len(true),
        status=OK if len(first) else "too_few_frames",
        speaking=speaking,
        names=data.encoder.names,
        groups=data.encoder.groups,
        valid=valid,
        people=(dialogue.avatar_id, dialogue.user_id),
        motion_generated=generated,
        motion_true=true,
        motion_user=user,
        motion_reference=first[0] if len(first) else None,
        still=STILL,
    )
