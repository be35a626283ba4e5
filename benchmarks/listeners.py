"""Made-up listeners who react with known strength, for the speed and the error rates of R-DGG."""

import numpy as np
from scipy.signal import lfilter

from evaluation.granger import Encounter


def smooth(draw: np.random.Generator, frames: int, width: int, keep: float) -> np.ndarray:
    """Stationary series (frames, width) of unit variance; `keep`: correlation of neighbouring frames."""
    white = draw.normal(size=(frames, width))
    white[0] /= np.sqrt(1 - keep**2)
    return lfilter([np.sqrt(1 - keep**2)], [1, -keep], white, axis=0)


def reaction(said: np.ndarray, motion: int, delay: int = 6) -> np.ndarray:
    """What a voice (T, A) makes of everyone's motion, `delay` frames later: (T, motion)."""
    mix = np.random.default_rng(7).normal(size=(said.shape[1], motion)) / np.sqrt(said.shape[1])
    heard = np.concatenate([np.zeros((delay, said.shape[1])), said[:-delay]])
    return lfilter(np.ones(8) / np.sqrt(8), [1.0], heard, axis=0) @ mix


def answers(encounters: list[Encounter], strength: float, seed: int, unlike: float = 0.4) -> dict[str, np.ndarray]:
    """Another motion of every listener, with `strength` times the reaction, as a system would make it."""
    draw = np.random.default_rng([seed, 1])
    own = {each.person: float(np.exp(unlike * draw.normal() - unlike**2 / 2)) for each in encounters}
    return {
        each.name: smooth(draw, *each.motion.shape, 0.9)
        + strength * own[each.person] * reaction(each.speaker_audio, each.motion.shape[1])
        for each in encounters
    }


def listeners(
    people: int,
    dialogues: int,
    strength: float,
    seed: int,
    frames: int = 1500,
    widths: tuple[int, int, int] = (6, 3, 4),
    unlike: float = 0.4,
) -> list[Encounter]:
    """Encounters of `people` in groups of three who meet each other `dialogues` times in every pair and role.

    A listener's motion is his own, unforeseeable, plus what `strength` times a filter of the speaker's voice adds
    six frames later; people differ in strength by a log-normal factor of deviation `unlike`. `widths`: channels of
    the listener's motion, of the speaker's motion and of voices.
    """
    draw = np.random.default_rng([seed, people])
    motion, moves, voice = widths
    follow = np.random.default_rng(8).normal(size=(voice, moves)) / np.sqrt(voice)
    own = {person: float(np.exp(unlike * draw.normal() - unlike**2 / 2)) for person in range(people)}
    found = []
    for first in range(0, people, 3):
        group = range(first, min(first + 3, people))
        for listener in group:
            for speaker in group:
                for number in range(dialogues if speaker != listener else 0):
                    said = smooth(draw, frames, voice, 0.8)
                    listens = np.zeros(frames, bool)
                    start = int(draw.integers(5, 40))
                    while start < frames - 120:
                        stop = start + int(draw.integers(110, 400))
                        listens[start:stop] = True
                        start = stop + int(draw.integers(60, 250))
                    found.append(
                        Encounter(
                            name=f"{listener}-{speaker}-{number}",
                            person=f"p{listener:02}",
                            people=(f"p{listener:02}", f"p{speaker:02}"),
                            motion=smooth(draw, frames, motion, 0.9)
                            + strength * own[listener] * reaction(said, motion),
                            speaker_motion=0.6 * said @ follow + smooth(draw, frames, moves, 0.9),
                            speaker_audio=said,
                            own_audio=smooth(draw, frames, voice, 0.8),
                            listening=listens,
                        )
                    )
    return found
