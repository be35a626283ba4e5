"""Beat alignment: whether the head comes to rest on the voice's beats, beside what chance gives."""

from collections.abc import Iterator

import numpy as np

from dyads.seeding import rng
from evaluation.cards import MetricCard, Value, truth_part, undefined
from evaluation.metrics._points import ibug, one
from evaluation.metrics._series import Undefined, require_finite, require_frames

FPS, SAMPLE_RATE = 25, 16_000
HOP = SAMPLE_RATE // 100  # the onset curve's step, 10 ms
SIGMA = 3.0  # frames; 2 sigma^2 = 18
SMOOTHING = 5.0  # frames, of the speed before its minima are taken
LEAST_SPEED = 1e-6  # of the head, in distances of the eyes a frame: below, nothing moves
CHANCE_DRAWS = 32
MINIMUM_FRAMES = 50
RIGID = (*range(27, 36), 36, 39, 42, 45)  # nose and corners of the eyes: they move with the head


def beat_alignment(audio_beats: np.ndarray, motion_beats: np.ndarray, sigma: float = SIGMA) -> float:
    """Mean over audio beats b of exp(-min_m (m - b)^2 / (2 sigma^2)); beats in frames.

    Undefined: `silent` without audio beats, `constant_series` without motion beats.
    """
    if not len(audio_beats):
        raise Undefined("silent")
    if not len(motion_beats):
        raise Undefined("constant_series")
    gaps = np.abs(np.subtract.outer(np.asarray(audio_beats, float), np.asarray(motion_beats, float))).min(1)
    return float(np.exp(-(gaps**2) / (2 * sigma**2)).mean())


def motion_beats(points: np.ndarray, smoothing: float = SMOOTHING) -> np.ndarray:
    """Frames (N,) at which the mean speed of points (T, V, C) has a local minimum, smoothed with a Gaussian.

    Frames without a face keep the place before. Undefined: `no_face`, `too_few_frames`, `constant_series` for a
    still one.
    """
    from scipy.ndimage import gaussian_filter1d
    from scipy.signal import argrelmin

    require_frames(len(points), MINIMUM_FRAMES)
    seen = one(points)
    held = points[np.maximum.accumulate(np.where(seen, np.arange(len(points)), int(seen.argmax())))]
    size = np.linalg.norm(held.max(1) - held.min(1), axis=-1).mean()
    speed = np.linalg.norm(np.diff(held, axis=0), axis=-1).mean(1) / size
    if speed.max() < LEAST_SPEED:
        raise Undefined("constant_series")
    return argrelmin(gaussian_filter1d(speed, smoothing))[0] + 1.0


def onsets(audio: np.ndarray) -> np.ndarray:
    """Frames (N,) of the voice's onsets in sound (640 T,): peaks of the rise of log energy in 24 bands.

    Undefined `silent`: nothing rises clearly, as in digital silence or steady noise; `not_finite`.
    """
    from scipy.signal import find_peaks, stft

    audio = np.asarray(audio, np.float64)
    require_finite(audio)
    if len(audio) < SAMPLE_RATE or np.abs(audio).max() < 1e-4:  # -80 dB: below is a flickering last bit
        raise Undefined("silent")
    _, _, spectrum = stft(audio, SAMPLE_RATE, nperseg=512, noverlap=512 - HOP, boundary="zeros", padded=True)
    power = np.abs(spectrum) ** 2
    edges = np.unique(np.geomspace(3, 256, 25).astype(int))
    bands = np.add.reduceat(power[: edges[-1]], edges[:-1], axis=0)
    level = np.log10(np.maximum(bands, bands.max() * 1e-6))
    rise = np.maximum(0, np.diff(level, axis=1, prepend=level[:, :1])).mean(0)
    whole = bands.sum(0)
    rise[whole < np.roll(whole, 1)] = 0  # a sound's end is broad, too
    peaks, _ = find_peaks(rise, prominence=0.25 * np.quantile(rise, 0.99) + 0.02, distance=10)
    if not len(peaks):
        raise Undefined("silent")
    return peaks * HOP / SAMPLE_RATE * FPS


def chance(audio_beats: np.ndarray, motion_beats: np.ndarray, frames: int, sigma: float = SIGMA) -> float:
    """What the same motion beats score when they are moved round by a random time, mean of 32."""
    shifts = rng(0, "evaluation.beat_chance").uniform(0, frames, CHANCE_DRAWS)
    return float(np.mean([beat_alignment(audio_beats, (motion_beats + s) % frames, sigma) for s in shifts]))


CARDS = (
    MetricCard(
        name="beat_align",
        label="Beat align",
        unit="1",
        direction="truth",
        range=(0.0, 1.0),
        per="clip",
        parts=("head", "head_chance"),
        definition="How near each onset of the avatar's voice lies to a moment at which the head's motion comes to "
        "rest. "
        "Beside it what the same motion scores at random times (head_chance): only what lies above it is alignment.",
        equation=r"\frac1{|B|}\sum_{b\in B}\exp\left(-\min_{m\in M}\frac{(m-b)^2}{18}\right)",
        protocol="onsets of the voice in 24 bands; minima of the mean speed of nose and eye corners, smoothed with "
        "sigma "
        "5 frames; 18 frames^2 at 25 fps; no onset or no motion: no value",
        source="Bailando (cc90b98) on motion minima; 3DXTalker for heads (14 to 18); SAiD (bb7b180) on onsets",
        disagreements=(
            "AIST++ averages over motion beats, minima over ten frames to each side at 60 fps, and gives 0 where there "
            "are none.",
            "Unrelated motion scores 0.26 at a smoothing of 5 frames and 0.52 at 2: without its chance no value says "
            "anything.",
            "librosa's beat tracker finds one tempo, and 10 to 20 beats in ten seconds of a flickering last bit.",
        ),
        unordered="most heads hardly follow the beat, so truth and shuffled partner lie together at chance",
    ),
)


def clip_values(clip, tools) -> Iterator[Value]:
    for side, name in (("generated", str), ("true", truth_part)):
        try:
            head = ibug(clip, side)[:, list(RIGID)]
            audio_beats, beats = onsets(clip.audio), motion_beats(head)
            values = beat_alignment(audio_beats, beats), chance(audio_beats, beats, clip.frames)
        except Undefined as failure:
            yield undefined("beat_align", name("head"), failure.status)
            yield undefined("beat_align", name("head_chance"), failure.status)
        else:
            yield Value("beat_align", name("head"), values[0])
            yield Value("beat_align", name("head_chance"), values[1])
