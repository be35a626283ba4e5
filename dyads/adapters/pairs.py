"""The pairs file of the folder adapter: which recordings make up which dialogue, read and checked as a whole.

One row per dialogue. Required columns: dyad_id, split, user_video, avatar_video, user_id, avatar_id.
Optional: user_audio and avatar_audio (empty: the video's own sound; `file#1` or `#1` picks a channel,
counted from 0, `#a1` the second audio stream, `#a1:0` a channel of it; `none`: this side has no sound), turns (a
turns.jsonl), licence, user_box and avatar_box (`x,y,w,h` in upright source pixels), user_face and avatar_face (`left`
or `right`, where a picture shows two), start and end (seconds from the first frame), user_offset and avatar_offset
(seconds by which that side's recording runs ahead: so much of its beginning is skipped). Columns called note, or
beginning with `note_`, are for people; any other is refused. Paths are relative to the root.
"""

import csv
import io
import math
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from dyads.errors import DataError
from dyads.manifest import header_fault
from dyads.records import ROLES, SPLITS, Turn

SIDED = ("audio", "box", "face", "offset")
OPTIONAL = ("turns", "licence", "start", "end", *(f"{role}_{key}" for role in ROLES for key in SIDED))
FACES = ("", "left", "right")
NO_SOUND = "none"
REQUIRED = ("dyad_id", "split", "user_video", "avatar_video", "user_id", "avatar_id")
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Source:
    """One person's recording as given: files, the channel of the sound, and a crop box in pixels or None.

    No `video`: nobody was filmed (a grey picture). No `audio`: nothing was recorded (silence). `which`: the face
    that is meant where a picture shows two, `left` or `right`. `offset`: seconds of the recording that come before
    the dialogue's time zero. `stream`: which audio stream, counted from 0.
    """

    subject_id: str
    video: Path | None
    audio: Path | None
    channel: int | None = None
    box: Box | None = None
    which: str = ""
    offset: float = 0.0
    stream: int = 0


@dataclass(frozen=True)
class Member:
    """A file within a tar archive: where its bytes lie."""

    archive: Path
    name: str
    offset: int
    size: int

    @property
    def path(self) -> Path:
        """How a `Source` names it."""
        return self.archive / self.name


class Notes(Protocol):
    """What a data set knows beside the recordings, read when its dialogue is made; plain data, so it can be sent."""

    files: tuple[Path, ...]

    def read(self, place: Callable[[Path], Path], seconds: float) -> "Known":
        """What is known of a dialogue of so many seconds; `place` says where one of `files` lies now.

        `Skipped` leaves the dialogue out.
        """


@dataclass(frozen=True)
class Known:
    """Turns, and by role whether each of any number of equally long parts of the dialogue is valid (bool arrays)."""

    turns: tuple[Turn, ...] = ()
    valid: dict[str, np.ndarray] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


class Skipped(DataError):
    """A dialogue that its data set is known to lack or to spoil: left out and listed, no fault."""


