"""Peak signal-to-noise ratio of generated and true frames."""

from collections.abc import Iterator

import numpy as np

from evaluation.cards import MetricCard, Value

CAP = 100.0  # dB; identical frames would be infinite

CARDS = (
    MetricCard(
        name="psnr",
        label="PSNR",
        unit="dB",
        direction="higher",
        range=(0.0, CAP),
        per="clip",
        parts=("frame",),
        protocol=f"RGB 0-255, per frame, capped at {CAP:g} dB, then mean over frames",
        source="mean per frame as in the ViCo challenge baseline; not the PSNR of the mean error",
        separates=(("ground_truth", "vae_round_trip"), ("vae_round_trip", "frozen_reference")),
        separates_parts=("frame",),
    ),
)


def psnr(generated: np.ndarray, true: np.ndarray) -> np.ndarray:
    """PSNR in dB per frame of two uint8 (T, H, W, 3) videos: (T,), at most `CAP`."""
    difference = generated.astype(np.float32) - true.astype(np.float32)  # uint8 subtraction would wrap
    error = np.square(difference).mean(axis=(1, 2, 3), dtype=np.float64)
    return np.minimum(20 * np.log10(255.0) - 10 * np.log10(np.maximum(error, 1e-30)), CAP)


def clip_values(clip, tools) -> Iterator[Value]:
    yield Value("psnr", "frame", float(psnr(clip.generated, clip.true).mean()))
