"""What a metric sees of one dialogue: pictures, probe readings, the avatar's speech and, where known, the truth."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from safetensors import safe_open

from dyads.contract import FPS, SAMPLES_PER_FRAME, Dyad
from dyads.errors import DataError
from dyads.synthetic.coefficients import COEFFICIENTS, EXPRESSION, EYES, LIPS, POSE
from evaluation.frechet import Moments
from evaluation.metrics._series import CONSTANT_SD, Undefined
from evaluation.readings.sidecars import Rating, Timing
from faces import voice

GROUPS = {
    "expression": COEFFICIENTS[EXPRESSION],
    "pose": COEFFICIENTS[POSE],
    "lips": COEFFICIENTS[LIPS],
    "eyes": COEFFICIENTS[EYES],
}
MOTION_PARTS = (*GROUPS, "all")
PASSING = ("points_", "vertices_", "landmarks_")  # features of many points a frame: 22 kB of the 468
EXPRESSION_PARTS = {
    "smile": ("smile",),
    "brows": ("brow_raise", "brow_furrow", "brow_inner"),
    "all": COEFFICIENTS[EXPRESSION],
}

T = TypeVar("T")


@dataclass(frozen=True)
class Truth:
    """The synthetic world's own account of a dialogue; coefficient arrays are float32 (T, D).

    `expected` is the oracle: the expectation over free randomness given what the avatar could observe.
    `cue` is a bit mask (T,) of the event that drives the expression: face 1, voice 2, words 4, 0 without event.
    """

    names: tuple[str, ...]
    user: np.ndarray
    avatar: np.ndarray
    expected: np.ndarray
    speaking: np.ndarray  # bool (T,): the avatar speaks
    emotion: np.ndarray  # int (T,): the emotion that the avatar shows
    cue: np.ndarray
    emotions: tuple[str, ...]


@dataclass
class Clip:
    """One dialogue of one method. `status` other than ok: only `dyad_id`, `frames` and the truth side are set.

    Frames are uint8 (T, H, W, 3) and dropped after the per-clip metrics; readings stay. Motion is float32 (T, D)
    in coefficient units; `motion_reference` (D,) is the probe's reading of the reference image itself.
    """

    dyad_id: str
    frames: int
    status: str
    speaking: np.ndarray  # bool (T,)
    resized: bool = False  # the generated video had another picture size
    truth: Truth | None = None
    names: tuple[str, ...] = ()  # of the motion dimensions; empty if they have none
    generated: np.ndarray | None = None
    true: np.ndarray | None = None
    audio: np.ndarray | None = None
    motion_generated: np.ndarray | None = None
    motion_true: np.ndarray | None = None
    motion_user: np.ndarray | None = None
    motion_whole: np.ndarray | None = None  # (N, D) all true frames that were seen, where motion_true was cut
    motion_reference: np.ndarray | None = None
    image_generated: np.ndarray | None = None
    image_true: np.ndarray | None = None
    features: dict[str, np.ndarray] = field(default_factory=dict)  # `<reader>_<side>`, see metrics/_features.py
    map_distance: np.ndarray | None = None  # (T,) distance of the image probe's feature maps, see perceptual.py
    timing: Timing | None = None  # of its generation
    border: int = 0  # frames from one generated clip's first to the next one's; 0: nothing tells
    rating: Rating | None = None  # None: nobody rates this method
    groups: Mapping[str, tuple[int, ...]] | None = None  # of given coefficients: group -> columns, with `all`
    valid: np.ndarray | None = None  # bool (T,): frames seen on every side; None: all. Motion is NaN elsewhere
    people: tuple[str, str] | None = None  # who the avatar and the user are
    still: float = CONSTANT_SD  # standard deviation of a motion channel up to which it stands still, whatever reads it
    series: dict[str, np.ndarray] = field(default_factory=dict)  # see `once`
    samples: tuple[np.ndarray | str, ...] = ()  # vertices of further samples of it (T, V, 3), or why one has none
    same: dict[str, object] = field(default_factory=dict)  # see `alike`; shared by clips whose true sides are the same
    moments: dict[tuple[str, ...], Moments] = field(default_factory=dict)  # of its motion, see metrics/_parts.py
    sums: Any = None  # `PairSums` of its motion, see metrics/_parts.py
    speaker_known: bool = True  # False: nobody can tell in which frames it is the avatar who speaks

    def counted(self, speaking: bool) -> np.ndarray:
        """bool (T,): frames seen on every side in which the avatar speaks, or does not.

        Undefined `speaker_unknown`: nobody can tell.
        """
        if not self.speaker_known:
            raise Undefined("speaker_unknown")
        state = self.speaking if speaking else ~self.speaking
        return state if self.valid is None else state & self.valid

    def part(self, motion: np.ndarray, part: str) -> np.ndarray | None:
        """The columns of `motion` that belong to a part; None where the probe's dimensions have no names."""
        if self.groups is not None:
            return motion[:, neighbours(self.groups[part])] if part in self.groups else None
        if part == "all":
            return motion
        if not self.names:
            return None
        return motion[:, columns(self.names, GROUPS[part])]

    def drop_pictures(self) -> None:
        """Let go of what only the clip's own metrics ask for: frames, sound, and points and shapes of the faces."""
        self.generated = self.true = self.audio = None
        self.samples = ()
        self.features = {key: found for key, found in self.features.items() if not key.startswith(PASSING)}

    def once(self, key: str, find: Callable[[], np.ndarray]) -> np.ndarray:
        """A metric's values frame by frame: what `find` gives the first time, or what somebody put there before."""
        if key not in self.series:
            self.series[key] = find()
        return self.series[key]

    def alike(self, key: str, find: Callable[[], T]) -> T:
        """What a metric finds in the true avatar and the user alone, on the frames that count: once for all rows that
        count the same ones."""
        if key not in self.same:
            self.same[key] = find()
        return self.same[key]


