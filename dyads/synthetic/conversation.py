"""Who says what when: turns with human gaps and overlaps, backchannels, interruptions, the user's events."""

from dataclasses import dataclass

import numpy as np

from dyads.seeding import rng
from dyads.synthetic.coefficients import EMOTIONS, VOICE_CUE, WORDS_CUE
from dyads.synthetic.parameters import PARAMETERS as P
from dyads.synthetic.voice import VOWELS, Phrase
from dyads.synthetic.words import BACKCHANNELS, TOPICS, phonemes, sentence

DECK = 28  # four emotions times seven cue masks


@dataclass(frozen=True)
class Event:
    """An emotional moment of the user and the avatar's later answer (seconds; `onset` is the avatar's)."""

    start: float
    end: float
    emotion: int
    cue: int
    strength: float  # of the face cue
    onset: float
    hold: float
    amplitude: float


@dataclass(frozen=True)
class Utterance:
    """One stretch of speech; `event` is the index of the event it carries or -1."""

    start: float
    end: float
    role: str
    kind: str  # turn, event, backchannel
    text: str = ""
    event: int = -1


@dataclass(frozen=True)
class Conversation:
    """The plan of a dialogue."""

    seconds: float
    topic: str
    utterances: tuple[Utterance, ...]  # sorted by start
    events: tuple[Event, ...]

    def of(self, role: str) -> list[Utterance]:
        return [u for u in self.utterances if u.role == role]


def _normal(g: np.random.Generator, mean: float, sd: float, limits: tuple[float, float]) -> float:
    """A truncated normal by rejection."""
    while True:
        value = float(g.normal(mean, sd))
        if limits[0] <= value <= limits[1]:
            return value


def _gap(g: np.random.Generator) -> float:
    return _normal(g, P.gap_mean, P.gap_sd, P.gap_limits)


