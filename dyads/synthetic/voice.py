"""A source-filter voice: phonemes become formant tracks, pitch and noise, rendered in spectral frames.

The excitation is a train of glottal pulses plus noise; each 25 ms frame is shaped by the magnitude of five
formant resonances (Peterson & Barney 1952; Klatt 1980), a spectral tilt and a fricative band. Lips are read
from the same phonemes, so they follow this person's speech and nothing else.
"""

from dataclasses import dataclass

import numpy as np
from scipy.fft import irfft, rfft, rfftfreq
from scipy.ndimage import gaussian_filter1d
from scipy.signal import lfilter

from dyads.synthetic.identities import Person
from dyads.synthetic.parameters import PARAMETERS, VoiceEmotion

RATE, HOP, WINDOW, TRANSFORM = 16_000, 80, 400, 512  # track rate 200 Hz
TRACK_RATE = RATE // HOP
# name: voicing, noise, F1, F2, F3, noise centre Hz, noise width Hz, length, jaw, width, round, press
PHONEMES = {
    "iy": (1.0, 0, 270, 2290, 3010, 0, 0, 1.15, 0.28, 0.90, 0.0, 0.0),
    "ih": (1.0, 0, 390, 1990, 2550, 0, 0, 0.95, 0.36, 0.60, 0.0, 0.0),
    "eh": (1.0, 0, 530, 1840, 2480, 0, 0, 1.10, 0.56, 0.45, 0.0, 0.0),
    "ae": (1.0, 0, 660, 1720, 2410, 0, 0, 1.25, 0.80, 0.50, 0.0, 0.0),
    "aa": (1.0, 0, 730, 1090, 2440, 0, 0, 1.30, 0.95, 0.05, 0.0, 0.0),
    "ao": (1.0, 0, 570, 840, 2410, 0, 0, 1.25, 0.65, -0.3, 0.55, 0.0),
    "uh": (1.0, 0, 440, 1020, 2240, 0, 0, 0.95, 0.34, -0.3, 0.60, 0.0),
    "uw": (1.0, 0, 300, 870, 2240, 0, 0, 1.15, 0.24, -0.6, 1.00, 0.0),
    "ah": (1.0, 0, 640, 1190, 2390, 0, 0, 0.95, 0.58, 0.10, 0.0, 0.0),
    "er": (0.9, 0, 490, 1350, 1690, 0, 0, 1.15, 0.34, -0.1, 0.35, 0.0),
    "m": (0.45, 0, 250, 1000, 2200, 0, 0, 0.90, 0.0, 0.0, 0.0, 1.0),
    "n": (0.45, 0, 280, 1500, 2500, 0, 0, 0.80, 0.16, 0.20, 0.0, 0.0),
    "ng": (0.45, 0, 280, 2000, 2700, 0, 0, 0.90, 0.22, 0.15, 0.0, 0.0),
    "l": (0.7, 0, 360, 1100, 2600, 0, 0, 0.80, 0.28, 0.15, 0.0, 0.0),
    "r": (0.7, 0, 350, 1250, 1650, 0, 0, 0.85, 0.22, -0.1, 0.45, 0.0),
    "w": (0.6, 0, 300, 700, 2200, 0, 0, 0.80, 0.12, -0.5, 1.00, 0.0),
    "y": (0.7, 0, 280, 2250, 3000, 0, 0, 0.70, 0.20, 0.80, 0.0, 0.0),
    "p": (0.0, 0.30, 400, 1100, 2300, 900, 1200, 0.95, 0.0, 0.0, 0.0, 1.0),
    "b": (0.25, 0.12, 300, 1100, 2300, 700, 900, 0.85, 0.0, 0.0, 0.0, 1.0),
    "t": (0.0, 0.40, 400, 1700, 2600, 4300, 2200, 0.85, 0.14, 0.25, 0.0, 0.0),
    "d": (0.30, 0.15, 300, 1700, 2600, 3600, 2000, 0.75, 0.16, 0.20, 0.0, 0.0),
    "k": (0.0, 0.36, 400, 1900, 2500, 2000, 1200, 0.90, 0.24, 0.10, 0.0, 0.0),
    "g": (0.28, 0.13, 300, 1900, 2500, 1700, 1000, 0.80, 0.24, 0.10, 0.0, 0.0),
    "f": (0.0, 0.22, 350, 1300, 2300, 5500, 5000, 1.00, 0.08, 0.10, 0.0, 0.55),
    "v": (0.45, 0.10, 300, 1300, 2300, 5000, 5000, 0.75, 0.08, 0.10, 0.0, 0.50),
    "dh": (0.45, 0.10, 300, 1400, 2500, 5000, 5000, 0.65, 0.20, 0.15, 0.0, 0.0),
    "s": (0.0, 0.55, 350, 1700, 2600, 6000, 2400, 1.10, 0.10, 0.40, 0.0, 0.0),
    "z": (0.40, 0.30, 300, 1700, 2600, 5800, 2400, 0.90, 0.12, 0.38, 0.0, 0.0),
    "sh": (0.0, 0.55, 350, 1800, 2500, 3300, 1700, 1.15, 0.16, -0.2, 0.70, 0.0),
    "ch": (0.0, 0.50, 350, 1800, 2500, 3500, 1900, 1.05, 0.16, -0.2, 0.65, 0.0),
    "jh": (0.30, 0.32, 300, 1800, 2500, 3300, 1800, 0.95, 0.16, -0.2, 0.60, 0.0),
    "hh": (0.0, 0.20, 500, 1500, 2500, 1500, 3500, 0.65, 0.36, 0.05, 0.0, 0.0),
}
STOPS = frozenset(("p", "b", "t", "d", "k", "g", "ch", "jh"))
VOWELS = frozenset(("iy", "ih", "eh", "ae", "aa", "ao", "uh", "uw", "ah", "er"))
TABLE = {name: np.array(row, np.float32) for name, row in PHONEMES.items()}


