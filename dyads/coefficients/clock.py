"""Time is never closed up: tracks of any rate onto the common 25 Hz clock by time stamps, invalid frames left open.

`dropped` is the published protocol of the SI-184 tables instead, kept so that they can be checked: there invalid
frames are cut out before resampling and pairing, and two people who lose different frames no longer run on one clock.
"""

import numpy as np

from dyads.coefficients import FPS, Track

PAD = 0.2  # seconds around the listener's own speech that are not listening
SHORTEST = 3.0  # seconds of listening


def on_clock(track: Track, frames: int) -> np.ndarray:
    """(frames, D) float32 at k / 25 s, linear between the two frames around; NaN unless every frame used is valid."""
    place = np.arange(frames) * (track.fps / FPS)
    whole = np.rint(place)
    place = np.where(np.abs(place - whole) < 1e-6, whole, place)
    below = np.floor(place).astype(int)
    share = (place - below).astype(np.float32)
    last = len(track.values) - 1
    above = below + (share > 0)
    there = above <= last
    below, above = np.minimum(below, max(last, 0)), np.minimum(above, max(last, 0))
    made = np.full((frames, track.values.shape[1]), np.nan, np.float32)
    if last < 0:
        return made
    good = there & track.valid[below] & track.valid[above]
    low, high, part = track.values[below[good]], track.values[above[good]], share[good, None]
    made[good] = low + part * (high - low)
    return made


def dropped(track: Track) -> np.ndarray:
    """The published protocol: valid frames alone, closed up, then stretched to 25 fps by their number: (n, D)."""
    kept = track.values[track.valid]
    count = max(1, round(len(kept) * FPS / track.fps))
    if count == len(kept) or len(kept) < 2:
        return kept
    place = np.linspace(0, len(kept) - 1, count)
    below = np.minimum(np.floor(place).astype(int), len(kept) - 2)
    part = (place - below).astype(np.float32)[:, None]
    return kept[below] + part * (kept[below + 1] - kept[below])


def spoken(speech: np.ndarray, frames: int, fps: float = FPS, pad: float = 0.0) -> np.ndarray:
    """bool (frames,): frames touched by speech (k, 2) in seconds, `pad` seconds around it included."""
    found = np.zeros(frames, bool)
    wider = round(pad * fps)
    for start, end in np.asarray(speech, np.float64).reshape(-1, 2):
        found[max(int(np.floor(start * fps)) - wider, 0) : max(int(np.ceil(end * fps)) + wider, 0)] = True
    return found


def listening(own: np.ndarray, other: np.ndarray, frames: int) -> np.ndarray:
    """bool (frames,): stretches of at least 3 s in which `own` speech is silent, 0.2 s around it too, and the other
    speaks at some time; the other's short pauses stay in."""
    silent, speaks = ~spoken(own, frames, pad=PAD), spoken(other, frames)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], silent.astype(np.int8), [0]])))
    found = np.zeros(frames, bool)
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        found[start:stop] = stop - start >= SHORTEST * FPS and speaks[start:stop].any()
    return found