def _dealt(seed: int, split: str, number: int, place: int) -> tuple[int, int]:
    """Emotion and cue mask of event `place` of dialogue `number`: dealt from shuffled decks of all 28
    pairs, so that even a small split holds each pair about equally often."""
    deck = rng(seed, "synthetic.deck", split, number // DECK, place).permutation(DECK)
    card = int(deck[number % DECK])
    return 1 + card // 7, 1 + card % 7


def draw_answer(g: np.random.Generator, end: float) -> dict[str, float]:
    """The avatar's free choice of onset, hold and amplitude after an event that ends at `end`."""
    return {
        "onset": end + _normal(g, P.onset_mean, P.onset_sd, P.onset_limits),
        "hold": float(g.uniform(*P.expression_hold)),
        "amplitude": _normal(g, P.amplitude_mean, P.amplitude_sd, P.amplitude_limits),
    }


def draw_events(g: np.random.Generator, seconds: float, dealt: list[tuple[int, int]]) -> list[Event]:
    """The user's events of one dialogue; `dealt` gives emotion and cue mask of each."""
    count = min(P.events_max, 1 + int(g.poisson(P.events_poisson)))
    events: list[Event] = []
    start = min(float(g.uniform(*P.event_first)), max(P.event_first[0], seconds - 4.0))  # leaves time to answer
    for number in range(count):
        end = start + float(g.uniform(*P.event_seconds))
        if number and end > seconds - P.event_margin:
            break
        events.append(
            Event(
                start=start,
                end=end,
                emotion=dealt[number][0],
                cue=dealt[number][1],
                strength=float(g.uniform(*P.face_cue_amplitude)),
                **draw_answer(g, end),
            )
        )
        start = max(start + P.event_spacing, end + 1.0) + float(g.exponential(P.event_wait))
    return events


def plan(seed: int, split: str, number: int, seconds: float) -> Conversation:
    """Plan dialogue `number` of a split; it depends on these arguments only."""
    dialogue = f"{split}_{number:04d}"
    g = rng(seed, "synthetic.conversation", dialogue)
    topics = list(TOPICS)
    topic = topics[int(g.integers(len(topics)))]
    events = draw_events(g, seconds, [_dealt(seed, split, number, place) for place in range(P.events_max)])
    turns: list[Utterance] = []
    first, last_user = float(g.uniform(*P.avatar_first_sound)), -1.0
    for place, event in enumerate(events):
        turns += _fill(g, first, event.start, False, last_user)
        turns.append(Utterance(event.start, event.end, "user", "event", event=place))
        first, last_user = event.end + _gap(g), event.end
    turns += _fill(g, first, seconds - 0.05, True, last_user)
    turns += _backchannels(g, turns, seconds)
    turns.sort(key=lambda u: (u.start, u.role))
    spoken = []
    for u in turns:
        rate = P.phonemes_per_second
        if u.kind == "backchannel":
            text = BACKCHANNELS[int(g.integers(len(BACKCHANNELS)))]
        elif u.kind == "event":
            event = events[u.event]
            rate *= P.voice_emotions[event.emotion].rate if event.cue & VOICE_CUE else 1.0
            kind = EMOTIONS[event.emotion] if event.cue & WORDS_CUE else "event"
            text = sentence(g, kind, topic, u.end - u.start, rate)
        else:
            text = sentence(g, u.role, topic, u.end - u.start, rate)
        spoken.append(Utterance(u.start, u.end, u.role, u.kind, text, u.event))
    return Conversation(seconds, topic, tuple(spoken), tuple(events))


def _fill(g, start: float, stop: float, closing: bool, last_user: float) -> list[Utterance]:
    """Turns between two events; the avatar answers an event, otherwise it opens."""
    turns: list[Utterance] = []
    role = "avatar"
    while True:
        if role == "user":
            start = max(start, last_user + 0.15)
        room = stop - start
        if room < 0.8:
            return turns
        end = start + float(g.uniform(*P.utterance))
        if role == "user":
            limit = stop - float(g.uniform(0.25, 0.6))  # the user's own next event needs a breath before it
        elif closing:
            limit = stop
        elif g.random() < P.interruption:
            limit = stop + float(g.uniform(*P.interruption_overlap))
        else:
            limit = stop - _gap(g)
        if limit - end < 1.0:  # no room for another turn: stretch or cut this one to the limit
            end = limit if limit - start < P.utterance[1] + 0.4 else limit - 1.0 - _gap(g)
        if end - start < 0.6:
            return turns
        turns.append(Utterance(start, end, role, "turn"))
        if role == "avatar" and g.random() < P.avatar_continues:
            start = end + float(g.uniform(*P.inner_pause))
            continue
        start = end + _gap(g)
        if role == "user":
            last_user = end
            role = "avatar"
            start = max(start, max((u.end for u in turns if u.role == "avatar"), default=0.0) + 0.15)
        else:
            role = "user"


def _backchannels(g, turns: list[Utterance], seconds: float) -> list[Utterance]:
    """Short listener sounds over the other's turn, clear of the listener's own speech."""
    extra: list[Utterance] = []
    for u in turns:
        listener = "avatar" if u.role == "user" else "user"
        chance = P.backchannel_avatar if listener == "avatar" else P.backchannel_user
        place, length, use = (
            g.uniform(*P.backchannel_place),
            float(g.uniform(*P.backchannel_seconds)),
            g.random(),
        )
        start = u.start + float(place) * (u.end - u.start)
        own = [o for o in turns if o.role == listener]
        clear = all(start > o.end + 0.2 or start + length < o.start - 0.2 for o in own)
        if u.end - u.start > 1.1 and use < chance and clear and 0.3 < start and start + length < seconds - 0.05:
            extra.append(Utterance(start, start + length, listener, "backchannel"))
    return extra


def phrases(talk: Conversation, role: str, seed: int, dialogue: str) -> list[Phrase]:
    """The utterances of one person as the voice speaks them; depends on that person's own speech only."""
    result = []
    for number, u in enumerate(talk.of(role)):
        g = rng(seed, "synthetic.accents", dialogue, role, number)
        sounds = phonemes(u.text)
        vowels = [i for i, s in enumerate(sounds) if s in VOWELS]
        count = min(len(vowels), max(1, round((u.end - u.start) / 0.55))) if u.kind != "backchannel" else 0
        accents = tuple(sorted(int(i) for i in g.choice(vowels, count, replace=False))) if count else ()
        event = talk.events[u.event] if u.event >= 0 else None
        manner = P.voice_emotions[event.emotion if event and event.cue & VOICE_CUE else 0]
        soft = 0.6 if u.kind == "backchannel" else 1.0
        result.append(Phrase(u.start, u.end, sounds, manner, accents, soft, number))
    return result


def states(talk: Conversation, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Speaking flags uint8 (frames, 2: user, avatar) and state int64 (frames,), see `STATES`."""
    time = (np.arange(frames) + 0.5) / 25
    turn = {role: np.zeros(frames, bool) for role in ("user", "avatar")}
    short = {role: np.zeros(frames, bool) for role in ("user", "avatar")}
    for u in talk.utterances:
        (short if u.kind == "backchannel" else turn)[u.role][(time >= u.start) & (time < u.end)] = True
    speaking = np.stack([turn[r] | short[r] for r in ("user", "avatar")], axis=1).astype(np.uint8)
    state = np.zeros(frames, np.int64)
    state[turn["avatar"]] = 1
    state[turn["user"]] = 2
    state[turn["avatar"] & turn["user"]] = 3
    state[short["avatar"]] = 4
    state[short["user"] & turn["avatar"]] = 5
    return speaking, state