@dataclass(frozen=True)
class Pair:
    """One dialogue as given; `turns` may be None, `start` and `end` are seconds, `end` None for all of it.

    `mirror`: the id of a second dyad with the roles exchanged, made of the same files. `members`: sources that lie in
    archives. `mixed`: whether both voices are heard in both sides' sound; None: if it is the same file.
    """

    dyad_id: str
    split: str
    user: Source
    avatar: Source
    turns: Path | None = None
    licence: str = ""
    start: float = 0.0
    end: float | None = None
    mixed: bool | None = None
    mirror: str = ""
    notes: Notes | None = None
    members: tuple[Member, ...] = ()

    @property
    def mixed_audio(self) -> bool:
        """Whether both sides share one track, so that each voice is heard in both."""
        if self.mixed is not None:
            return self.mixed
        both = (self.user, self.avatar)
        return (
            None not in {side.audio for side in both}
            and len({(side.audio, side.stream, side.channel) for side in both}) == 1
        )

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that the dialogue is made of, as the sources name them."""
        named = [path for side in (self.user, self.avatar) for path in (side.video, side.audio)]
        named += [self.turns, *(self.notes.files if self.notes else ())]
        return tuple(sorted({path for path in named if path is not None}))

    def source(self, role: str) -> Source:
        """The source of a role in `ROLES`."""
        return {"user": self.user, "avatar": self.avatar}[role]


def _audio(text: str, video: Path, root: Path) -> tuple[Path | None, int, int | None]:
    """File, stream and channel from `file`, `file#channel`, `file#aSTREAM:channel`, the same without a file, `none`."""
    if not text:
        return video, 0, None
    if text == NO_SOUND and not (root / text).is_file():
        return None, 0, None
    found = re.fullmatch(r"(.*)#(?:a(\d+)(?::(\d+))?|(\d+))", text)
    if found and not (root / text).is_file():
        name, stream, channel, plain = found.groups()
        chosen = channel if stream else plain
        return root / name if name else video, int(stream or 0), None if chosen is None else int(chosen)
    return root / text, 0, None


def parse_box(text: str) -> Box | None:
    """`x,y,w,h` as numbers, None for nothing; raises ValueError."""
    if not text:
        return None
    x, y, width, height = (float(part) for part in re.split(r"[,;\s]+", text))
    if not (math.isfinite(x + y + width + height) and width > 0 and height > 0):
        raise ValueError("width and height must be positive")
    return x, y, width, height


def _source(row: dict[str, str], role: str, root: Path, faults: list[str]) -> Source:
    """One side of a row; faults are added without their place."""
    video = root / row[f"{role}_video"]
    audio, stream, channel = _audio(row.get(f"{role}_audio", ""), video, root)
    box, offset, which = None, 0.0, row.get(f"{role}_face", "")
    for kind, path in ((f"{role}_video", video), (f"{role}_audio", audio)):
        if path is not None and not path.is_file() and not (kind.endswith("audio") and path == video):
            faults.append(f"{kind} {path} does not exist; correct the path or --root.")
    try:
        box = parse_box(row.get(f"{role}_box", ""))
    except ValueError:
        text = row[f"{role}_box"]
        faults.append(f"{role}_box {text!r} is no box; write x,y,w,h in pixels with positive w and h.")
    if which not in FACES:
        faults.append(f"{role}_face is {which!r}; write left, right or nothing.")
    try:
        offset = float(row.get(f"{role}_offset") or 0)
        if not 0 <= offset < math.inf:
            raise ValueError
    except ValueError:
        faults.append(f"{role}_offset is {row[f'{role}_offset']!r}; give seconds from 0.")
    return Source(row[f"{role}_id"], video, audio, channel, box, which, offset, stream)


def _pair(row: dict[str, str], root: Path) -> tuple[Pair | None, list[str]]:
    faults = [f"column {key} is empty; fill it in." for key in REQUIRED if not row[key]]
    if faults:
        return None, faults
    if row["split"] not in SPLITS:
        faults.append(f"unknown split {row['split']!r}; use one of {', '.join(SPLITS)}.")
    if row["dyad_id"].startswith(".") or set(row["dyad_id"]) & set("/\\"):
        faults.append(f"dyad_id {row['dyad_id']!r} cannot name a folder; drop leading dots and slashes.")
    start, end = 0.0, None
    try:
        start = float(row.get("start") or 0)
        end = float(row["end"]) if row.get("end") else None
        if not 0 <= start < (math.inf if end is None else end) or end == math.inf:
            raise ValueError
    except ValueError:
        span = f"start {row.get('start', '')!r} and end {row.get('end', '')!r}"
        faults.append(f"{span} are no span; give seconds with 0 <= start < end.")
    turns = root / row["turns"] if row.get("turns") else None
    if turns is not None and not turns.is_file():
        faults.append(f"turns {turns} does not exist; correct the path or leave it empty.")
    user, avatar = (_source(row, role, root, faults) for role in ROLES)
    faults += [fault for fault in (one_face(user, avatar), one_person(user, avatar)) if fault]
    return Pair(row["dyad_id"], row["split"], user, avatar, turns, row.get("licence", ""), start, end), faults


def one_face(user: Source, avatar: Source) -> str | None:
    """What is wrong where both roles show the same face of the same recording; None where they do not."""
    same = (user.video, user.box, user.which) == (avatar.video, avatar.box, avatar.which)
    if not same or user.video is None:
        return None
    return (
        f"both roles are the face of {user.video.name}; give user_box and avatar_box, or user_face and avatar_face "
        "(left, right), where the picture shows both people."
    )


def one_person(user: Source, avatar: Source) -> str | None:
    """What is wrong where a person talks with themselves; None where they do not."""
    if user.subject_id != avatar.subject_id:
        return None
    return f"user and avatar are the same person {user.subject_id!r}; correct user_id or avatar_id."


def _identity_faults(pairs: list[tuple[int, Pair]]) -> list[str]:
    """One sentence per identity used in both splits, and per dyad_id used twice."""
    faults, lines = [], {}
    splits: dict[str, dict[str, int]] = defaultdict(dict)
    for number, pair in pairs:
        if pair.dyad_id in lines:
            first = lines[pair.dyad_id]
            faults.append(f"line {number}: dyad_id {pair.dyad_id!r} is already on line {first}; rename one.")
        lines.setdefault(pair.dyad_id, number)
        for role in ROLES:
            splits[pair.source(role).subject_id].setdefault(pair.split, number)
    for subject, seen in splits.items():
        if len(seen) > 1:
            places = " and ".join(f"{split} (line {number})" for split, number in seen.items())
            faults.append(f"identity {subject!r} is in splits {places}; keep each identity in one split.")
    return faults


def read_pairs(path: Path | str, root: Path | str) -> list[Pair]:
    """The dialogues of a pairs file; all faults come in one `DataError`, one sentence a line."""
    path, root = Path(path), Path(root)
    if not path.is_file():
        raise DataError(f"{path}: there is no pairs file; write one (columns {', '.join(REQUIRED)}, ...).")
    try:
        reader = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline=""))
        rows = [(reader.line_num, row) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not a UTF-8 CSV file ({error}); save it as UTF-8 CSV.") from error
    if fault := header_fault(reader.fieldnames, REQUIRED):
        raise DataError(f"{path}: {fault}.")
    for key in reader.fieldnames:
        if key.strip() not in (*REQUIRED, *OPTIONAL) and not re.fullmatch("notes?(_.*)?", key.strip()):
            raise DataError(
                f"{path}: unknown column {key!r}; known are {', '.join((*REQUIRED, *OPTIONAL))}, and note or note_... "
                "for your own remarks."
            )
    if not rows:
        raise DataError(f"{path}: the file lists no dialogues; add a row for each.")
    pairs, faults = [], []
    for number, row in rows:
        if None in row or None in row.values():
            faults.append(f"line {number}: not as many values as columns; correct the row (quote x,y,w,h).")
            continue
        pair, bad = _pair({key: value.strip() for key, value in row.items()}, root)
        faults += [f"line {number}: {fault}" for fault in bad]
        if pair is not None:
            pairs.append((number, pair))
    faults += _identity_faults(pairs)
    if faults:
        raise DataError("\n".join(f"{path} {fault}" for fault in faults))
    return [pair for _, pair in pairs]


def without_test_people(found: list[Pair]) -> tuple[list[Pair], dict[str, str]]:
    """The pairs without those of training that show a person of the test side, and why each of those is left out."""
    splits: dict[str, set[str]] = defaultdict(set)
    for pair in found:
        for role in ROLES:
            splits[pair.source(role).subject_id].add(pair.split)
    both = {person for person, seen in splits.items() if len(seen) > 1}
    kept, skipped = [], {}
    for pair in found:
        people = [pair.source(role).subject_id for role in ROLES if pair.source(role).subject_id in both]
        if pair.split == "train" and people:
            skipped[pair.dyad_id] = (
                f"{pair.dyad_id}: {' and '.join(people)} is also in the test split; left out of training."
            )
        else:
            kept.append(pair)
    return kept, skipped
