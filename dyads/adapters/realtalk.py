"""Adapter for RealTalk: two people in one edited picture with one mixed track: `--kind realtalk --root DIR`.

The release says neither who sits where nor when a cut comes, so its user lists it: `realtalk.csv` in the root, one row
a shot. Columns: video, split, left_id, right_id, start, end (seconds); optional left_box and right_box
(`x,y,w,h` in source pixels; else the face furthest left and right), turns (a .jsonl of start, end, speaker, text
in the video's seconds; speaker is an id, or left or right) and shot, its name. Both orders become dyads. The voices are
not separated: every row is marked as mixed sound.
"""

import csv
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dyads.adapters.engine.options import AdaptOptions
from dyads.adapters.pairs import Known, Pair, Source, parse_box
from dyads.errors import DataError
from dyads.manifest import header_fault
from dyads.records import SPLITS, Turn

LICENCE = "of the videos' authors (RealTalk)"
REQUIRED = ("video", "split", "left_id", "right_id", "start", "end")
SIDES = ("left", "right")


@dataclass(frozen=True)
class RealtalkOptions(AdaptOptions):
    """No options of its own."""

    dataset: str = "realtalk"
    crop: str = "tracked"


OPTIONS = RealtalkOptions


@dataclass(frozen=True)
class RealtalkNotes:
    """Turns of a video; the left person is the user."""

    path: Path
    people: tuple[str, str]

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.path,)

    def read(self, place: Callable[[Path], Path], seconds: float) -> Known:
        """Turns in the video's time, with a remark for those of nobody listed."""
        turns, others = [], 0
        for number, line in enumerate(place(self.path).read_text(encoding="utf-8").splitlines(), 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                start, end, speaker = float(row["start"]), float(row["end"]), str(row["speaker"])
                text = str(row.get("text", ""))
                if not 0 <= start <= end:
                    raise ValueError("start and end are no span")
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise DataError(f"{self.path} line {number}: not a turn ({error!r}); correct it.") from error
            roles = {self.people[0]: "user", self.people[1]: "avatar", "left": "user", "right": "avatar"}
            if speaker in roles:
                turns.append(Turn(start, end, roles[speaker], text))
            else:
                others += 1
        remarks = (f"{others} turns are of people who are not listed",) if others else ()
        return Known(tuple(sorted(turns, key=lambda turn: (turn.start, turn.end))), {}, remarks)


def _row(row: dict[str, str], number: int, root: Path) -> Pair:
    """One shot; faults are a ValueError."""
    empty = [key for key in REQUIRED if not row.get(key)]
    if empty:
        raise ValueError(f"column {empty[0]} is empty; fill it in.")
    if row["split"] not in SPLITS:
        raise ValueError(f"unknown split {row['split']!r}; use one of {', '.join(SPLITS)}.")
    people = row["left_id"], row["right_id"]
    if people[0] == people[1]:
        raise ValueError(f"left_id and right_id are both {people[0]!r}; name two people.")
    video = root / row["video"]
    if not video.is_file():
        raise ValueError(f"video {video} does not exist; correct the path.")
    try:
        start, end = float(row["start"]), float(row["end"])
        if not 0 <= start < end < float("inf"):
            raise ValueError
    except ValueError:
        raise ValueError(f"start {row['start']!r} and end {row['end']!r} are no span; give 0 <= start < end.") from None
    sides = []
    for side, person in zip(SIDES, people, strict=True):
        text = row.get(f"{side}_box", "")
        try:
            box = parse_box(text)
        except ValueError:
            words = "is no box; write x,y,w,h in pixels with positive w and h"
            raise ValueError(f"{side}_box {text!r} {words}.") from None
        sides.append(Source(person, video, video, box=box, which="" if box else side))
    shot = row.get("shot") or f"{number - 1:04d}"
    names = [f"{video.stem}_{shot}_{one}_{other}" for one, other in (people, people[::-1])]
    notes = None
    if row.get("turns"):
        path = root / row["turns"]
        if not path.is_file():
            raise ValueError(f"turns {path} does not exist; correct the path or leave it empty.")
        notes = RealtalkNotes(path, people)
    return Pair(
        names[0], row["split"], *sides, licence=LICENCE, start=start, end=end, mixed=True, mirror=names[1], notes=notes
    )


def pairs(root: Path, options: RealtalkOptions) -> tuple[list[Pair], dict[str, str], list[str]]:
    """The pairs of the list; all its faults come in one `DataError`, one sentence a line."""
    path = root / "realtalk.csv"
    if not path.is_file():
        raise DataError(
            f"{path} is missing; list the shots there: {', '.join(REQUIRED)} (RealTalk does not say who sits where)."
        )
    try:
        reader = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline=""))
        rows = list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not a UTF-8 CSV file ({error}); save it as UTF-8 CSV.") from error
    if fault := header_fault(reader.fieldnames, REQUIRED):
        raise DataError(f"{path}: {fault}.")
    if not rows:
        raise DataError(f"{path}: lists no shots; add rows.")
    found, faults = [], []
    splits: dict[str, set[str]] = {}
    for number, row in enumerate(rows, 2):
        try:
            pair = _row({key: (value or "").strip() for key, value in row.items() if key}, number, root)
        except ValueError as error:
            faults.append(f"{path} line {number}: {error}")
            continue
        found.append(pair)
        for side in (pair.user, pair.avatar):
            splits.setdefault(side.subject_id, set()).add(pair.split)
    faults += [
        f"{path}: {who!r} is in splits train and test; keep each in one." for who, s in splits.items() if len(s) > 1
    ]
    if len({pair.dyad_id for pair in found}) < len(found):
        faults.append(f"{path}: two shots have one name; give each a name of its own in column shot.")
    if faults:
        raise DataError("\n".join(faults))
    silent = sum(pair.notes is None for pair in found)
    words = "have no turns: on one mixed track nothing then says who speaks"
    return found, {}, [f"{path}: {silent} of {len(found)} shots {words}."] if silent else []
