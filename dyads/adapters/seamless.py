"""Adapter for Seamless Interaction, unpacked or in the hub's tar archives: `--kind seamless --root DIR`.

Every interaction of two people becomes two dyads, one for each order of user and avatar. Official splits are kept:
`train` and `test`, `dev` where the options say so; a person of the test side is taken out of training. Turns are the
voice activity's intervals with the transcript's words; frames are valid where the data set's own flags say so, spread
over the recording by their count, because some features run at another rate than documented. CC BY-NC 4.0.
"""

import json
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dyads.adapters.engine.options import AdaptOptions
from dyads.adapters.pairs import Known, Member, Pair, Skipped, Source, without_test_people
from dyads.adapters.seamless_files import BOX_FLAGS, FEATURES, FLAGS, TEXTS, Recording, read_tree
from dyads.errors import ConfigError, DataError
from dyads.records import ROLES, Turn

LICENCE = "CC BY-NC 4.0"
UNUSUAL = 0.25  # how far a feature's rate may lie from the documented one without a remark, as a share of it
RATE = 30.0
USES = ("leave", "train", "test")


@dataclass(frozen=True)
class SeamlessOptions(AdaptOptions):
    """`labels`: improvised, naturalistic or both; `dev`: what becomes of that split; `orders`: both, or `first` only.

    `limit`: so many interactions of each split, the first by name; 0 for all.
    """

    dataset: str = "seamless"
    segment_seconds: float = 30.0
    crop: str = "tracked"
    silent_sides: str = "skip"
    labels: str = "both"
    dev: str = "leave"
    orders: str = "both"
    limit: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        for key, known in (
            ("labels", ("both", "improvised", "naturalistic")),
            ("dev", USES),
            ("orders", ("both", "first")),
        ):
            if getattr(self, key) not in known:
                raise ConfigError(f"{key} is {getattr(self, key)!r}; give one of {', '.join(known)}.")
        if self.limit < 0:
            raise ConfigError(f"limit is {self.limit}; give 0 for all, or a number of interactions.")


OPTIONS = SeamlessOptions


@dataclass(frozen=True)
class SeamlessNotes:
    """Files of text and of features of both sides of an interaction; none where a side has no such file."""

    interaction: str
    texts: tuple[tuple[Path, ...], tuple[Path, ...]]
    features: tuple[tuple[Path, ...], tuple[Path, ...]]

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(path for side in (*self.texts, *self.features) for path in side)

    def read(self, place: Callable[[Path], Path], seconds: float) -> Known:
        """Turns and validity of both sides; `Skipped` where neither side has any voice activity or words."""
        turns, valid, remarks = [], {}, []
        for role, texts, features in zip(ROLES, self.texts, self.features, strict=True):
            if texts:
                own, said = side_turns(tuple(map(place, texts)), role, seconds)
                turns += own
                remarks += said
            if features:
                flags, said = validity(tuple(map(place, features)), seconds)
                remarks += [f"{role}: {words}" for words in said]
                if flags is not None:
                    valid[role] = flags
        if any(self.texts) and not turns:
            raise Skipped(f"{self.interaction}: neither side has voice activity or words; left out.")
        return Known(tuple(sorted(turns, key=lambda turn: (turn.start, turn.end))), valid, tuple(remarks))


def _spans(items: object, path: Path, what: str) -> list[tuple[float, float, dict]]:
    """(start, end, item) of a list of intervals, {start, end} or [start, end], in order of time."""
    if not isinstance(items, list):
        raise DataError(f"{path}: {what} is no list; fetch the file again.")
    found = []
    for item in items:
        try:
            pair = (item["start"], item["end"]) if isinstance(item, dict) else item[:2]
            start, end = (float(value) for value in pair)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise DataError(
                f"{path}: an interval of {what} is {item!r:.60}, not start and end; fetch it again."
            ) from error
        if np.isfinite([start, end]).all() and end > start:
            found.append((start, end, item if isinstance(item, dict) else {}))
    return sorted(found, key=lambda span: span[:2])


def _content(path: Path) -> dict:
    """What a side's .json says, or of a file of the bucket, a line an interval, as the .json would have it."""
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".jsonl":
            return {f"metadata:{path.parent.name}": [json.loads(line) for line in text.splitlines() if line.strip()]}
        content = json.loads(text)
    except (ValueError, OSError) as error:
        raise DataError(f"{path}: cannot be read as JSON ({error}); fetch it again.") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: holds no JSON object; fetch it again.")
    return content


def side_turns(paths: tuple[Path, ...], role: str, seconds: float) -> tuple[list[Turn], list[str]]:
    """One side's turns and remarks: its voice activity with the words that fall into each interval.

    Without voice activity the transcript's segments are the turns. Times beyond the recording are cut off.
    """
    path = paths[0]
    content: dict = {}
    for part in reversed(paths):
        content |= _content(part)
    segments = _spans(content.get("metadata:transcript") or [], path, "metadata:transcript")
    voice = _spans(content.get("metadata:vad") or [], path, "metadata:vad")
    remarks = []
    if not voice:
        remarks.append(f"{role}: no voice activity is listed" + (", turns are the transcript's" if segments else ""))
        voice, words = segments, []
        texts = [" ".join(str(segment.get("transcript", "")).split()) for _, _, segment in segments]
    else:
        words = [word for segment in segments for word in _words(segment, path)]
        texts = _words_in(voice, words)
    turns = [
        Turn(max(0.0, start), min(end, seconds), role, text)
        for (start, end, _), text in zip(voice, texts, strict=True)
        if start < seconds and end > 0
    ]
    if len(turns) < len(voice):
        remarks.append(f"{role}: {len(voice) - len(turns)} intervals lie beyond the recording's {seconds:.1f} s")
    return turns, remarks


