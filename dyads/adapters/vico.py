"""Adapter for ViCo, the full release and the challenge's: `--kind vico --root DIR`.

The speaker is the user, the listener the avatar. Videos have no sound, `audios/` holds the speaker's; the listener's
was never recorded, so the avatar is silent, not muted. Of the official splits `ood` shows people whom training does not
know; `test` shows people of `train`, so where it is asked for, their dialogues are taken out of training and listed.
Of the 92 people 67 speak and 76 listen, so most do both: an id is one person in both columns, unless a row would then
have somebody listen to himself.
"""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from dyads.adapters.engine.options import AdaptOptions
from dyads.adapters.pairs import Pair, Source, without_test_people
from dyads.errors import ConfigError, DataError

LICENCE = "research only (ViCo)"
COLUMNS = ("attitude", "audio", "listener", "speaker", "listener_id", "speaker_id", "data_split")
CHALLENGE = ("video_id", "uuid", "speaker_id", "listener_id")
SPLITS = ("train", "test", "ood")


@dataclass(frozen=True)
class VicoOptions(AdaptOptions):
    """`test`: which official split becomes the test side, `ood` or `test`, or `both`."""

    dataset: str = "vico"
    crop: str = "tracked"
    test: str = "ood"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.test not in ("ood", "test", "both"):
            raise ConfigError(f"test is {self.test!r}; give one of ood, test, both.")


OPTIONS = VicoOptions


@dataclass(frozen=True)
class Row:
    """One listening: its name, files, ids of the people, and the official split."""

    name: str
    speaker: Path
    listener: Path
    audio: Path
    speaker_id: str
    listener_id: str
    split: str


def _table(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    """Rows of a CSV file with or without a header line."""
    try:
        lines = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"))))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as CSV ({error}); fetch it again.") from error
    lines = [[value.strip() for value in line] for line in lines if any(line)]
    names = lines[0] if lines and set(columns[1:]) <= set(lines[0]) else list(columns)
    rows = lines[1:] if lines and names is lines[0] else lines
    if not rows or any(len(row) != len(names) for row in rows):
        raise DataError(f"{path}: not every line has the {len(names)} values {', '.join(names)}; fetch it again.")
    return [dict(zip(names, row, strict=True)) for row in rows]


def _full(folder: Path) -> list[Row]:
    rows = []
    for row in _table(folder / "RLD_data.csv", COLUMNS):
        listener, speaker = (folder / "videos" / f"{row[key]}.mp4" for key in ("listener", "speaker"))
        audio = folder / "audios" / f"{row['audio']}.wav"
        people = row["speaker_id"], row["listener_id"]
        rows.append(Row(row["listener"], speaker, listener, audio, *people, row["data_split"]))
    return rows


def _challenge(folder: Path) -> list[Row]:
    rows = []
    for split in SPLITS:
        table = folder / f"{split}.csv"
        for row in _table(table, CHALLENGE) if table.is_file() else ():
            speaker, listener = (folder / "videos" / f"{row['uuid']}.{side}.mp4" for side in ("speaker", "listener"))
            audio = folder / "audios" / f"{row['uuid']}.wav"
            people = row["speaker_id"], row["listener_id"]
            rows.append(Row(row["uuid"], speaker, listener, audio, *people, split))
    return rows


def read_rows(root: Path) -> list[Row]:
    """Every listening that the release lists; `DataError` for a root that is none."""
    for folder in (root, root / "listening_head"):
        if (folder / "RLD_data.csv").is_file():
            return _full(folder)
        if (folder / "videos").is_dir() and (folder / "train.csv").is_file():
            return _challenge(folder)
    raise DataError(
        f"{root}: this is no ViCo release; give the folder with RLD_data.csv, videos/ and audios/, or with the "
        "challenge's listening_head/."
    )


def people_of(rows: list[Row]) -> tuple[str, str]:
    """How the ids of speakers and of listeners are called: alike where both columns count the same people."""
    if any(row.speaker_id == row.listener_id for row in rows):
        return "speaker", "listener"
    return "person", "person"


def pairs(root: Path, options: VicoOptions) -> tuple[list[Pair], dict[str, str], list[str]]:
    """The pairs of a release, what is left out with the reason, and remarks."""
    rows = read_rows(root)
    wanted = {"train": "train"} | {
        name: "test" for name in (("ood", "test") if options.test == "both" else (options.test,))
    }
    speaker, listener = people_of(rows)
    chosen, skipped, names = [], {}, set()
    for row in rows:
        if row.split not in SPLITS:
            skipped[row.name] = f"{row.name}: unknown split {row.split!r}, not one of {', '.join(SPLITS)}."
            continue
        if row.split not in wanted:
            continue
        lacking = [path.name for path in (row.speaker, row.listener, row.audio) if not path.is_file()]
        if lacking:
            skipped[row.name] = f"{row.name}: {', '.join(lacking)} is missing; fetch it."
            continue
        name = row.name if row.name not in names else f"{row.name}_{row.speaker.stem}"
        names.add(name)
        user = Source(f"{speaker}_{row.speaker_id}", row.speaker, row.audio)
        avatar = Source(f"{listener}_{row.listener_id}", row.listener, None)
        chosen.append(Pair(name, wanted[row.split], user, avatar, licence=LICENCE, mixed=False))
    if not chosen:
        reason = next(iter(skipped.values()), f"no row is in split {' or '.join(wanted)}")
        raise DataError(f"{root}: not one listening is complete: {reason}")
    chosen, apart = without_test_people(chosen)
    remarks = [] if any(pair.split == "test" for pair in chosen) else [f"{root}: no row is in split {options.test}."]
    return chosen, skipped | apart, remarks
