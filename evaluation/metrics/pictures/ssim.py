"""Structural similarity of generated and true frames, in the published Gaussian form."""

from collections.abc import Iterator

import cv2
import numpy as np

from evaluation.cards import MetricCard, Value
from evaluation.metrics._series import Undefined, require_alike

CARDS = (
    MetricCard(
        name="ssim",
        label="SSIM",
        unit="1",
        direction="higher",
        range=(-1.0, 1.0),
        per="clip",
        parts=("frame",),
        definition="Agreement of local means, contrasts and structure of generated and true frames.",
        equation=r"\frac{(2\mu_f\mu_{\hat f}+c_1)(2\sigma_{f\hat f}+c_2)}"
        r"{(\mu_f^2+\mu_{\hat f}^2+c_1)(\sigma_f^2+\sigma_{\hat f}^2+c_2)},\;\text{mean over pixels, channels, frames}",
        protocol="RGB 0-255, Gaussian window of 11 pixels (sigma 1.5), population covariance, mean of the valid "
        "area, of channels and of all frames; frames paired by index after resampling to 25 fps",
        source="Wang et al. 2004; equals scikit-image structural_similarity(gaussian_weights=True, sigma=1.5, "
        "use_sample_covariance=False, data_range=255)",
        disagreements=(
            "scikit-image's default, a uniform 7 x 7 window, is not the published SSIM: 0.628 against 0.652 on the "
            "same two frames; grey 0.657; data_range=2 on floats in [0, 1], a common slip, 0.728.",
            "torchmetrics averages the padded map and takes the data range from the batch; piq, in the ViCo baseline, "
            "halves pictures of 512 pixels first.",
            "It ranks a still face above one that moves in its own way.",
        ),
        separates=(("ground_truth", "vae_round_trip"), ("vae_round_trip", "frozen_reference")),
        separates_parts=("frame",),
    ),
)
RADIUS, SIGMA = 5, 1.5
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
TAPS = np.exp(-0.5 * (np.arange(-RADIUS, RADIUS + 1) / SIGMA) ** 2).astype(np.float32)
TAPS /= TAPS.sum()
MIDDLE = np.float32(255)  # of the sum of two pixels


def _smooth(image: np.ndarray, plus: float = 0.0) -> np.ndarray:
    """Gaussian mean, float32, of an integer or float image (H, W, 3), and a constant; true but at the border."""
    return cv2.sepFilter2D(image, cv2.CV_32F, TAPS, TAPS, delta=plus)


def _similarity(x: np.ndarray, y: np.ndarray) -> float:
    """SSIM of two uint8 pictures (H, W, 3).

    By their sum s and difference d: 2 (mu_x^2 + mu_y^2) = mu_s^2 + mu_d^2 and 4 mu_x mu_y = mu_s^2 - mu_d^2, and so for
    variances and covariance: four filtered images do instead of five, and few operations on them. Around the middle of
    its range, the squares of s are small enough for single precision.
    """
    s, d = np.add(x, y, dtype=np.int16), np.subtract(x, y, dtype=np.int16)
    s -= np.int16(MIDDLE)
    mean_s, mean_d = _smooth(s), _smooth(d)
    variance_s = _smooth(cv2.multiply(s, s, dtype=cv2.CV_32F), 2 * C2)
    variance_d = _smooth(cv2.multiply(d, d, dtype=cv2.CV_32F))
    variance_s -= mean_s * mean_s
    mean_s += MIDDLE
    mean_s *= mean_s
    mean_s += np.float32(2 * C1)
    mean_d *= mean_d
    variance_d -= mean_d
    agreement = mean_s - mean_d
    agreement *= variance_s - variance_d
    mean_s += mean_d
    variance_s += variance_d
    mean_s *= variance_s
    agreement /= mean_s
    return float(agreement[RADIUS:-RADIUS, RADIUS:-RADIUS].mean(dtype=np.float64))


def ssim(generated: np.ndarray, true: np.ndarray) -> np.ndarray:
    """SSIM per frame of two uint8 (T, H, W, 3) videos: (T,) in [-1, 1]. ValueError below 11 pixels, or two shapes."""
    require_alike(generated, true)
    if min(generated.shape[1:3]) < 2 * RADIUS + 1:
        raise ValueError(f"SSIM needs frames of at least 11 x 11 pixels, got {generated.shape[1:3]}")
    return np.array([_similarity(x, y) for x, y in zip(generated, true, strict=True)])


def of_clip(clip) -> np.ndarray:
    """SSIM per frame (T,) of a clip, computed once. Undefined `frame_too_small`."""
    if min(clip.true.shape[1:3]) < 2 * RADIUS + 1:
        raise Undefined("frame_too_small")
    return clip.once("ssim", lambda: ssim(clip.generated, clip.true))


def clip_values(clip, tools) -> Iterator[Value]:
    yield Value("ssim", "frame", float(of_clip(clip).mean()))
