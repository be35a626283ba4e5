"""Structural similarity of generated and true frames, in the published Gaussian form."""

from collections.abc import Iterator

import numpy as np

from evaluation.cards import MetricCard, Value
from evaluation.metrics._series import Undefined

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
BLOCK = 64  # outputs per matrix product: small enough to waste little of the band, large enough for BLAS
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def _band() -> np.ndarray:
    """(BLOCK + 2 RADIUS, BLOCK): one column per output, holding the 11 Gaussian weights."""
    taps = np.exp(-0.5 * (np.arange(-RADIUS, RADIUS + 1) / SIGMA) ** 2)
    band = np.zeros((BLOCK + 2 * RADIUS, BLOCK))
    for column in range(BLOCK):
        band[column : column + len(taps), column] = taps / taps.sum()
    return band


BAND = _band()


def _smooth(images: np.ndarray) -> np.ndarray:
    """Gaussian mean over the valid area: (..., H, W) -> (..., H - 10, W - 10), float64."""
    for _ in range(2):  # filter the last axis, swap, and again
        length = images.shape[-1] - 2 * RADIUS
        out = np.empty((*images.shape[:-1], length))
        for start in range(0, length, BLOCK):
            size = min(BLOCK, length - start)
            np.matmul(
                images[..., start : start + size + 2 * RADIUS],
                BAND[: size + 2 * RADIUS, :size],
                out=out[..., start : start + size],
            )
        images = np.ascontiguousarray(out.swapaxes(-1, -2))
    return images


def ssim(generated: np.ndarray, true: np.ndarray) -> np.ndarray:
    """SSIM per frame of two uint8 (T, H, W, 3) videos: (T,) in [-1, 1]. ValueError below 11 pixels a side."""
    if min(generated.shape[1:3]) < 2 * RADIUS + 1:
        raise ValueError(f"SSIM needs frames of at least 11 x 11 pixels, got {generated.shape[1:3]}")
    scores = np.empty(len(generated))
    for t in range(len(generated)):
        x = generated[t].transpose(2, 0, 1).astype(np.float64)
        y = true[t].transpose(2, 0, 1).astype(np.float64)
        # only the sum of the two variances enters, so four filtered images do instead of five
        ux, uy, squares, product = _smooth(np.stack([x, y, x * x + y * y, x * y]))
        means = ux * ux + uy * uy
        numerator = (2 * ux * uy + C1) * (2 * (product - ux * uy) + C2)
        scores[t] = (numerator / ((means + C1) * (squares - means + C2))).mean()
    return scores


def clip_values(clip, tools) -> Iterator[Value]:
    if min(clip.true.shape[1:3]) < 2 * RADIUS + 1:
        raise Undefined("frame_too_small")
    yield Value("ssim", "frame", float(ssim(clip.generated, clip.true).mean()))