@dataclass(frozen=True)
class Phrase:
    """One utterance as the voice sees it: seconds, sounds, manner, and which vowels carry a pitch accent."""

    start: float
    end: float
    sounds: tuple[str, ...]
    manner: VoiceEmotion
    accents: tuple[int, ...]  # indices into `sounds`
    soft: float = 1.0  # gain; backchannels are softer
    key: int = 0  # position of the utterance, for its small pitch variation

    def boundaries(self) -> np.ndarray:
        """Start of every sound and the end of the last, seconds, (len(sounds) + 1,)."""
        lengths = np.array([PHONEMES[s][7] for s in self.sounds])
        lengths[-1] *= 1.35  # phrase-final lengthening: Klatt 1976
        edges = np.concatenate([[0.0], np.cumsum(lengths)])
        return self.start + (self.end - self.start) * edges / edges[-1]

    def accent_times(self) -> list[float]:
        """Middle of every accented sound, seconds."""
        edges = self.boundaries()
        return [float(edges[i] + edges[i + 1]) / 2 for i in self.accents]


def speak(phrases: list[Phrase], who: Person, frames: int, g: np.random.Generator) -> np.ndarray:
    """Dry speech of one person, float32 (frames * 640,), before room noise and bleed."""
    samples = frames * 640
    steps = samples // HOP
    track = np.zeros((7, steps), np.float32)  # voicing, noise, F1, F2, F3, noise centre, noise width
    track[2:5] = np.array([[500], [1500], [2500]])
    track[5:7] = np.array([[3000], [2000]])
    f0 = np.full(steps, who.f0, np.float32)
    tilt, breath, jitter = (
        np.zeros(steps, np.float32),
        np.zeros(steps, np.float32),
        np.zeros(steps, np.float32),
    )
    for phrase in phrases:
        _lay(phrase, who, track, f0, tilt, breath, jitter)
    track[0] = gaussian_filter1d(track[0], 1.6)
    track[1] = gaussian_filter1d(track[1], 0.9)
    track[2:] = gaussian_filter1d(track[2:], 4.0, axis=1)
    f0 = gaussian_filter1d(f0, 4.0)
    wobble = gaussian_filter1d(g.standard_normal(steps).astype(np.float32), 0.8) * 1.7
    f0 = f0 * (1.0 + jitter * wobble)
    tilt, breath = gaussian_filter1d(tilt, 6.0), gaussian_filter1d(breath, 6.0)
    grid = np.arange(samples, dtype=np.float32) / HOP - 0.5
    level = np.arange(steps, dtype=np.float32)
    phase = np.cumsum(np.interp(grid, level, f0).astype(np.float64) / RATE) % 1.0
    pulses = _glottal(phase.astype(np.float32))
    hiss = g.standard_normal(samples).astype(np.float32)
    return _filter(pulses, hiss, track, tilt + who.tilt, breath, who) * np.float32(PARAMETERS.speech_rms * 0.95)


