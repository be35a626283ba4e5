"""The manifest of a data folder: light checks that name every fault, and its writer."""

import csv
import hashlib
import io
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dyads.files import write_text
from dyads.media.containers import FPS
from dyads.records import COLUMNS, REMEDY_ADAPT, ROLES, SPLITS, Dyad, Side, parse_turns
from dyads.shards import WHOLE, Shard


@dataclass(frozen=True)
class Scan:
    """What the light checks found: sound dyads by dyad_id, every sound side, faults as sentences."""

    dyads: list[Dyad]
    sides: list[Side]
    faults: list[str]


def file_sha256(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def same_content(one: Path, other: Path) -> bool:
    """Whether two files hold the same bytes."""
    return one.stat().st_size == other.stat().st_size and file_sha256(one) == file_sha256(other)


def datasets_of(data: Path) -> tuple[str, ...]:
    """Names of the data sets in a data folder's manifest, sorted."""
    with open(Path(data) / "manifest.csv", encoding="utf-8-sig", newline="") as file:
        return tuple(sorted({row["dataset"] for row in csv.DictReader(file)}))


def write_manifest(data: Path, rows: Iterable[dict]) -> None:
    """Write `<data>/manifest.csv` atomically from dictionaries with exactly the keys `COLUMNS`."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: "" if row[key] is None else row[key] for key in COLUMNS})
    write_text(Path(data) / "manifest.csv", buffer.getvalue())


def _number(text: str, kind: type) -> float | int | None:
    """`text` as a number of `kind`, None where it is none."""
    try:
        return kind(text)
    except ValueError:
        return None


def _row_faults(row: dict[str, str], data: Path) -> list[str]:
    """Every fault of one manifest row, without its place."""
    faults = [
        f"column {key} is empty; fill it in."
        for key in ("dataset", "dyad_id", "subject_id", "video", "audio")
        if not row[key].strip()
    ]
    if row["role"] not in ROLES:
        faults.append(f"unknown role {row['role']!r}; use one of {', '.join(ROLES)}.")
    if row["split"] not in SPLITS:
        faults.append(f"unknown split {row['split']!r}; use one of {', '.join(SPLITS)}.")
    if row["dyad_id"].startswith(".") or set(row["dyad_id"]) & set("/\\"):
        faults.append(f"dyad_id {row['dyad_id']!r} cannot name a folder; drop leading dots and slashes.")
    if row["mixed_audio"].lower() not in ("true", "false", "1", "0"):
        faults.append(f"mixed_audio is {row['mixed_audio']!r}; write true or false.")
    if row["audio_channel"].strip() and _number(row["audio_channel"], int) not in range(64):
        faults.append(f"audio_channel is {row['audio_channel']!r}; leave it empty or give a number from 0.")
    if _number(row["fps"], float) != FPS:
        faults.append(f"fps is {row['fps']!r}, stored data must have {FPS}; {REMEDY_ADAPT}.")
    for key in ("width", "height"):
        side = _number(row[key], int)
        if side is None or side < 2 or side % 2:
            faults.append(f"{key} is {row[key]!r}, an even number of pixels is needed; {REMEDY_ADAPT}.")
    for key in ("video", "audio"):
        if row[key].strip() and not (data / row[key]).is_file():
            faults.append(f"{key} file {data / row[key]} is missing; restore it or drop the dyad's rows.")
    return faults


def _side(row: dict[str, str], data: Path) -> Side:
    """A checked row as a `Side`."""
    return Side(
        role=row["role"],
        subject_id=row["subject_id"],
        video=data / row["video"],
        audio=data / row["audio"],
        audio_channel=int(row["audio_channel"]) if row["audio_channel"].strip() else None,
        mixed_audio=row["mixed_audio"].lower() in ("true", "1"),
        fps=float(row["fps"]),
        width=int(row["width"]),
        height=int(row["height"]),
        licence=row["licence"],
        crop=row["crop"],
        sha256=row["sha256"],
    )


def _dyad_faults(manifest: Path, dyad_id: str, members: list[tuple[int, dict[str, str]]]) -> list[str]:
    """Faults between the rows of one dyad: second or missing roles, differing split or dataset."""
    faults, seen = [], set()
    for number, row in members:
        if row["role"] in seen:
            role = row["role"]
            faults.append(f"{manifest} line {number}: dyad {dyad_id!r} has two rows for role {role!r}; keep one.")
        seen.add(row["role"])
    for role in ROLES:
        if role not in seen and seen <= set(ROLES):
            faults.append(f"{manifest}: dyad {dyad_id!r} has no row for role {role!r}; add it or drop the dyad.")
    people = [row["subject_id"] for _, row in members]
    if len(people) > 1 and len(set(people)) == 1 and people[0].strip():
        faults.append(
            f"{manifest}: user and avatar of dyad {dyad_id!r} are the same person {people[0]!r}; correct subject_id."
        )
    for key in ("split", "dataset"):
        if len({row[key] for _, row in members}) > 1:
            faults.append(f"{manifest}: the rows of dyad {dyad_id!r} differ in {key}; make them equal.")
    return faults


def _identity_faults(manifest: Path, rows: list[tuple[int, dict[str, str]]]) -> list[str]:
    """One sentence per subject that appears in more than one split."""
    splits: dict[str, dict[str, int]] = defaultdict(dict)
    for number, row in rows:
        splits[row["subject_id"]].setdefault(row["split"], number)
    return [
        f"{manifest}: subject {subject!r} is in splits "
        + " and ".join(f"{split} (line {number})" for split, number in seen.items())
        + "; keep each identity in one split."
        for subject, seen in splits.items()
        if len(seen) > 1
    ]


def header_fault(header: Sequence[str] | None, wanted: Sequence[str]) -> str | None:
    """What is wrong with a CSV file's header, with the remedy; None if every wanted column is there."""
    missing = [key for key in wanted if key not in (header or ())]
    if not missing:
        return None
    for separator, name in ((";", "semicolons"), ("\t", "tabs")):
        if header and len(header) == 1 and separator in header[0]:
            return f"its fields are separated by {name}; save it with commas"
    return f"missing column {', '.join(missing)}; add it to the header"


def _read_rows(manifest: Path) -> tuple[list[tuple[int, dict[str, str]]], list[str]]:
    """(line number, row) of every complete row, and faults of the file itself."""
    if not manifest.is_file():
        return [], [f"{manifest}: there is no manifest; give a data folder or {REMEDY_ADAPT}."]
    try:
        reader = csv.DictReader(io.StringIO(manifest.read_text(encoding="utf-8-sig"), newline=""))
        rows = list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        return [], [f"{manifest}: not a UTF-8 CSV file ({error}); save it as UTF-8 CSV."]
    if fault := header_fault(reader.fieldnames, COLUMNS):
        return [], [f"{manifest}: {fault}."]
    if not rows:
        return [], [f"{manifest}: the manifest lists no dyads; add rows or make the folder again."]
    complete, faults = [], []
    for number, row in enumerate(rows, 2):
        if None in row or None in row.values():
            faults.append(f"{manifest} line {number}: not as many values as columns; correct the row.")
        else:
            complete.append((number, row))
    return complete, faults


def scan(data: Path | str, split: str | None = None, shard: Shard = WHOLE) -> Scan:
    """Light checks of a data folder: index, identities, existence of files, turns.

    With a shard, files and turns are looked at of its run of the split's (None: all) dialogues only.
    """
    data = Path(data)
    manifest = data / "manifest.csv"
    rows, faults = _read_rows(manifest)
    faults += _identity_faults(manifest, rows)
    groups = defaultdict(list)
    for number, row in rows:
        groups[row["dyad_id"]].append((number, row))
    dyads, all_sides = [], []
    chosen = sorted(groups.items())
    if not shard.whole:
        chosen = shard.of([one for one in chosen if split is None or one[1][0][1]["split"] == split])
    for dyad_id, members in chosen:
        own, sides = [], {}
        for number, row in members:
            bad = [f"{manifest} line {number}: {fault}" for fault in _row_faults(row, data)]
            own += bad
            if not bad:
                sides[row["role"]] = _side(row, data)
                all_sides.append(sides[row["role"]])
        own += _dyad_faults(manifest, dyad_id, members)
        first = members[0][1]
        folder = data / first["split"] / dyad_id
        turns, bad_turns = parse_turns(folder / "turns.jsonl") if first["split"] in SPLITS else ((), [])
        own += bad_turns
        if not own:
            split, user, avatar = first["split"], sides["user"], sides["avatar"]
            dyads.append(Dyad(first["dataset"], split, dyad_id, user, avatar, turns, folder))
        faults += own
    return Scan(dyads, all_sides, faults)
