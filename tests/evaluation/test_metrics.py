"""The metrics' pure functions: closed forms, parity with reference packages, invariances."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_fid.fid_score import calculate_frechet_distance
from skimage.metrics import structural_similarity

from dyads.synthetic.coefficients import COEFFICIENTS
from evaluation.cards import OK
from evaluation.clips import EXPRESSION_PARTS, Clip, Truth
from evaluation.metrics._series import Undefined, frechet, pearson, slope
from evaluation.metrics._sums import Products
from evaluation.metrics.expression import expression
from evaluation.metrics.lips import mouth
from evaluation.metrics.motion import motion_fd, motion_mse, rpcc, sid, sts, var
from evaluation.metrics.pictures import fid_small, psnr, ssim

seeds = st.integers(0, 2**32 - 1)


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def video(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def status_of(function, *arguments) -> str:
    with pytest.raises(Undefined) as failure:
        function(*arguments)
    return failure.value.status


# Pictures


@pytest.mark.parametrize("size", [(11, 11), (64, 64), (65, 150)])
def test_ssim_equals_scikit_image(size):
    one = video(0, 3, *size, 3)
    two = np.clip(one.astype(int) + np.random.default_rng(1).integers(-25, 25, one.shape), 0, 255).astype(np.uint8)
    two[0] = 90  # a flat picture: the variance is a difference of large numbers
    wanted = [
        structural_similarity(
            a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255, channel_axis=2
        )
        for a, b in zip(one, two, strict=True)
    ]
    np.testing.assert_allclose(ssim.ssim(one, two), wanted, atol=1e-6)


def test_ssim_of_itself_is_one_and_small_pictures_are_refused():
    frames = video(0, 2, 16, 16, 3)
    np.testing.assert_allclose(ssim.ssim(frames, frames), 1)
    with pytest.raises(ValueError, match="11 x 11"):
        ssim.ssim(frames[:, :10], frames[:, :10])


def test_psnr_closed_forms():
    black, white = np.zeros((1, 4, 4, 3), np.uint8), np.full((1, 4, 4, 3), 255, np.uint8)
    assert psnr.psnr(black, white)[0] == pytest.approx(0)
    assert psnr.psnr(white, white)[0] == psnr.CAP
    assert psnr.psnr(black, black + 1)[0] == pytest.approx(20 * math.log10(255))
    ten, five = np.full((1, 4, 4, 3), 10, np.uint8), np.full((1, 4, 4, 3), 5, np.uint8)
    assert psnr.psnr(five, ten)[0] == psnr.psnr(ten, five)[0] == pytest.approx(20 * math.log10(255 / 5))


# Series


def test_pearson_closed_forms_and_undefined():
    x = np.array([0.0, 1, 2, 3])
    assert pearson(x, 2 * x + 5) == pytest.approx(1)
    assert pearson(x, -x) == pytest.approx(-1)
    assert pearson(x, np.array([1.0, -1, -1, 1])) == pytest.approx(0)
    assert status_of(pearson, x, np.ones(4)) == "constant_series"
    assert status_of(pearson, x[:2], x[:2]) == "too_few_frames"


def test_pearson_centres_channels_before_pooling():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(500, 2)), rng.normal(size=(500, 2))
    offsets = np.array([0.0, 100.0])
    assert abs(pearson(a + offsets, b + offsets)) < 0.15  # flattened without centring it would be 1
    still = np.column_stack([a[:, 0], np.full(500, 3.0)])
    assert pearson(still, np.column_stack([a[:, 0], np.zeros(500)])) == pytest.approx(1)


@settings(max_examples=30, deadline=None)
@given(seeds, st.floats(0.1, 10), st.floats(-5, 5))
def test_correlation_ignores_scale_and_offset(seed, scale, offset):
    a, b = noise(seed, 30, 3), noise(seed + 1, 30, 3)
    assert pearson(a * scale + offset, b) == pytest.approx(pearson(a, b), abs=1e-9)
    assert slope(a * scale + offset, b) == pytest.approx(scale * slope(a, b), abs=1e-9)


# Motion


def test_motion_mse_closed_form():
    assert motion_mse.motion_mse(np.full((5, 2), 3.0), np.ones((5, 2))) == pytest.approx(4)
    assert motion_mse.motion_mse(np.ones((5, 2)), np.ones((5, 2))) == 0


@pytest.mark.parametrize("metric", [motion_mse.motion_mse, sts.sts, psnr.psnr, ssim.ssim])
def test_shapes_that_numpy_would_stretch_are_refused(metric):
    whole = video(0, 12, 12, 12, 3) if metric in (psnr.psnr, ssim.ssim) else noise(0, 12, 3)
    assert np.isfinite(metric(whole, whole)).all()
    for other in (whole[:1], whole[..., :1]):
        for pair in ((whole, other), (other, whole)):
            with pytest.raises(ValueError, match="cannot be compared; give one shape"):
                metric(*pair)


def test_frechet_closed_forms():
    a = noise(0, 4000, 3)
    assert frechet(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet(a, a + np.array([3.0, 0, 4])) == pytest.approx(25, abs=1e-6)
    one = a[:, :1]
    assert frechet(one, 3 * one) == pytest.approx((2 * one.std(ddof=1)) ** 2 + (2 * one.mean()) ** 2)


@settings(max_examples=20, deadline=None)
@given(seeds, st.integers(2, 6))
def test_frechet_equals_pytorch_fid(seed, dims):
    a, b = noise(seed, 60, dims) @ noise(seed + 1, dims, dims), noise(seed + 2, 60, dims) + 0.3
    wanted = calculate_frechet_distance(
        a.mean(0), np.atleast_2d(np.cov(a, rowvar=False)), b.mean(0), np.atleast_2d(np.cov(b, rowvar=False))
    )
    assert frechet(a, b) == pytest.approx(float(wanted), rel=1e-6, abs=1e-7)
    assert frechet(a, b) == pytest.approx(frechet(b, a), rel=1e-9)


def test_frechet_distances_need_frames():
    assert status_of(motion_fd.motion_fd, noise(0, 9, 5), noise(1, 100, 5)) == "too_few_frames"
    assert motion_fd.motion_fd(np.zeros((20, 5)), np.zeros((20, 5))) == 0  # a frozen face is no failure here
    assert status_of(fid_small.fid, noise(0, 64, 64), noise(1, 500, 64)) == "too_few_frames"
    assert status_of(motion_fd.motion_fd, noise(0, 90, 5), noise(1, 100, 5)) == "length_mismatch"
    features = noise(0, 200, 8)
    assert fid_small.fid(features, features) == pytest.approx(0, abs=1e-6)
    assert fid_small.fid(features + 2, features) == pytest.approx(32, rel=1e-6)


@settings(max_examples=30, deadline=None)
@given(seeds, st.floats(0.2, 5), st.floats(-3, 3))
def test_rpcc_ignores_scale_and_offset_of_each_dimension(seed, scale, offset):
    generated, true, user = noise(seed, 40, 3), noise(seed + 1, 40, 3), noise(seed + 2, 40, 3)
    value = rpcc.rpcc(generated, true, user)
    assert 0 <= value <= 2
    assert rpcc.rpcc(generated * scale + offset, true, user) == pytest.approx(value, abs=1e-9)
    assert rpcc.rpcc(true, true, user) == pytest.approx(0, abs=1e-12)


def test_rpcc_closed_form_and_constant_series():
    user = noise(0, 50, 2)
    assert rpcc.rpcc(-user, user, user) == pytest.approx(2)
    still = np.column_stack([user[:, 0], np.zeros(50)])
    assert rpcc.rpcc(-user, still, user) == pytest.approx(2)  # the truth's still dimension does not count
    # the method's still dimension does, as the largest gap there is: 1 + |r|
    assert rpcc.rpcc(still, user, user) == pytest.approx((2 * 0 + 2) / 2)
    assert status_of(rpcc.rpcc, user, np.ones((50, 2)), user) == "constant_series"
    assert status_of(rpcc.rpcc, user[:2], user[:2], user[:2]) == "too_few_frames"
    assert rpcc.rpcc_pooled(-user, user, user) == pytest.approx(2)


@settings(max_examples=8, deadline=None)
@given(seeds, st.integers(2, 6))
def test_sid_lies_between_zero_and_log2_k(seed, k):
    true, generated = noise(seed, 60, 2), 3 * noise(seed + 1, 30, 2)
    value, own = sid.sid(generated, true, k)
    assert 0 <= value <= math.log2(k) + 1e-12 and 0 <= own <= math.log2(k) + 1e-12
    frozen, _ = sid.sid(np.repeat(true[:1], 30, axis=0), true, k)
    assert frozen == 0
    assert sid.sid(true, true, k)[0] == own


def test_sid_reaches_log2_k_and_needs_k_frames():
    corners = np.repeat(np.array([[0.0, 0], [0, 9], [9, 0], [9, 9]]), 5, axis=0)
    assert sid.sid(corners, corners, 4)[0] == pytest.approx(2)
    assert status_of(sid.sid, corners, corners, 5) == "too_few_frames"
    assert sid.entropies(np.array([2, 1, 1, 0])) == pytest.approx(1.5)


def test_var_closed_form():
    motion = np.column_stack([np.tile([0.0, 2.0], 10), np.full(20, 7.0)])
    assert var.temporal_variance(motion) == pytest.approx(0.5)  # 1 and 0, not the spread between dimensions
    assert status_of(var.temporal_variance, motion[:1]) == "too_few_frames"


# Mouth and expression


def test_mouth_correlation_counts_speech_only():
    jaw, speaking = noise(0, 100), np.zeros(100, bool)
    speaking[:30] = True
    other = jaw.copy()
    other[30:] = -jaw[30:]
    assert mouth.mouth_opening_correlation(other, jaw, speaking) == pytest.approx(1)
    assert status_of(mouth.mouth_opening_correlation, jaw, jaw, speaking & (np.arange(100) < 24)) == "no_speech"
    second = np.arange(100) < np.flatnonzero(speaking)[24] + 1  # of speech, which is enough
    assert mouth.mouth_opening_correlation(jaw, jaw, speaking & second) == pytest.approx(1)
    assert mouth.mouth_opening_correlation(0.001 * jaw, jaw, speaking) == 0  # a still mouth follows nothing
    assert status_of(mouth.mouth_opening_correlation, jaw, 0.001 * jaw, speaking) == "constant_series"


def test_expression_amplitude_is_the_ratio_of_slopes():
    oracle = noise(0, 200, 3)
    true = 0.8 * oracle + 5
    assert expression.expression_amplitude(0.4 * oracle - 2, true, oracle) == pytest.approx(0.5)
    assert expression.expression_amplitude(true, true, oracle) == pytest.approx(1)
    assert expression.expression_amplitude(np.zeros((200, 3)), true, oracle) == 0  # frozen: no expression, a fact
    assert status_of(expression.expression_amplitude, oracle, true, np.ones((200, 3))) == "constant_series"
    assert status_of(expression.expression_amplitude, oracle, np.zeros((200, 3)), oracle) == "constant_series"
    assert expression.expression_correlation(np.zeros((200, 3)), oracle) == 0  # a still face follows nothing
    assert status_of(expression.expression_correlation, oracle, np.zeros((200, 3))) == "constant_series"
    assert status_of(expression.expression_correlation, oracle[:0], oracle[:0]) == "too_few_frames"


def test_valence_of_a_set_is_that_of_all_its_frames():
    """Two classes are enough; the third, which never occurs, counts for nothing."""
    oracle, generated = np.repeat([0.0, 0.5], 50), np.random.default_rng(0).normal(0.2, 0.3, 100)
    sums = Products()
    sums.add(generated[:, None], oracle[:, None])
    found = expression._valence(sums, expression._classes(generated, oracle))
    assert found == pytest.approx(expression.valence_accuracy(generated, oracle))


def spoken(seed: int, frames: int = 60) -> Clip:
    """A dialogue of the synthetic world with random motion around its oracle."""
    noise = np.random.default_rng(seed).normal(0, 0.3, (4, frames, len(COEFFICIENTS)))
    expected, cue = np.cumsum(noise[0], 0), np.random.default_rng(seed).integers(0, 8, frames)
    flags, emotion = np.ones(frames, bool), np.zeros(frames, int)
    truth = Truth(COEFFICIENTS, noise[3], expected + noise[1], expected, flags, emotion, cue, ("neutral",))
    reference = truth.avatar[0]
    return Clip(
        f"c{seed}", frames, OK, flags, truth=truth, names=COEFFICIENTS, motion_reference=reference,
        motion_generated=0.5 * expected + noise[2], motion_true=truth.avatar, motion_user=noise[3],
    )  # fmt: skip


def test_expression_of_a_set_is_that_of_all_its_frames():
    clips = [spoken(seed) for seed in range(3)]
    found = {(value.metric, value.part): value.value for value in expression.set_values(clips, None)}
    generated, true, oracle = (
        np.concatenate(sides)
        for sides in zip(*(expression.changes(clip, EXPRESSION_PARTS["smile"]) for clip in clips), strict=True)
    )
    expected = expression.valence_accuracy(generated[:, 0], oracle[:, 0])
    assert found["expression_valence", "smile"] == pytest.approx(expected)
    for metric, side, label in (
        ("expression_correlation", generated, "smile"),
        ("expression_amplitude", generated, "smile"),
        ("expression_amplitude", true, "smile_truth"),
    ):
        sides = (side, oracle) if metric.endswith("correlation") else (side, true, oracle)
        assert found[metric, label] == pytest.approx(getattr(expression, metric)(*sides)), label


def test_valence_accuracy_is_balanced():
    oracle = np.array([0.5] * 2 + [0.0] * 90 + [-0.5] * 8)
    assert expression.valence_accuracy(oracle, oracle) == 1
    assert expression.valence_accuracy(np.zeros(100), oracle) == pytest.approx(1 / 3)
    assert expression.valence_accuracy(oracle * 0.2, oracle) == pytest.approx(1 / 3)  # right but invisible
    assert status_of(expression.valence_accuracy, oracle, np.zeros(100)) == "constant_series"
