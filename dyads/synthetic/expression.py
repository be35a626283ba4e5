"""Faces over time: both people's coefficients, and the oracle (the expectation over the avatar's free randomness).

avatar = own lips + contextual expression (after the user's event) + reactions (smile-back, nods) + free motion.
oracle: the same with delay, hold, amplitude and the chance of each reaction averaged out, free motion at its mean
(head 0, gaze 0, no blinks) and the true lips and head beats, because both are functions of the avatar's own sound.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import lfilter
from scipy.stats import truncnorm

from dyads.seeding import rng
from dyads.synthetic.coefficients import EXPRESSION, EYES, FACE_CUE, INDEX, LIPS, POSE, neutral
from dyads.synthetic.conversation import Conversation, Event
from dyads.synthetic.identities import Person
from dyads.synthetic.parameters import PARAMETERS as P
from dyads.synthetic.voice import Phrase, energy, lips

FPS = 25


@dataclass(frozen=True)
class Faces:
    """Everything `truth.safetensors` holds; T frames."""

    user: np.ndarray  # float32 (T, 17)
    avatar: np.ndarray  # float32 (T, 17)
    expected: np.ndarray  # float32 (T, 17)
    user_emotion: np.ndarray  # int64 (T,)
    avatar_emotion: np.ndarray  # int64 (T,)
    event_cue: np.ndarray  # int64 (T,)


def clock(frames: int) -> np.ndarray:
    """The time of each frame's middle, seconds."""
    return (np.arange(frames) + 0.5) / FPS


def _ease(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)


def rise(time: np.ndarray, onset) -> np.ndarray:
    """How far an expression that starts at `onset` has risen."""
    return _ease((time - onset) / P.expression_rise)


def envelope(time: np.ndarray, onset, hold) -> np.ndarray:
    """Rise, hold, exponential decay of one contextual expression."""
    late = np.maximum(time - onset - P.expression_rise - hold, 0.0)
    return rise(time, onset) * np.exp(-late / P.expression_decay)


def event_envelopes(time: np.ndarray, events: tuple[Event, ...]) -> np.ndarray:
    """Drawn envelopes (events, T): each event's own, faded out by the rise of every later one."""
    result = np.zeros((len(events), len(time)))
    for k, event in enumerate(events):
        result[k] = event.amplitude * envelope(time, event.onset, event.hold)
        for later in events[k + 1 :]:
            result[k] *= 1.0 - rise(time, later.onset)
    return result


@lru_cache(maxsize=1)
def timing_quadrature() -> tuple[np.ndarray, np.ndarray, float]:
    """Equal-weight points for onset delay (64) and hold (16), and the mean amplitude."""
    middle = (np.arange(64) + 0.5) / 64
    low, high = ((x - P.onset_mean) / P.onset_sd for x in P.onset_limits)
    delays = truncnorm.ppf(middle, low, high, loc=P.onset_mean, scale=P.onset_sd)
    holds = P.expression_hold[0] + (P.expression_hold[1] - P.expression_hold[0]) * (np.arange(16) + 0.5) / 16
    low, high = ((x - P.amplitude_mean) / P.amplitude_sd for x in P.amplitude_limits)
    mean = truncnorm.mean(low, high, loc=P.amplitude_mean, scale=P.amplitude_sd)
    return delays, holds, float(mean)


def expected_envelopes(time: np.ndarray, events: tuple[Event, ...]) -> np.ndarray:
    """Expectation of `event_envelopes` given the events (start, end, emotion) but not delay, hold and amplitude.

    The draws of different events are independent, so the expectation of the product is the product of expectations.
    """
    delays, holds, amplitude = timing_quadrature()
    own, risen = np.zeros((len(events), len(time))), np.zeros((len(events), len(time)))
    for k, event in enumerate(events):
        onset = (event.end + delays)[:, None]
        risen[k] = rise(time, onset).mean(axis=0)
        up = rise(time, onset)
        late = time - onset - P.expression_rise
        decay = sum(np.exp(-np.maximum(late - h, 0.0) / P.expression_decay) for h in holds) / len(holds)
        own[k] = amplitude * (up * decay).mean(axis=0)
    for k in range(len(events)):
        for later in range(k + 1, len(events)):
            own[k] *= 1.0 - risen[later]
    return own


def _add(values: np.ndarray, face: dict[str, float], weight: np.ndarray) -> None:
    for name, size in face.items():
        values[:, INDEX[name]] += (size * weight).astype(np.float32)


