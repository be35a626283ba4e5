"""The small audio encoder: per video frame, two log-mel columns, pitch and voicing; and the frame's energy."""

import numpy as np
import torch
from einops import rearrange
from python_speech_features import get_filterbanks
from torch import Tensor

MELS, FFT, HOP = 24, 512, 320  # two columns a frame of 640 samples
AUDIO_DIM = 2 * MELS + 2
PITCH_WINDOW, PITCH_RANGE = 1024, (70.0, 420.0)  # samples; Hz, male lows to raised female voices
RATE, FRAME = 16_000, 640


def columns(audio: Tensor, window: int, count: int, hop: int) -> Tensor:
    """`count` windows of `window` samples, the k-th ending with sample `(k + 1) * hop`; zeros before the start."""
    padded = torch.nn.functional.pad(audio[: count * hop], (window - hop, 0))
    return padded.unfold(0, window, hop)


def encode_audio(audio: np.ndarray) -> Tensor:
    """Mono 16 kHz in [-1, 1], T * 640 samples -> features (T, 50), about zero mean and unit scale.

    Causal: a frame's features end with the frame, so that a stream gives the same ones.
    """
    wave = torch.from_numpy(np.ascontiguousarray(audio, dtype=np.float32))
    frames = len(wave) // FRAME
    bank = torch.from_numpy(get_filterbanks(MELS, FFT, RATE, 60, 7600)).float()
    spectrum = torch.fft.rfft(columns(wave, FFT, 2 * frames, HOP) * torch.hann_window(FFT)).abs().square()
    mel = (torch.log10(spectrum @ bank.T / FFT + 1e-6) + 3.0) / 1.5
    pitch = torch.stack(pitch_track(wave, frames), -1)
    return torch.cat([rearrange(mel, "(t k) m -> t (k m)", k=2), pitch], -1)


def pitch_track(wave: Tensor, frames: int) -> tuple[Tensor, Tensor]:
    """Octaves above 150 Hz (0 where unvoiced) and voicing in [0, 1] per frame, from the autocorrelation's peak."""
    windows = columns(wave, PITCH_WINDOW, frames, FRAME)
    windows = (windows - windows.mean(-1, keepdim=True)) * torch.hann_window(PITCH_WINDOW)
    power = torch.fft.rfft(windows, 2 * PITCH_WINDOW).abs().square()
    correlation = torch.fft.irfft(power)[:, :PITCH_WINDOW]
    taper = torch.fft.irfft(torch.fft.rfft(torch.hann_window(PITCH_WINDOW), 2 * PITCH_WINDOW).abs().square())[
        :PITCH_WINDOW
    ]
    correlation = correlation / (taper / taper[0] + 1e-3) / (correlation[:, :1] + 1e-5)
    low, high = int(RATE / PITCH_RANGE[1]), int(RATE / PITCH_RANGE[0])
    correlation = correlation[:, low:high]
    peak = correlation.max(-1, keepdim=True).values
    first = (correlation >= 0.85 * peak).float().argmax(-1, keepdim=True)  # multiples of the period peak as high
    lags = torch.arange(high - low)
    near = (lags >= first) & (lags + low <= 1.15 * (first + low))
    lag = correlation.masked_fill(~near, -1.0).argmax(-1)
    peak = peak[:, 0]
    voicing = (peak.clamp(0, 1) - 0.3).clamp_min(0) / 0.7
    voicing = voicing * (windows.square().mean(-1) > 1e-6)
    return torch.log2(RATE / (lag + low) / 150.0) * (voicing > 0), voicing


def frame_energy(audio: np.ndarray) -> Tensor:
    """w(i) of HFA: short-time RMS of each frame over the clip's 95th percentile, clipped to [0, 1]: (T,)."""
    wave = torch.from_numpy(np.ascontiguousarray(audio, dtype=np.float32))
    rms = wave[: len(wave) // FRAME * FRAME].view(-1, FRAME).square().mean(-1).sqrt()
    return (rms / torch.quantile(rms, 0.95).clamp_min(1e-3)).clamp(0, 1)
