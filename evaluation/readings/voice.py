"""What R-DGG hears of a voice in a recording: two log-mel columns a frame, none of which looks ahead."""

import numpy as np
from python_speech_features import get_filterbanks

from dyads.contract import SAMPLE_RATE, SAMPLES_PER_FRAME

SHORTEST = 220  # frames; R-DGG asks nothing of shorter dialogues, whose time shifts would overlap
BANDS, WINDOW, HOP = 24, 512, SAMPLES_PER_FRAME // 2


def voice_features(audio: np.ndarray, frames: int) -> np.ndarray:
    """Mono 16 kHz sound, at least 640 T samples -> log10 mel energies (T, 48); windows end with their half frame."""
    padded = np.concatenate([np.zeros(WINDOW - HOP), audio[: frames * SAMPLES_PER_FRAME]])
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP][: 2 * frames]
    power = np.square(np.abs(np.fft.rfft(windows * np.hanning(WINDOW))))
    mel = power @ get_filterbanks(BANDS, WINDOW, SAMPLE_RATE, 60, 7600).T / WINDOW
    return np.log10(mel + 1e-6).reshape(frames, 2 * BANDS)