def _lay(phrase: Phrase, who: Person, track, f0, tilt, breath, jitter) -> None:
    """Write one phrase into the tracks."""
    manner = phrase.manner
    edges = np.rint(phrase.boundaries() * TRACK_RATE).astype(int)
    first, last = edges[0], min(edges[-1], f0.shape[0])
    if last <= first:
        return
    gain = phrase.soft * 10 ** (manner.energy_db / 20)
    for i, sound in enumerate(phrase.sounds):
        a, b = edges[i], min(edges[i + 1], last)
        if b <= a:
            continue
        row = TABLE[sound]
        track[2:7, a:b] = row[2:7, None]
        burst = a + int(0.6 * (b - a)) if sound in STOPS else a  # closure, then burst
        track[0, a:b] = row[0] * gain * (1.12 if i in phrase.accents else 0.95)
        track[1, burst:b] = row[1] * gain
    at = np.linspace(0.0, 1.0, last - first, dtype=np.float32)
    fade = np.clip(np.minimum(at * 12, (1 - at) * 6), 0, 1)
    track[0:2, first:last] *= 0.25 + 0.75 * fade
    contour = 0.10 - 0.20 * at  # declination: Titze 1989, Cohen & 't Hart 1967
    for time in phrase.accent_times():
        place = (time - phrase.start) / (phrase.end - phrase.start)
        contour = contour + 0.17 * np.exp(-(((at - place) * (phrase.end - phrase.start) / 0.09) ** 2))
    contour = contour - 0.10 * np.clip((at - 0.85) / 0.15, 0, 1)
    contour = contour * manner.f0_range + manner.f0_rise * at**1.5
    f0[first:last] = who.f0 * manner.f0_level * (1.0 + contour)
    tilt[first:last], breath[first:last], jitter[first:last] = manner.tilt_db, manner.breath, manner.jitter


def _glottal(phase: np.ndarray) -> np.ndarray:
    """Derivative of a Rosenberg pulse over one period: slow opening, sharp closing."""
    opening, closing = np.float32(0.45), np.float32(0.17)
    rise = np.sin(np.pi * phase / opening) * (np.pi / opening / 2)
    fall = -np.sin(np.pi / 2 * (phase - opening) / closing) * (np.pi / closing / 2)
    return np.where(phase < opening, rise, np.where(phase < opening + closing, fall, 0.0)).astype(np.float32)


