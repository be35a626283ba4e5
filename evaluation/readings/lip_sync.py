"""How far each moment's lips lie from the voice at every shift: SyncNet's readings of a dialogue.

A reading is float32 (T - 5, 33), a row for every window of five frames but the last, for whose end MFCC have too few
samples: the distances of its lips to the voice 15
frames earlier to 15 later, their distance to zero (column `NORM`), and whether the window has sound (`SOUNDS`). Rows
in which no face was found are NaN. Every LSE variant follows from it without the pictures.
"""

from typing import TYPE_CHECKING

import numpy as np

from dyads.contract import SAMPLES_PER_FRAME
from evaluation.metrics._series import Undefined
from evaluation.networks.syncnet import WINDOW, SyncNet

if TYPE_CHECKING:
    from evaluation.clips import Clip
    from evaluation.networks.s3fd import FaceFinder
    from evaluation.readings.known import Known

SHIFT = 15  # frames to either side, as in Wav2Lip's evaluation
NORM, SOUNDS = 2 * SHIFT + 1, 2 * SHIFT + 2
EPSILON = 1e-6  # that PyTorch's pairwise_distance adds to every difference, and so the original does


def distances(lips: np.ndarray, voice: np.ndarray) -> np.ndarray:
    """Distances of lips (N, E) to voice (N, E) at shifts -15 .. 15, zeros beyond its ends, and to zero: (N, 32)."""
    lips = lips.astype(np.float64) + EPSILON
    voice = np.pad(voice.astype(np.float64), ((SHIFT, SHIFT), (0, 0)))
    near = np.lib.stride_tricks.sliding_window_view(voice, 2 * SHIFT + 1, axis=0)  # (N, E, 31), a view
    own = np.square(lips).sum(1, keepdims=True)
    other = np.lib.stride_tricks.sliding_window_view(np.square(voice).sum(1), 2 * SHIFT + 1)
    squares = own + other - 2 * np.matmul(lips[:, None], near)[:, 0]
    return np.sqrt(np.concatenate([squares, own], 1).clip(0))


def sounding(audio: np.ndarray, rows: int) -> np.ndarray:
    """bool (N,): windows of five frames in whose sound (640 T,) there is any change of 16-bit samples."""
    steps = np.zeros(rows + WINDOW, np.int64)
    samples = np.rint(audio[: (rows + WINDOW - 1) * SAMPLES_PER_FRAME] * 32768.0)
    change = np.diff(samples, prepend=samples[:1])
    steps[1:] = np.cumsum((change != 0).reshape(-1, SAMPLES_PER_FRAME).any(1))
    return steps[WINDOW:] > steps[:-WINDOW]


def reading(lips: np.ndarray, voice: np.ndarray, audio: np.ndarray) -> np.ndarray:
    """A reading of lips (T - 4, E) and voice (T - 5, E) with its sound (640 T,)."""
    rows = min(len(lips), len(voice))
    if not rows:
        return np.zeros((0, SOUNDS + 1), np.float32)
    near = distances(lips[:rows], voice[:rows])
    return np.concatenate([near, sounding(audio, rows)[:, None]], 1).astype(np.float32)


def face_reading(
    network: SyncNet, finder: "FaceFinder", frames: np.ndarray, voice: np.ndarray, audio: np.ndarray
) -> np.ndarray:
    """As `reading`, on S3FD's face in uint8 frames (T, H, W, 3); NaN where it was not followed."""
    from evaluation.networks.s3fd import crops

    found = np.full((len(voice), SOUNDS + 1), np.nan, np.float32)
    track = finder.track(frames)
    if track is not None:
        lips = network.look(crops(frames, track))
        count = min(len(lips) - 1, len(voice) - track.start)  # as if the track were the whole video
        rows = slice(track.start, track.start + count)
        padded = np.full((len(voice), lips.shape[1]), np.nan, np.float32)
        padded[rows] = lips[:count]
        found[rows] = reading(padded, voice, audio)[rows]
    return found


def kept(name: str, faces: bool) -> tuple[str, ...]:
    """What of a true video is the same for every method: its readings and its voice's features."""
    return (f"{name}_voice", f"{name}_true") + ((f"{name}_face_true",) if faces else ())


def listen(clip: "Clip", name: str, network: SyncNet, finder: "FaceFinder | None", known: "Known") -> None:
    """Readings `<name>_generated` and `<name>_true` into the clip's features, with a finder also `<name>_face_...`."""

    def views(frames: np.ndarray, voice: np.ndarray, side: str) -> dict[str, np.ndarray]:
        found = {f"{name}_{side}": reading(network.look(frames), voice, clip.audio)}
        if finder is not None:
            found[f"{name}_face_{side}"] = face_reading(network, finder, frames, voice, clip.audio)
        return found

    found = known.get(clip.dyad_id)
    if found is None:
        voice = network.listen(clip.audio)
        found = {f"{name}_voice": voice} | views(clip.true, voice, "true")
        if known.path is not None:
            known.put(clip.dyad_id, found)
    clip.features |= views(clip.generated, found[f"{name}_voice"], "generated")
    clip.features |= {key: value for key, value in found.items() if key != f"{name}_voice"}


def stretches(speaking: np.ndarray, minimum: int) -> list[tuple[int, int]]:
    """Start and end (exclusive) of each run of True in bool (T,) that has at least `minimum` frames."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], speaking.astype(np.int8), [0]])))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2) if b - a >= minimum]


def curve(reading: np.ndarray, spans: list[tuple[int, int]]) -> np.ndarray:
    """Mean distance at shifts -15 .. 15 of the voice (31,) over `spans` of frames, each as if it were the whole video.

    A span of n frames has n - 5 windows, as in the original, which
    leaves the last window out; where the shifted voice lies outside the span, the distance is that to zero.
    """
    rows = []
    for start, end in spans:
        count = end - start - WINDOW
        part = reading[start : start + count].astype(np.float64)
        place = np.arange(count)[:, None] + np.arange(-SHIFT, SHIFT + 1)
        rows.append(np.where((place >= 0) & (place < count), part[:, :NORM], part[:, NORM, None]))
    return np.concatenate(rows).mean(0)


def lse(mean_distance: np.ndarray) -> tuple[float, float, float]:
    """(LSE-D, LSE-C, offset in frames) of a curve (31,). Undefined `not_finite`."""
    if not np.isfinite(mean_distance).all():
        raise Undefined("not_finite")
    least = mean_distance.min()
    return float(least), float(np.median(mean_distance) - least), float(SHIFT - mean_distance.argmin())


def scored(reading: np.ndarray, frames: np.ndarray, minimum: int, missing: str) -> list[tuple[int, int]]:
    """Spans of bool (T,) `frames` long enough to score, in which the face was followed and there is sound.

    Undefined: `missing` if no span is long enough, `no_face` if no face was found in one, `silent` if nothing sounds.
    """
    if not stretches(frames, minimum):
        raise Undefined(missing)
    seen = np.zeros(len(frames), bool)
    followed = np.isfinite(reading[:, SOUNDS])
    for k in range(WINDOW + 1):  # a span of n frames has n - 5 windows
        seen[k : k + len(followed)] |= followed
    spans = stretches(frames & seen, minimum)
    if not spans:
        raise Undefined("no_face")
    spans = [(a, b) for a, b in spans if (reading[a : b - WINDOW, SOUNDS] > 0).any()]
    if not spans:
        raise Undefined("silent")
    return spans