class Channels(tuple):
    """Names of motion channels with, for given coefficients, their groups: group -> columns, `all` among them."""

    groups: Mapping[str, Sequence[int]] | None = None

    @classmethod
    def of(cls, meta: Mapping) -> "Channels":
        """From the header of a readings file."""
        found = cls(meta["names"])
        found.groups = meta.get("groups")
        return found

    def part(self, part: str) -> list[int] | slice:
        """Columns of a part. KeyError if there is no such group."""
        if self.groups is not None:
            return neighbours(self.groups[part])
        return slice(None) if part == "all" else neighbours(columns(self, GROUPS[part]))


def neighbours(places: Sequence[int]) -> slice | list[int]:
    """Columns as a slice where they lie side by side, which copies nothing."""
    places = list(places)
    side_by_side = bool(places) and places == list(range(places[0], places[0] + len(places)))
    return slice(places[0], places[0] + len(places)) if side_by_side else places


def columns(names: tuple[str, ...], wanted: tuple[str, ...]) -> list[int]:
    """Positions of the wanted coefficients. Undefined `no_truth`: a reader that does not know one of them."""
    if not set(wanted) <= set(names):
        raise Undefined("no_truth")
    return [names.index(name) for name in wanted]


def read_truth(dyad: Dyad) -> Truth | None:
    """The truth beside a synthetic dialogue; None for recorded data. DataError if the file is damaged."""
    path = dyad.truth_path
    if not Path(path).exists():
        return None
    try:
        with safe_open(str(path), "np") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}
            meta = file.metadata() or {}
    except Exception as error:  # safetensors raises its own family and OSError
        raise DataError(f"{path}: cannot be read ({error}); make the data again.") from error
    return Truth(
        names=_names(meta, "coefficients", COEFFICIENTS),
        user=tensors["user_coefficients"],
        avatar=tensors["avatar_coefficients"],
        expected=tensors["avatar_expected"],
        speaking=tensors["speaking"][:, 1].astype(bool),
        emotion=tensors["avatar_emotion"],
        cue=tensors["event_cue"],
        emotions=_names(meta, "emotions", ("neutral", "joy", "sadness", "anger", "surprise")),
    )


def _names(meta: dict[str, str], key: str, default: tuple[str, ...]) -> tuple[str, ...]:
    """A list of names from the header, stored as JSON on its own or inside one JSON object."""
    text = meta.get(key)
    if text is None:
        whole = next((json.loads(value) for value in meta.values() if value.startswith("{")), {})
        return tuple(whole.get(key, default))
    return tuple(json.loads(text))


def avatar_speaking(
    dyad: Dyad,
    frames: int,
    audio: np.ndarray,
    truth: Truth | None,
    jaws: tuple[np.ndarray, np.ndarray] | None = None,
) -> np.ndarray | None:
    """bool (T,): frames in which the avatar speaks: from the truth, else from turns of anybody, else from the voice.

    A track with both voices needs `jaws`, the avatar's and the user's true jaw openings (T,); None where there are
    none, for then nobody can tell who speaks. Voices are not separated.
    """
    if truth is not None:
        return truth.speaking
    if dyad.turns:
        speaking = np.zeros(frames, bool)
        for turn in dyad.turns:
            if turn.role == "avatar":
                speaking[int(turn.start * FPS) : int(np.ceil(turn.end * FPS))] = True
        return speaking
    heard = voice.speech(audio, frames)
    if not dyad.avatar.mixed_audio:
        return heard
    return None if jaws is None else voice.speaks(heard, *jaws)


def voiced(audio: np.ndarray, frames: int) -> np.ndarray:
    """bool (T,): frames in which sound (640 T,) is as loud as its speech; for sound that is known to be a voice."""
    level = np.sqrt(np.square(audio[: frames * SAMPLES_PER_FRAME].reshape(frames, -1)).mean(1) + 1e-12)
    decibels = 20 * np.log10(level)
    # within 15 dB of the voice's peaks; right in 96 % of the synthetic test frames, bleed and noise included
    loud = decibels > max(np.quantile(decibels, 0.95) - 15, -55)
    return np.convolve(loud, np.ones(3), "same") > 0  # bridges closures within words
