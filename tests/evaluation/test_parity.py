"""Equal to the packages and formulas that others use, on random frames and on real ones, to 1e-4 of the value.

The networks' parity with pytorch-fid, lpips, cd-fvd and syncnet-python stands beside the tests of those networks.
"""

from itertools import islice

import numpy as np
import pytest
from clip_factory import REAL_CLIPS, needs_real_clips
from scipy.linalg import sqrtm
from scipy.stats import pearsonr
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from sklearn.cluster import KMeans

from dyads.media.video import iter_video
from evaluation.metrics.motion import motion_fd, motion_mse, paired_fd, rpcc, sid, sts, var
from evaluation.metrics.pictures import psnr, ssim

CLOSE = 1e-4
REAL = ("af_user.mp4", "af_avatar_generated.mp4", "hdtf_style_1.mp4")  # any two of them differ in every frame


def random_pair(size: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """uint8 (6, size, size, 3): noise, and the same with more noise; one flat frame, one equal to its partner."""
    rng = np.random.default_rng(0)
    true = rng.integers(0, 256, (6, size, size, 3), dtype=np.uint8)
    generated = np.clip(true + rng.integers(-60, 61, true.shape), 0, 255).astype(np.uint8)
    true[4], generated[5] = 90, true[5]
    return generated, true


def real_pair() -> tuple[np.ndarray, np.ndarray]:
    """Frames of real videos, their middle 128 x 128 pixels, against those half a second later."""
    frames = []
    for name in REAL:
        found = list(islice(iter_video(REAL_CLIPS / name), 0, 25, 12))
        top, left = ((side - 128) // 2 for side in found[0].shape[:2])
        frames.append([frame[top : top + 128, left : left + 128] for frame in found])
    return tuple(np.stack([part[late] for part in frames]) for late in (2, 0))


FRAMES = [pytest.param(random_pair, id="random"), pytest.param(real_pair, id="real", marks=needs_real_clips)]


@pytest.mark.parametrize("pair", FRAMES)
def test_ssim_is_scikit_images_in_the_published_form(pair):
    generated, true = pair()
    gaussian = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    wanted = [
        structural_similarity(a, b, data_range=255, channel_axis=2, **gaussian)
        for a, b in zip(generated, true, strict=True)
    ]
    np.testing.assert_allclose(ssim.ssim(generated, true), wanted, rtol=CLOSE, atol=1e-6)


@pytest.mark.parametrize("pair", FRAMES)
def test_psnr_is_scikit_images(pair):
    generated, true = pair()
    wanted = [
        peak_signal_noise_ratio(a, b, data_range=255) if (a != b).any() else psnr.CAP
        for a, b in zip(true, generated, strict=True)
    ]
    np.testing.assert_allclose(psnr.psnr(generated, true), wanted, rtol=CLOSE)


# Motion


def motion(seed: int, frames: int = 400, dims: int = 6) -> np.ndarray:
    """float32 (frames, dims): slow movement around another rest in each dimension."""
    rng = np.random.default_rng(seed)
    return (np.cumsum(rng.normal(size=(frames, dims)), axis=0) / 8 + rng.normal(size=dims)).astype(np.float32)


GENERATED, TRUE, USER = motion(0), motion(1), motion(2)


@pytest.mark.parametrize("k", [9, 15, 20, 40])
def test_sid_is_the_entropy_of_scikit_learns_clusters(k):
    plain, leaky = np.zeros(2), np.zeros(2)
    for state in range(sid.STATES):
        clusters = KMeans(n_clusters=k, random_state=state, n_init="auto").fit(TRUE.astype(np.float64))
        for side, labels in enumerate((clusters.predict(GENERATED.astype(float)), clusters.labels_)):
            shares = np.bincount(labels, minlength=k) / len(labels)
            plain[side] -= sum(p * np.log2(p) for p in shares if p > 0) / sid.STATES
            # DIM, metrics/eval_utils.py, adds 1e-6 within the logarithm
            leaky[side] -= np.sum(shares * np.log2(shares + 1e-6)) / sid.STATES
    found = sid.sid(GENERATED, TRUE, k)
    np.testing.assert_allclose(found, plain, rtol=CLOSE, atol=1e-12)
    np.testing.assert_allclose(found, leaky, rtol=CLOSE, atol=k * 1e-6 / np.log(2))


def frechet_by_root(a: np.ndarray, b: np.ndarray) -> float:
    """As lm-listener and DIM compute it: two covariances and the root of their product."""
    a, b = a.astype(float), b.astype(float)
    one, two = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    return float(np.square(a.mean(0) - b.mean(0)).sum() + np.trace(one + two - 2 * sqrtm(one @ two).real))


def test_motion_frechet_distances_are_those_by_the_matrix_root():
    assert motion_fd.motion_fd(GENERATED, TRUE) == pytest.approx(frechet_by_root(GENERATED, TRUE), rel=CLOSE)
    both = [np.concatenate([USER, side], 1) for side in (GENERATED, TRUE)]
    assert paired_fd.paired_fd(GENERATED, TRUE, USER) == pytest.approx(frechet_by_root(*both), rel=CLOSE)


def test_correlation_gaps_are_scipys():
    channels = [
        abs(pearsonr(TRUE[:, d], USER[:, d])[0] - pearsonr(GENERATED[:, d], USER[:, d])[0])
        for d in range(TRUE.shape[1])
    ]
    assert rpcc.rpcc(GENERATED, TRUE, USER) == pytest.approx(np.mean(channels), rel=CLOSE)
    flat = [pearsonr(side.ravel().astype(float), USER.ravel().astype(float))[0] for side in (TRUE, GENERATED)]
    assert rpcc.rpcc_pooled(GENERATED, TRUE, USER) == pytest.approx(abs(flat[0] - flat[1]), rel=CLOSE)


def test_variances_errors_and_changes_are_numpys():
    wide = GENERATED.astype(np.float64)
    assert var.temporal_variance(GENERATED) == pytest.approx(np.var(wide, axis=0).mean(), rel=CLOSE)
    assert var.flat_variance(GENERATED) == pytest.approx(np.var(wide.reshape(-1)), rel=CLOSE)
    gap = wide - TRUE
    assert motion_mse.motion_mse(GENERATED, TRUE) == pytest.approx((gap**2).sum() / gap.size, rel=CLOSE)
    assert sts.sts(GENERATED, TRUE) == pytest.approx(np.sqrt((np.diff(gap, axis=0) ** 2 / 0.1).sum()), rel=CLOSE)