def _ornstein_uhlenbeck(g: np.random.Generator, frames: int, sd: float, start_at_zero: bool) -> np.ndarray:
    """A smooth stationary wander; subtracting the faded start puts frame 0 at exactly zero."""
    warm = 100
    keep = np.exp(-1.0 / (FPS * P.head_time))
    noise = g.standard_normal(frames + 2 * warm) * np.sqrt(1 - keep**2)
    wander = lfilter([1.0], [1.0, -keep], noise)
    wander = gaussian_filter1d(wander, P.head_smooth * FPS)[warm : warm + frames] * sd * 1.1
    if start_at_zero:
        wander = wander - wander[0] * np.exp(-np.arange(frames) / (FPS * 0.6))
    return wander


def _free_motion(values: np.ndarray, g: np.random.Generator, reference: bool) -> None:
    """Head wander, blinks and gaze shifts, added in place; `reference`: frame 0 stays neutral."""
    frames = len(values)
    time = clock(frames)
    for column, sd in zip(range(POSE.start, POSE.stop), P.head_sd, strict=True):
        values[:, column] += _ornstein_uhlenbeck(g, frames, sd, reference)
    lid = np.ones(frames)
    at = float(g.exponential(1.0 / P.blink_rate)) + (0.3 if reference else 0.0)
    while at < time[-1]:
        length = float(g.uniform(*P.blink_seconds))
        phase = (time - at) / length  # faster down than up: Evinger et al. 1991
        shut = _ease(phase / 0.35) * _ease((1.0 - phase) / 0.5)
        lid = np.minimum(lid, 1.0 - np.where((phase > 0) & (phase < 1), shut, 0.0))
        at += max(P.blink_refractory, float(g.exponential(1.0 / P.blink_rate)))
    values[:, EYES.start] *= lid.astype(np.float32)
    gaze, at = np.zeros((frames, 2)), float(g.exponential(1.0 / P.saccade_rate)) + (0.3 if reference else 0.0)
    while at < time[-1]:
        aim = np.zeros(2) if g.random() < P.gaze_contact else np.clip(g.normal(0, P.gaze_sd), -0.9, 0.9)
        gaze[time >= at] = aim
        at += 0.2 + float(g.exponential(1.0 / P.saccade_rate))
    values[:, EYES.start + 1 : EYES.stop] += gaussian_filter1d(gaze, 0.6, axis=0)


def beat(spoken: list[Phrase], frames: int) -> np.ndarray:
    """Head beats of the pitch coefficient: they follow the own voice's stresses, and start from rest."""
    effort = energy(spoken, frames)
    return P.beat_pitch * (effort - gaussian_filter1d(effort, 12.0)) * _ease(np.arange(frames) / 10.0)


def nod(time: np.ndarray, onset) -> np.ndarray:
    """One nod of the pitch coefficient: a windowed oscillation starting downwards."""
    since = time - onset
    window = np.sin(np.pi * np.clip(since / P.nod_seconds, 0.0, 1.0)) ** 2
    return P.nod_amplitude * window * np.sin(2 * np.pi * P.nod_frequency * since)


def smile_shape(time: np.ndarray, start, length) -> np.ndarray:
    """A brief social smile of unit height."""
    return _ease((time - start) / 0.2) * _ease((start + length - time) / 0.3)


def _points(mean: float, sd: float, count: int = 33) -> np.ndarray:
    """Equal-weight quantiles of a normal cut at three deviations."""
    return truncnorm.ppf((np.arange(count) + 0.5) / count, -3, 3, loc=mean, scale=sd)


def _draw_delay(g: np.random.Generator, mean: float, sd: float) -> float:
    return float(mean + sd * np.clip(g.standard_normal(), -3, 3))


def social_smiles(g: np.random.Generator, talk: Conversation) -> list[tuple[float, float]]:
    """(start, length) of the user's polite smiles, clear of the user's events."""
    result, at = [], float(g.exponential(1.0 / P.social_smile_rate))
    while at < talk.seconds - 0.5:
        length = float(g.uniform(*P.social_smile_seconds))
        if all(at > e.end + 0.4 or at + length < e.start - 0.2 for e in talk.events):
            result.append((at, length))
        at += length + 0.8 + float(g.exponential(1.0 / P.social_smile_rate))
    return result


def nod_chances(talk: Conversation, user: list[Phrase]) -> list[tuple[float, float]]:
    """(trigger time, probability): ends of the user's phrases, and pitch accents while the avatar listens."""
    chances = []
    avatar = [u for u in talk.of("avatar") if u.kind == "turn"]
    for u, phrase in zip(talk.of("user"), user, strict=True):
        if u.kind == "backchannel":
            continue
        chances.append((u.end, P.nod_probability))
        for time in phrase.accent_times():
            listening = not any(a.start - 0.2 < time < a.end + 0.2 for a in avatar)
            if listening and u.start + 0.4 < time < u.end - 0.7:
                chances.append((time, P.nod_accent_probability))
    kept: list[tuple[float, float]] = []
    for time, probability in sorted(chances):  # one nod at a time, so that they never pile up
        if not kept or time - kept[-1][0] > P.nod_seconds + 0.15:
            kept.append((time, probability))
    return kept