def _words(segment: tuple[float, float, dict], path: Path) -> list[tuple[float, str]]:
    """(time, word) of a transcript's segment: each word's middle, or the whole text at the segment's."""
    start, end, content = segment
    timed = []
    for word in content.get("words") or []:
        with suppress(TypeError, ValueError, KeyError):  # a word that nobody could align has no times
            time = (float(word["start"]) + float(word["end"])) / 2
            timed += [(time, str(word.get("word", "")))] if np.isfinite(time) else []
    return timed or [((start + end) / 2, str(content.get("transcript", "")))]


def _words_in(voice: list[tuple[float, float, dict]], words: list[tuple[float, str]]) -> list[str]:
    """The words nearest to each interval, in order of time."""
    texts: list[list[str]] = [[] for _ in voice]
    for time, word in sorted(words, key=lambda item: item[0]):
        away = [max(start - time, time - end, 0.0) for start, end, _ in voice]
        texts[int(np.argmin(away))].append(word)
    return [" ".join(" ".join(own).split()) for own in texts]


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """The flags of a .npz, or of a file of the bucket."""
    try:
        if path.suffix == ".npy":
            key = f"{path.parent.parent.name}:{path.parent.name}"
            return {key: np.asarray(np.load(path, allow_pickle=False))}
        with np.load(path, allow_pickle=False) as arrays:
            return {key: np.asarray(arrays[key]) for key in (FLAGS, BOX_FLAGS) if key in arrays.files}
    except (ValueError, OSError, EOFError, AttributeError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path}: cannot be read as numbers ({error}); fetch it again.") from error


def validity(paths: tuple[Path, ...], seconds: float) -> tuple[np.ndarray | None, list[str]]:
    """bool (N,) for N equal parts of the recording, and remarks; None where the files have no flags.

    A flag is one number or several for a moment; all must hold. Two kinds of flags are asked, each on its clock.
    """
    found: dict[str, np.ndarray] = {}
    for path in reversed(paths):
        found |= _arrays(path)
    remarks, flags = [], []
    for key, values in found.items():
        if not values.size:
            remarks.append(f"{key} is empty")
            continue
        values = np.nan_to_num(values.reshape(len(values), -1)).astype(bool).all(1)  # NaN is no yes
        rate = len(values) / seconds
        if abs(rate - RATE) > UNUSUAL * RATE:
            remarks.append(f"{key} has {len(values)} values for {seconds:.1f} s: {rate:.1f} a second, not {RATE:g}")
        flags.append(values)
    if not flags:
        return None, remarks
    parts = max(map(len, flags))
    times = (np.arange(parts) + 0.5) / parts
    return np.all([own[(times * len(own)).astype(int)] for own in flags], axis=0), remarks


def _sides(people: dict[str, Recording]) -> list[Recording]:
    return [people[name] for name in sorted(people)]


def _pair(sides: list[Recording], split: str, options: SeamlessOptions) -> Pair:
    """The pair of an interaction, user first; its mirror has the roles exchanged."""
    user, avatar = sides
    ids = [f"{user.interaction}_{one.person}_{other.person}" for one, other in ((user, avatar), (avatar, user))]
    sources = [Source(side.person, side.files["mp4"], side.files["wav"]) for side in sides]
    notes = SeamlessNotes(
        user.interaction,
        *(
            tuple(tuple(s.files[kind] for kind in kinds if kind in s.files) for s in sides)
            for kinds in (TEXTS, FEATURES)
        ),
    )
    members: list[Member] = [member for side in sides for member in side.members.values()]
    return Pair(
        ids[0],
        split,
        *sources,
        licence=LICENCE,
        mixed=False,
        mirror=ids[1] if options.orders == "both" else "",
        notes=notes,
        members=tuple(members),
    )


def pairs(root: Path, options: SeamlessOptions) -> tuple[list[Pair], dict[str, str], list[str]]:
    """The pairs of a tree, interactions that are left out with the reason, and remarks on the tree.

    `DataError` where the tree is not this data set's, or no interaction has both its sides.
    """
    uses = {"train": "train", "test": "test"} | ({} if options.dev == "leave" else {"dev": options.dev})
    tree = read_tree(root, tuple(uses))
    chosen, skipped = [], {}
    for (label, interaction), people in sorted(tree.recordings.items()):
        if options.labels not in ("both", label):
            continue
        sides = _sides(people)
        lacking = [f"{side.file_id}.{kind}" for side in sides for kind in ("mp4", "wav") if kind not in side.files]
        if len(sides) != 2:
            names = " and ".join(side.person for side in sides)
            skipped[interaction] = (
                f"{interaction}: two people are wanted, only {names} is there; fetch the other archive."
            )
            if len(sides) > 2:
                skipped[interaction] = f"{interaction}: {len(sides)} people ({names}), two are wanted; left out."
        elif lacking:
            skipped[interaction] = f"{interaction}: {', '.join(lacking)} is missing; fetch it."
        elif sides[0].split != sides[1].split:
            skipped[interaction] = f"{interaction}: its sides are in two splits; left out."
        else:
            chosen.append(_pair(sides, uses[sides[0].split], options))
    if not chosen:
        example = next(iter(skipped.values()), "")
        raise DataError(f"{root}: no interaction has both its sides ({len(skipped)} are incomplete). {example}")
    chosen, apart = without_test_people(chosen)
    skipped |= apart
    if options.limit:
        counts: Counter = Counter()
        kept = []
        for pair in chosen:
            counts[pair.split] += 1
            if counts[pair.split] <= options.limit:
                kept.append(pair)
        chosen = kept
    lacking = [] if any(pair.split == "test" for pair in chosen) else [f"{root}: no interaction is in split test."]
    return chosen, skipped, tree.remarks + lacking