def _filter(pulses, hiss, track, tilt, breath, who: Person) -> np.ndarray:
    """Shape voiced source and noise frame by frame and overlap-add."""
    samples, steps = len(pulses), track.shape[1]
    pad = WINDOW // 2
    active = np.flatnonzero((track[0] > 1e-3) | (track[1] > 1e-3))
    output = np.zeros(samples + TRANSFORM + WINDOW, np.float32)
    if not len(active):
        return output[:samples]
    window = np.hanning(WINDOW + 1)[:-1].astype(np.float32) * np.float32(2.0 * HOP / WINDOW)
    frequency = rfftfreq(TRANSFORM, 1 / RATE).astype(np.float32)
    square = frequency**2
    denominator = np.float32(1.0)
    formants = (*(track[i, active] * who.tract for i in (2, 3, 4)), 3500.0 * who.tract, 4700.0 * who.tract)
    for number, centre in enumerate(formants):
        centre = np.broadcast_to(np.float32(centre), active.shape)[:, None]
        width = np.float32((70.0, 95.0, 150.0, 250.0, 350.0)[number])
        denominator = denominator * (((square - centre**2) ** 2 + (width**2) * square) / centre**4)
    slope = np.log2(np.maximum(frequency, 500.0) / 500.0)[None] * tilt[active, None]
    higher = 1.0 + (frequency / 3500.0) ** 2  # the poles above the fifth: Fant 1960
    voiced = track[0, active, None] * np.exp2(slope * 0.1661) * higher / np.sqrt(denominator)
    noise = track[1, active, None] * np.exp(
        -(((frequency - track[5, active, None]) / np.maximum(track[6, active, None], 300.0)) ** 2)
    )
    noise = noise * 1.6 + voiced * breath[active, None] * 1.2
    starts = active * HOP + HOP // 2 - pad
    index = np.clip(starts[:, None] + np.arange(WINDOW), 0, samples - 1)
    spectrum = rfft(pulses[index] * window, TRANSFORM) * voiced * np.float32(0.16)
    spectrum += rfft(hiss[index] * window, TRANSFORM) * noise * np.float32(0.5)
    shaped = irfft(spectrum, TRANSFORM)
    shaped = np.roll(shaped, (TRANSFORM - WINDOW) // 2, axis=1)  # zero-phase filters spread both ways
    offset = starts - (TRANSFORM - WINDOW) // 2 + WINDOW
    pieces = -(-TRANSFORM // HOP)
    padded = np.zeros((len(active), pieces * HOP), np.float32)
    padded[:, :TRANSFORM] = shaped
    blocks = np.zeros((steps + 2 * pieces + 8, HOP), np.float32)
    first, remainder = np.divmod(offset, HOP)  # all frames share the remainder
    for piece in range(pieces):
        blocks[first + piece] += padded[:, piece * HOP : (piece + 1) * HOP]
    flat = blocks.reshape(-1)
    shift = WINDOW - int(remainder[0])
    return flat[shift : shift + samples]


def lips(phrases: list[Phrase], who: Person, frames: int) -> np.ndarray:
    """Lip coefficients (frames, 4): viseme targets smoothed for coarticulation, at each frame's middle."""
    rate = 100
    steps = frames * rate // 25
    target = np.zeros((4, steps), np.float32)
    for phrase in phrases:
        edges = np.clip(np.rint(phrase.boundaries() * rate).astype(int), 0, steps)
        for i, sound in enumerate(phrase.sounds):
            a, b = edges[i], max(edges[i + 1], edges[i] + 1)
            target[:, a:b] = TABLE[sound][8:12, None]
            target[0, a:b] *= np.float32(who.articulation * (1.08 if i in phrase.accents else 0.95))
    smooth = np.empty_like(target)
    smooth[:3] = gaussian_filter1d(target[:3], PARAMETERS.coarticulation_sd * rate, axis=1, truncate=3.0)
    smooth[3] = gaussian_filter1d(target[3], PARAMETERS.press_sd * rate, truncate=3.0)
    smooth[0] *= 1.0 - 0.85 * np.clip(smooth[3], 0, 1)  # pressed lips shut the mouth whatever the jaw does
    at = (np.arange(frames) + 0.5) / 25 * rate - 0.5
    result = np.stack([np.interp(at, np.arange(steps), row) for row in smooth], axis=1)
    result[:, 0] = np.clip(result[:, 0], 0.0, 1.0)
    return result.astype(np.float32)


def energy(phrases: list[Phrase], frames: int) -> np.ndarray:
    """Smooth speech effort in [0, 1], (frames,), for head beats: vowels of this person's own speech."""
    steps = frames * 4
    level = np.zeros(steps, np.float32)
    for phrase in phrases:
        edges = np.clip(np.rint(phrase.boundaries() * 100).astype(int), 0, steps)
        for i, sound in enumerate(phrase.sounds):
            if sound in VOWELS:
                level[edges[i] : edges[i + 1]] = 1.0 if i in phrase.accents else 0.45
    level = gaussian_filter1d(level, 9.0)
    return level.reshape(frames, 4).mean(axis=1)


def mix(own: np.ndarray, other: np.ndarray, g: np.random.Generator) -> np.ndarray:
    """What a microphone hears: own voice, the other's bleed and room noise, soft-limited below 1."""
    samples = len(own)
    bleed = 10 ** (g.uniform(*PARAMETERS.bleed_db) / 20)
    delay = int(g.integers(40, 160))
    leaked = np.concatenate([np.zeros(delay, np.float32), other[:-delay]])
    leaked = 0.5 * leaked + 0.5 * np.concatenate([np.zeros(1, np.float32), leaked[:-1]])
    noise = g.standard_normal(samples).astype(np.float32)
    noise = lfilter(np.float32([1.0, -0.2]), np.float32([1.0, -0.92]), noise)  # rooms hum more than they hiss
    noise *= np.float32(PARAMETERS.speech_rms * 10 ** (-PARAMETERS.noise_snr_db / 20)) / noise.std()
    signal = own + np.float32(bleed) * leaked + noise
    size = np.abs(signal)
    return np.where(size > 0.6, np.sign(signal) * (0.6 + 0.35 * np.tanh((size - 0.6) / 0.35)), signal).astype(
        np.float32
    )
