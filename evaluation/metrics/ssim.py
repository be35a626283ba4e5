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
COLUMNS, ROWS = 16, 32  # outputs per matrix product: small enough to waste little of the band and to stay in the cache
C1, C2 = np.float32((0.01 * 255) ** 2), np.float32((0.03 * 255) ** 2)


def _band(outputs: int) -> np.ndarray:
    """(outputs + 2 RADIUS, outputs): one column per output, holding the 11 Gaussian weights."""
    taps = np.exp(-0.5 * (np.arange(-RADIUS, RADIUS + 1) / SIGMA) ** 2)
    band = np.zeros((outputs + 2 * RADIUS, outputs), np.float32)
    for column in range(outputs):
        band[column : column + len(taps), column] = taps / taps.sum()
    return band


ACROSS, DOWN = _band(COLUMNS), np.ascontiguousarray(_band(ROWS).T)


def _smooth(images: np.ndarray, across: np.ndarray) -> np.ndarray:
    """Gaussian mean over the valid area of a strip: (..., h, W) -> (..., h - 10, W - 10), h - 10 <= ROWS.

    `across` (..., h, W - 10) is scratch; both are contiguous, so that all images' lines make one tall matrix.
    """
    height, width = images.shape[-2], across.shape[-1]
    lines, means = images.reshape(-1, images.shape[-1]), across.reshape(-1, width)
    for start in range(0, width, COLUMNS):
        size = min(COLUMNS, width - start)
        seen = lines[:, start : start + size + 2 * RADIUS]
        np.matmul(seen, ACROSS[: size + 2 * RADIUS, :size], out=means[:, start : start + size])
    return DOWN[: height - 2 * RADIUS, :height] @ across


def _similarity(x: np.ndarray, y: np.ndarray, images: np.ndarray, across: np.ndarray) -> float:
    """Sum of SSIM over the valid area and the channels of two strips (h, W, 3); the rest is scratch."""
    # only the sum of the two variances enters, so four filtered images do instead of five; measured from a common
    # level, their squares are small enough for single precision
    first, second, squares, product = images
    first[:], second[:] = x.transpose(2, 0, 1), y.transpose(2, 0, 1)
    level = np.float32(round(float(first.mean())))
    first -= level
    second -= level
    np.multiply(first, first, out=squares)
    np.multiply(second, second, out=product)
    squares += product
    np.multiply(first, second, out=product)
    ux, uy, squares, product = _smooth(images, across)
    both, sums = ux * uy, ux + uy
    product -= both
    ux *= ux
    uy *= uy
    ux += uy
    squares -= ux
    sums += level
    sums *= level  # level (ux + uy + level): what both means' product gains from counting from zero again
    both += sums
    sums *= 2
    ux += sums
    for term, factor, constant in ((both, 2, C1), (product, 2, C2), (ux, 1, C1), (squares, 1, C2)):
        term *= factor
        term += constant
    both *= product
    ux *= squares
    both /= ux
    return float(both.sum(dtype=np.float64))


def ssim(generated: np.ndarray, true: np.ndarray) -> np.ndarray:
    """SSIM per frame of two uint8 (T, H, W, 3) videos: (T,) in [-1, 1]. ValueError below 11 pixels a side."""
    height, width = (side - 2 * RADIUS for side in generated.shape[1:3])
    if min(height, width) < 1:
        raise ValueError(f"SSIM needs frames of at least 11 x 11 pixels, got {generated.shape[1:3]}")
    sums = np.zeros(len(generated))
    for top in range(0, height, ROWS):
        rows = slice(top, min(top + ROWS, height) + 2 * RADIUS)
        shapes = ((4, 3, rows.stop - top, columns) for columns in (width + 2 * RADIUS, width))
        scratch = [np.empty(shape, np.float32) for shape in shapes]  # fresh ones for every frame cost more
        for t in range(len(generated)):
            sums[t] += _similarity(generated[t, rows], true[t, rows], *scratch)
    return sums / (3 * height * width)


def clip_values(clip, tools) -> Iterator[Value]:
    if min(clip.true.shape[1:3]) < 2 * RADIUS + 1:
        raise Undefined("frame_too_small")
    yield Value("ssim", "frame", float(ssim(clip.generated, clip.true).mean()))
