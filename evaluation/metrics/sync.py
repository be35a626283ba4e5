"""LSE-D, LSE-C and offset: SyncNet's audio-visual distance while the avatar speaks."""

import contextlib
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from PIL import Image

from dyads.contract import SAMPLES_PER_FRAME
from dyads.media import write_wav
from evaluation.cards import MetricCard, Value, truth_part
from evaluation.metrics._series import Undefined

SHIFT = 15  # frames to either side, as in Wav2Lip's evaluation
SIZE = 224
MINIMUM_FRAMES = 50  # below, the zero padding of shifted audio decides the curve
_PROTOCOL = (
    f"syncnet_python's SyncNetInstance (v2 weights by path) on whole frames resized to {SIZE} without face detection, "
    f"25 fps, 16 kHz, shifts of +-{SHIFT} frames; every stretch of avatar speech of at least {MINIMUM_FRAMES} frames, "
    "mean weighted by length; lse_coverage is the share of frames so scored"
)
_SOURCE = "Chung and Zisserman 2016; Prajwal et al. 2020; syncnet-python 0.2.3"
_DISAGREEMENTS = (
    "Both come from one curve of distances over shifts; INFP's and ARIG's SyncScore is LSE-C.",
    "Scored over listening frames too it means nothing, since there is no speech to fit; papers on interactive heads "
    "rarely say on which frames theirs is.",
    "SyncNet is made for 25 fps and 16 kHz. Wav2Lip's script never resamples the frame rate, and syncnet-python "
    "returns 0.0, the best LSE-D, where it finds no face.",
)
_COMMON = {
    "per": "clip",
    "parts": ("speech",),
    "protocol": _PROTOCOL,
    "source": _SOURCE,
    "disagreements": _DISAGREEMENTS,
}
_ORDER = {
    "separates": (("ground_truth", "vae_round_trip"), ("vae_round_trip", "frozen_reference")),
    "separates_parts": ("speech",),
}
CARDS = (
    MetricCard(
        "lse_d",
        "LSE-D",
        "1",
        "lower",
        (0.0, float("inf")),
        **_COMMON,
        **_ORDER,
        definition="Smallest mean distance of lip and audio embeddings over all shifts of the audio: how well the "
        "mouth fits the voice at its best alignment.",
        equation=r"\min_{\delta}m(\delta),\quad m(\delta)=\frac1T\sum_t\left\|v_t-a_{t+\delta}\right\|",
    ),
    MetricCard(
        "lse_c",
        "LSE-C",
        "1",
        "higher",
        (0.0, float("inf")),
        **_COMMON,
        **_ORDER,
        definition="How far the best shift's distance lies below the median over shifts: SyncNet's confidence.",
        equation=r"\operatorname{median}_{\delta}m(\delta)-\min_{\delta}m(\delta)",
    ),
    MetricCard(
        "lse_offset",
        "LSE offset",
        "frame",
        "truth",
        (-float(SHIFT), float(SHIFT)),
        **_COMMON,
        separates=(("ground_truth", "time_shifted_audio"),),
        separates_parts=("speech",),
        definition="The shift of the audio at which lips and voice fit best.",
        equation=r"\arg\min_{\delta}m(\delta)",
        unordered="a mouth that fits the voice at no shift has a best shift all the same, by chance",
    ),
    MetricCard(
        "lse_coverage",
        "LSE coverage",
        "1",
        "higher",
        (0.0, 1.0),
        **_COMMON,
        definition="Share of the clip's frames on which LSE was scored.",
        equation=r"|S|/T",
        unordered="it counts what could be scored and says nothing of its quality",
    ),
)


def stretches(speaking: np.ndarray, minimum: int = MINIMUM_FRAMES) -> list[tuple[int, int]]:
    """Start and end (exclusive) of each run of True in bool (T,) that has at least `minimum` frames."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], speaking.astype(np.int8), [0]])))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2) if b - a >= minimum]


def lse(network, frames: np.ndarray, audio: np.ndarray) -> tuple[float, float, float]:
    """(LSE-D, LSE-C, offset in frames) of uint8 (T, H, W, 3) frames and float32 (640 T,) sound at 16 kHz."""
    with tempfile.TemporaryDirectory() as folder:
        for t, frame in enumerate(frames):
            picture = Image.fromarray(frame).resize((SIZE, SIZE), Image.Resampling.BICUBIC)
            picture.save(Path(folder) / f"{t:06d}.jpg", quality=95)
        write_wav(Path(folder) / "audio.wav", audio)
        options = SimpleNamespace(tmp_dir=folder, batch_size=20, vshift=SHIFT)
        # the package prints every frame's confidence and would keep gradients
        with contextlib.redirect_stdout(io.StringIO()), torch.inference_mode():
            offset, confidence, distance = network.evaluate(options)
    return float(distance), float(confidence), float(offset)


def _scores(network, frames: np.ndarray, audio: np.ndarray, spans: list[tuple[int, int]]) -> np.ndarray:
    """Length-weighted mean of (LSE-D, LSE-C, offset) over stretches."""
    rows = [lse(network, frames[a:b], audio[a * SAMPLES_PER_FRAME : b * SAMPLES_PER_FRAME]) for a, b in spans]
    return np.average(rows, axis=0, weights=[b - a for a, b in spans])


def clip_values(clip, tools) -> Iterator[Value]:
    network = tools.network("syncnet")
    spans = stretches(clip.speaking)
    if not spans:
        raise Undefined("no_speech")
    values = _scores(network, clip.generated, clip.audio, spans)
    for name, value in zip(("lse_d", "lse_c", "lse_offset"), values, strict=True):
        yield Value(name, "speech", float(value))
    yield Value("lse_coverage", "speech", sum(b - a for a, b in spans) / len(clip.speaking))
    true = _scores(network, clip.true, clip.audio, spans)
    yield Value("lse_offset", truth_part("speech"), float(true[2]))