def faces(
    talk: Conversation, spoken: dict[str, list[Phrase]], people: dict[str, Person], frames: int, seed: int, name: str
) -> Faces:
    """Draw both people's coefficients and the oracle."""
    time = clock(frames)
    smiles = social_smiles(rng(seed, "synthetic.social", name), talk)
    chances = nod_chances(talk, spoken["user"])
    own = [u.start + 0.05 for u in talk.of("avatar") if u.kind == "backchannel"]
    user, user_emotion = _user(talk, spoken["user"], people["user"], smiles, time, seed, name)

    avatar, expected = neutral(frames), neutral(frames)
    for values in (avatar, expected):
        values[:, LIPS] = lips(spoken["avatar"], people["avatar"], frames)
        values[:, INDEX["pitch"]] += beat(spoken["avatar"], frames)
        values[:, INDEX["pitch"]] += sum((nod(time, at) for at in own), np.zeros(frames))
    drawn, mean = event_envelopes(time, talk.events), expected_envelopes(time, talk.events)
    for k, event in enumerate(talk.events):
        _add(avatar, P.avatar_face[event.emotion], drawn[k])
        _add(expected, P.avatar_face[event.emotion], mean[k])
    g = rng(seed, "synthetic.reaction", name)
    delays = _points(P.smile_back_delay, P.smile_back_delay_sd)[:, None]
    for start, length in smiles:
        happens, delay = g.random() < P.smile_back_probability, _draw_delay(g, P.smile_back_delay, P.smile_back_delay_sd)
        if happens:
            _add(avatar, {"smile": P.smile_back_amplitude}, smile_shape(time, start + delay, length))
        average = smile_shape(time, start + delays, length).mean(axis=0)
        _add(expected, {"smile": P.smile_back_amplitude * P.smile_back_probability}, average)
    delays = _points(P.nod_delay, P.nod_delay_sd)[:, None]
    for at, probability in chances:
        happens, delay = g.random() < probability, _draw_delay(g, P.nod_delay, P.nod_delay_sd)
        if happens:
            _add(avatar, {"pitch": 1.0}, nod(time, at + delay))
        _add(expected, {"pitch": probability}, nod(time, at + delays).mean(axis=0))
    _free_motion(avatar, rng(seed, "synthetic.motion", name, "avatar"), reference=True)
    for values in (user, avatar, expected):
        np.clip(values[:, EXPRESSION], -1.2, 1.2, out=values[:, EXPRESSION])
    avatar_emotion, event_cue = _labels(time, talk.events)
    return Faces(user, avatar, expected, user_emotion, avatar_emotion, event_cue)


def _user(talk, spoken, person, smiles, time, seed: int, name: str) -> tuple[np.ndarray, np.ndarray]:
    """The user's coefficients and emotion label."""
    frames = len(time)
    user, emotion = neutral(frames), np.zeros(frames, np.int64)
    user[:, LIPS] = lips(spoken, person, frames)
    user[:, INDEX["pitch"]] += beat(spoken, frames)
    for event in talk.events:
        emotion[(time >= event.start) & (time < event.end)] = event.emotion
        if event.cue & FACE_CUE:
            shown = _ease((time - event.start) / P.face_cue_rise) * _ease(
                (event.end + P.face_cue_fall - time) / P.face_cue_fall
            )
            _add(user, P.user_face[event.emotion], event.strength * shown)
    for start, length in smiles:
        _add(user, {"smile": P.social_smile_amplitude}, smile_shape(time, start, length))
    _free_motion(user, rng(seed, "synthetic.motion", name, "user"), reference=False)
    return user, emotion


def _labels(time: np.ndarray, events: tuple[Event, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Emotion and cue mask of the event that drives the avatar's expression now; 0 before and after."""
    emotion, cue = np.zeros(len(time), np.int64), np.zeros(len(time), np.int64)
    for event in events:
        after = time >= event.onset
        faded = (envelope(time, event.onset, event.hold) < P.label_threshold) & (
            time > event.onset + P.expression_rise
        )
        emotion[after], cue[after] = event.emotion, event.cue
        emotion[after & faded], cue[after & faded] = 0, 0
    return emotion, cue
