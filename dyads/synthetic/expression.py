"""Faces over time: both people's coefficients, and the oracle (their mean over the avatar's free randomness).

avatar = own lips + contextual expression (after a user's event) + reactions (smile-back, nods) + free motion.
oracle = the same with delay, hold, amplitude and the chance of each reaction averaged out, free
motion at its mean (head 0, gaze 0, no blinks), and the true lips, head beats and nods with the own
backchannels, because these are functions of the avatar's own sound. It knows the user's events, phrases and
smiles up to the present only: no reaction starts before its cause has ended, or, for a smile, has begun.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import lfilter
from scipy.special import ndtr, ndtri

from dyads.seeding import rng
from dyads.synthetic.coefficients import EYES, FACE_CUE, INDEX, LIPS, POSE, neutral
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


def _quantiles(mean: float, sd: float, limits: tuple[float, float], count: int) -> np.ndarray:
    """Equal-weight points of a normal truncated to `limits`."""
    low, high = (ndtr((x - mean) / sd) for x in limits)
    return mean + sd * ndtri(low + (high - low) * (np.arange(count) + 0.5) / count)


@lru_cache(maxsize=1)
def timing_quadrature() -> tuple[np.ndarray, np.ndarray, float]:
    """Equal-weight points for onset delay (64) and hold (16), and the mean amplitude."""
    delays = _quantiles(P.onset_mean, P.onset_sd, P.onset_limits, 64)
    holds = P.expression_hold[0] + (P.expression_hold[1] - P.expression_hold[0]) * (np.arange(16) + 0.5) / 16
    amplitudes = _quantiles(P.amplitude_mean, P.amplitude_sd, P.amplitude_limits, 1024)
    return delays, holds, float(amplitudes.mean())


def expected_envelopes(time: np.ndarray, events: tuple[Event, ...]) -> np.ndarray:
    """Expectation of `event_envelopes` given each event (its end and emotion) but not delay, hold, amplitude.

    The draws of different events are independent: the expectation of the product is that of its factors.
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


def _draw_delay(g: np.random.Generator, mean: float, sd: float) -> float:
    return float(mean + sd * np.clip(g.standard_normal(), -3, 3))


def _delays(mean: float, sd: float) -> np.ndarray:
    """Equal-weight points (33, 1) of the distribution that `_draw_delay` draws from."""
    return np.clip(mean + sd * ndtri((np.arange(33) + 0.5) / 33), mean - 3 * sd, mean + 3 * sd)[:, None]


def _smile_room(weights: np.ndarray, events: tuple[Event, ...]) -> np.ndarray:
    """How much a smile-back still adds (T,): less while joy already smiles. Linear in the weights, which are
    independent of the smile-back, so the oracle may use their expectation."""
    smiling = np.zeros(weights.shape[1])
    for weight, event in zip(weights, events, strict=True):
        smiling += weight * max(P.avatar_face[event.emotion].get("smile", 0.0), 0.0)
    return 1.0 - smiling


def social_smiles(g: np.random.Generator, talk: Conversation) -> list[tuple[float, float]]:
    """(start, length) of the user's polite smiles, clear of the user's events."""
    result, at = [], float(g.exponential(1.0 / P.social_smile_rate))
    while at < talk.seconds - 0.5:
        length = float(g.uniform(*P.social_smile_seconds))
        if all(at > e.end + 0.4 or at + length < e.start - 0.2 for e in talk.events):
            result.append((at, length))
        at += length + 0.8 + float(g.exponential(1.0 / P.social_smile_rate))
    return result


def nod_chances(talk: Conversation, user: list[Phrase], own: list[float]) -> list[tuple[float, float]]:
    """(trigger time, probability): ends of the user's phrases, and pitch accents while the avatar listens;
    clear of each other and of the nods at `own` that come with the avatar's backchannels."""
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
        clear = all(abs(time + P.nod_delay - at) > P.nod_seconds + 0.15 for at in own)
        if clear and (not kept or time - kept[-1][0] > P.nod_seconds + 0.15):
            kept.append((time, probability))
    return kept


def faces(
    talk: Conversation,
    spoken: dict[str, list[Phrase]],
    people: dict[str, Person],
    frames: int,
    seed: int,
    name: str,
) -> Faces:
    """Draw both people's coefficients and the oracle."""
    time = clock(frames)
    smiles = social_smiles(rng(seed, "synthetic.social", name), talk)
    own = [u.start + 0.05 for u in talk.of("avatar") if u.kind == "backchannel"]
    chances = nod_chances(talk, spoken["user"], own)
    user, user_emotion = _user(talk, spoken["user"], people["user"], smiles, time, seed, name)

    base = neutral(frames)  # what the avatar's own sound fixes
    base[:, LIPS] = lips(spoken["avatar"], people["avatar"], frames)
    base[:, INDEX["pitch"]] += beat(spoken["avatar"], frames)
    base[:, INDEX["pitch"]] += sum((nod(time, at) for at in own), np.zeros(frames))
    avatar = react(base, talk.events, smiles, chances, rng(seed, "synthetic.reaction", name))
    _free_motion(avatar, rng(seed, "synthetic.motion", name, "avatar"), reference=True)
    expected = expect(base, talk.events, smiles, chances)
    avatar_emotion, event_cue = _labels(time, talk.events)
    return Faces(user, avatar, expected, user_emotion, avatar_emotion, event_cue)


def react(base: np.ndarray, events, smiles, chances, g: np.random.Generator) -> np.ndarray:
    """`base` (T, 17) plus the avatar's contextual expressions and its drawn reactions."""
    values, time = base.copy(), clock(len(base))
    weights = event_envelopes(time, events)
    for weight, event in zip(weights, events, strict=True):
        _add(values, P.avatar_face[event.emotion], weight)
    room = P.smile_back_amplitude * _smile_room(weights, events)
    for start, length in smiles:
        happens = g.random() < P.smile_back_probability
        delay = _draw_delay(g, P.smile_back_delay, P.smile_back_delay_sd)
        if happens:
            _add(values, {"smile": 1.0}, room * smile_shape(time, start + delay, length))
    for at, probability in chances:
        happens, delay = g.random() < probability, _draw_delay(g, P.nod_delay, P.nod_delay_sd)
        if happens:
            _add(values, {"pitch": 1.0}, nod(time, at + delay))
    return values


def expect(base: np.ndarray, events, smiles, chances) -> np.ndarray:
    """The expectation of `react` over the draws inside the events' answers and of the reactions."""
    values, time = base.copy(), clock(len(base))
    weights = expected_envelopes(time, events)
    for weight, event in zip(weights, events, strict=True):
        _add(values, P.avatar_face[event.emotion], weight)
    room = P.smile_back_amplitude * P.smile_back_probability * _smile_room(weights, events)
    delays = _delays(P.smile_back_delay, P.smile_back_delay_sd)
    for start, length in smiles:
        _add(values, {"smile": 1.0}, room * smile_shape(time, start + delays, length).mean(axis=0))
    delays = _delays(P.nod_delay, P.nod_delay_sd)
    for at, probability in chances:
        _add(values, {"pitch": probability}, nod(time, at + delays).mean(axis=0))
    return values


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
        faded = (envelope(time, event.onset, event.hold) < P.label_threshold) & (time > event.onset + P.expression_rise)
        emotion[after], cue[after] = event.emotion, event.cue
        emotion[after & faded], cue[after & faded] = 0, 0
    return emotion, cue
