"""The records of the Dyad contract: who is in a dialogue, where their recordings lie, and who spoke when."""

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from dyads.errors import DataError
from dyads.files import write_text

ROLES = ("user", "avatar")
SPLITS = ("train", "validation", "test")
COLUMNS = (
    *("dataset", "split", "dyad_id", "role", "subject_id", "video", "audio", "audio_channel", "mixed_audio"),
    *("fps", "width", "height", "licence", "crop", "sha256"),
)
REMEDY_ADAPT = "convert the recordings with `python -m dyads.adapters.folder`"


@dataclass(frozen=True)
class Side:
    """One person's recording in a dyad."""

    role: str
    subject_id: str
    video: Path
    audio: Path
    audio_channel: int | None
    mixed_audio: bool
    fps: float
    width: int
    height: int
    licence: str
    crop: str
    sha256: str


@dataclass(frozen=True)
class Turn:
    """One stretch of speech: start and end in seconds from the first frame, who speaks and the words."""

    start: float
    end: float
    role: str
    text: str


@dataclass(frozen=True)
class Dyad:
    """One dialogue of a user (observed) and an avatar (to be generated)."""

    dataset: str
    split: str
    dyad_id: str
    user: Side
    avatar: Side
    turns: tuple[Turn, ...]
    folder: Path

    def side(self, role: str) -> Side:
        """The side of a role in `ROLES`."""
        return {"user": self.user, "avatar": self.avatar}[role]

    @property
    def truth_path(self) -> Path:
        """Where the synthetic world keeps its ground truth; absent for real recordings."""
        return self.folder / "truth.safetensors"


@dataclass(frozen=True)
class DyadArrays:
    """Decoded dyad: frames uint8 (T,H,W,3) or None where not asked for, audio float32 (T*640,) in [-1,1]."""

    dyad: Dyad
    user_frames: np.ndarray | None
    avatar_frames: np.ndarray | None
    user_audio: np.ndarray
    avatar_audio: np.ndarray
    reference: np.ndarray


def parse_turns(path: Path) -> tuple[tuple[Turn, ...], list[str]]:
    """The sound turns of a `turns.jsonl` and every fault as a sentence naming the file and line."""
    if not path.is_file():
        return (), [f"{path}: there is no turns file; write an empty one where there is no transcript."]
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        return (), [f"{path}: not UTF-8 text ({error}); save it as UTF-8."]
    turns: list[Turn] = []
    faults: list[str] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{path} line {number}"
        try:
            row = json.loads(line)
            turn = Turn(float(row["start"]), float(row["end"]), row["role"], str(row["text"]))
        except (ValueError, TypeError, KeyError) as error:
            wanted = '{"start": s, "end": s, "role": "user", "text": "..."}'
            faults.append(f"{where}: not a turn ({_why(error)}); write each line as {wanted}.")
            continue
        before = len(faults)
        if turn.role not in ROLES:
            faults.append(f"{where}: unknown role {turn.role!r}; use one of {', '.join(ROLES)}.")
        if not (math.isfinite(turn.start) and math.isfinite(turn.end) and 0 <= turn.start <= turn.end):
            span = f"{turn.start:g} to {turn.end:g} s"
            faults.append(f"{where}: the turn runs from {span}; give 0 <= start <= end in seconds.")
        elif turns and turn.start < turns[-1].start:
            faults.append(f"{where}: the turn starts before the one above; sort the lines by start.")
        if len(faults) == before:
            turns.append(turn)
    return tuple(turns), faults


def _why(error: Exception) -> str:
    """What keeps a line from being a turn, in words."""
    if isinstance(error, json.JSONDecodeError):
        return f"no JSON: {error}"
    return f"{error} is missing" if isinstance(error, KeyError) else "start and end must be numbers"


def read_turns(path: Path) -> tuple[Turn, ...]:
    """Read and validate `turns.jsonl`; the first fault is a `DataError`."""
    turns, faults = parse_turns(Path(path))
    if faults:
        raise DataError(faults[0])
    return turns


def write_turns(path: Path, turns: Iterable[Turn]) -> None:
    """Write `turns.jsonl`, sorted by start, atomically."""
    lines = [json.dumps(asdict(turn), ensure_ascii=False) for turn in sorted(turns, key=lambda t: (t.start, t.end))]
    write_text(path, "".join(line + "\n" for line in lines))
