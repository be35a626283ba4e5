"""The Frechet distance: closed forms, parity with pytorch-fid, equal paths, streaming, invariances, bias."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_fid.fid_score import calculate_frechet_distance

from dyads.errors import ConfigError, DataError
from evaluation.frechet import (
    Moments,
    accumulate,
    extrapolate,
    frechet_distance,
    gaussian_distance,
    merge,
    moments,
    moments_distance,
    thin_distance,
)

seeds = st.integers(0, 2**32 - 1)
counts = st.integers(3, 24)  # on both sides of the 8 dimensions used with it


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def rotation(seed: int, dims: int) -> np.ndarray:
    return np.linalg.qr(noise(seed, dims, dims))[0]


def pair(seed: int, count: int, dims: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Two sets of correlated samples around different means."""
    return noise(seed, count, dims) @ noise(seed + 1, dims, dims), noise(seed + 2, count, dims) + 0.5


def full_distance(a: np.ndarray, b: np.ndarray) -> float:
    return moments_distance(moments(a), moments(b), unequal_counts=True)


def both_paths(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    return thin_distance(a, b), full_distance(a, b)


# Closed forms


def test_diagonal_covariances():
    zero = np.zeros(3)
    assert gaussian_distance(zero, np.diag([1.0, 4, 9]), zero, np.diag([4.0, 4, 1])) == pytest.approx(1 + 0 + 4)
    assert gaussian_distance(zero, np.eye(3), np.array([3.0, 0, 4]), np.eye(3)) == pytest.approx(25)
    turn = rotation(0, 3)
    a, b = (turn @ np.diag(values) @ turn.T for values in ([1.0, 4, 9], [4.0, 4, 1]))
    assert gaussian_distance(zero, a, zero, b) == pytest.approx(5)


def test_covariances_that_do_not_commute():
    a, b = np.array([[2.0, 1], [1, 3]]), np.array([[1.0, -0.5], [-0.5, 4]])
    # the root of a 2 x 2 matrix has the trace sqrt(tr M + 2 sqrt(det M))
    root = np.sqrt(np.trace(a @ b) + 2 * np.sqrt(np.linalg.det(a @ b)))
    wanted = np.trace(a) + np.trace(b) - 2 * root
    assert gaussian_distance(np.zeros(2), a, np.zeros(2), b) == pytest.approx(wanted, rel=1e-12)


def test_covariances_without_full_rank():
    zero = np.zeros(4)
    a, b = np.diag([1.0, 4, 0, 0]), np.diag([9.0, 0, 0, 0])
    assert gaussian_distance(zero, a, zero, b) == pytest.approx(8)
    assert gaussian_distance(zero, a, zero, np.diag([0.0, 0, 2, 5])) == pytest.approx(12)  # nothing in common
    assert gaussian_distance(zero, a, zero, 0 * a) == pytest.approx(5)
    assert gaussian_distance(zero, 0 * a, zero, 0 * a) == 0
    turn = rotation(1, 4)
    a, b = turn @ a @ turn.T, turn @ b @ turn.T
    assert gaussian_distance(zero, a, zero, b) == pytest.approx(8, rel=1e-6)
    assert gaussian_distance(zero, b, zero, a) == pytest.approx(8, rel=1e-6)


@pytest.mark.parametrize("shape", [(40, 6), (6, 40), (2, 5), (5, 1)])
def test_shifts_and_scales_of_samples(shape):
    a = noise(0, *shape)
    shift = np.arange(shape[1])
    for path in (frechet_distance, thin_distance, full_distance):
        assert path(a, a) == pytest.approx(0, abs=1e-9)
        assert path(a, a + shift) == pytest.approx(float(shift @ shift), abs=1e-9)
        centred = a - a.mean(0)
        assert path(centred, 3 * centred) == pytest.approx(4 * centred.var(0, ddof=1).sum())


# Parity and equal paths


@pytest.mark.parametrize("dims, count", [(2, 30), (5, 60), (32, 300)])
def test_equals_pytorch_fid(dims, count):
    a, b = pair(dims, count, dims)
    wanted = calculate_frechet_distance(
        a.mean(0), np.atleast_2d(np.cov(a, rowvar=False)), b.mean(0), np.atleast_2d(np.cov(b, rowvar=False))
    )
    assert frechet_distance(a, b) == pytest.approx(float(wanted), rel=1e-4)
    assert thin_distance(a, b) == pytest.approx(float(wanted), rel=1e-4)


@pytest.mark.parametrize("n, m", [(10, 10), (2, 2), (24, 24), (10, 60), (60, 10), (60, 60)])
def test_thin_path_equals_full_path(n, m):
    a, b = noise(n, n, 24) * np.geomspace(1, 1e-2, 24), noise(m + 1, m, 24) + 0.1
    thin, full = both_paths(a, b)
    assert thin == pytest.approx(full, rel=1e-6)
    assert frechet_distance(a, b, unequal_counts=True) == pytest.approx(thin, rel=1e-6)
    assert frechet_distance(b, a, unequal_counts=True) == pytest.approx(thin, rel=1e-6)


# Streaming


@settings(max_examples=25, deadline=None)
@given(seeds, st.lists(st.integers(0, 7), min_size=1, max_size=6), st.floats(-1e6, 1e6))
def test_merging_equals_one_pass(seed, sizes, offset):
    batches = [noise(seed + i, size, 3) + offset for i, size in enumerate(sizes)]
    together = np.concatenate(batches)
    streamed, halves = (
        accumulate(iter(batches)),
        merge(accumulate(batches[1:] or [batches[0][:0]]), moments(batches[0])),
    )
    for found in (streamed, halves):
        assert found.count == len(together)
        if len(together) > 1:
            np.testing.assert_allclose(found.mean, together.mean(0), rtol=1e-12, atol=1e-9)
            np.testing.assert_allclose(found.covariance, np.cov(together, rowvar=False), rtol=1e-6, atol=1e-6)


def test_streaming_is_in_float64():
    samples = (1000 + noise(0, 3000, 2)).astype(np.float32)
    found = accumulate(np.array_split(samples, 7))
    assert found.mean.dtype == found.m2.dtype == np.float64
    np.testing.assert_allclose(found.covariance, np.cov(samples.astype(np.float64), rowvar=False), rtol=1e-9)
    other = noise(1, 3000, 2)
    assert moments_distance(found, moments(other)) == pytest.approx(frechet_distance(samples, other))


# Invariances


@settings(max_examples=25, deadline=None)
@given(seeds, counts, st.floats(-100, 100), st.floats(0.1, 10))
def test_order_shift_rotation_and_scale(seed, count, shift, scale):
    a, b = pair(seed, count)
    order, turn, wanted = np.random.default_rng(seed).permutation(count), rotation(seed, 8), frechet_distance(a, b)
    near = pytest.approx(wanted, rel=1e-6, abs=1e-6)
    assert wanted >= 0
    assert frechet_distance(b, a) == near
    assert frechet_distance(a[order], b) == near
    assert frechet_distance(a + shift, b + shift) == near
    assert frechet_distance(a @ turn, b @ turn) == near
    assert frechet_distance(scale * a, scale * b) / scale**2 == near
    wider = [np.pad(x, ((0, 0), (0, 20))) for x in (a, b)]  # dimensions without variation change nothing
    assert frechet_distance(*wider) == near


# Bias


def estimates(true_shift: float, runs: int = 24, count: int = 200, dims: int = 10) -> np.ndarray:
    """(runs, 2): distance and extrapolation of samples of two Gaussians whose distance is true_shift²."""
    found = []
    for seed in range(runs):
        a, b = noise(2 * seed, count, dims), noise(2 * seed + 1, count, dims)
        a[:, 0] += true_shift
        estimate = extrapolate(a, b, generator=np.random.default_rng(seed))
        assert estimate.count == count and estimate.distance == frechet_distance(a, b)
        found.append((estimate.distance, estimate.extrapolation))
    return np.array(found)


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_extrapolation_removes_the_bias(shift):
    biased, unbiased = estimates(shift).mean(0) - shift**2
    assert biased > 0.3  # D (D + 5) / 2 N = 0.375 for two standard normals
    assert abs(unbiased) < biased / 4


def test_groups_of_like_samples_are_drawn_together():
    by_row, by_group = [], []
    clips = np.repeat(np.arange(40), 10)
    for seed in range(24):
        a, b = (np.repeat(noise(2 * seed + i, 40, 3), 10, axis=0) for i in range(2))
        by_row.append(extrapolate(a, b, generator=np.random.default_rng(seed)).extrapolation)
        by_group.append(extrapolate(a, b, generator=np.random.default_rng(seed), groups=clips).extrapolation)
    assert np.mean(by_row) > 0.15  # ten equal frames are no ten samples
    assert abs(np.mean(by_group)) < np.mean(by_row) / 3


def test_extrapolation_of_paired_rows_and_its_generator():
    a, b = pair(0, 60)
    first, second = (extrapolate(a, b, generator=np.random.default_rng(3)) for _ in range(2))
    assert first == second
    same = extrapolate(a, a, generator=np.random.default_rng(0))  # the truth against itself has no bias to remove
    assert same.distance == pytest.approx(0, abs=1e-9) and same.extrapolation == pytest.approx(0, abs=1e-9)
    unequal = extrapolate(a, b[:40], generator=np.random.default_rng(0), unequal_counts=True)
    assert unequal.count == 40 and np.isfinite(unequal.extrapolation)


# Refusals


def test_unequal_counts_are_refused_unless_asked():
    a, b = noise(0, 30, 4), noise(1, 20, 4)
    with pytest.raises(DataError, match="30 and 20 samples"):
        frechet_distance(a, b)
    with pytest.raises(DataError, match="30 and 20 samples"):
        moments_distance(moments(a), moments(b))
    with pytest.raises(DataError, match="30 and 20 samples"):
        extrapolate(a, b, generator=np.random.default_rng(0))
    assert frechet_distance(a, b, unequal_counts=True) == pytest.approx(thin_distance(a, b))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(value):
    for count in (3, 30):
        bad = noise(0, count, 4)
        bad[1, 2] = value
        for call in (frechet_distance, thin_distance, full_distance):
            with pytest.raises(DataError, match="not finite"):
                call(bad, noise(1, count, 4))
    with pytest.raises(DataError, match="not finite"):
        gaussian_distance(np.zeros(2), np.full((2, 2), value), np.zeros(2), np.eye(2))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("count", [3, 30])
def test_overflow_is_refused(count):
    with pytest.raises(DataError, match="overflowed"):
        frechet_distance(1e200 * noise(0, count, 4), 1e200 * noise(1, count, 4))


def test_too_little_is_refused():
    one, some = noise(0, 1, 4), noise(1, 5, 4)
    for a, b in ((one, one), (one, some), (some[:0], some)):
        for call in (frechet_distance, thin_distance, full_distance):
            with pytest.raises(DataError, match="at least 2 samples"):
                call(a, b)
    with pytest.raises(DataError, match="at least 2 samples"):
        _ = Moments(1, one[0], np.zeros((4, 4))).covariance
    with pytest.raises(DataError, match="no batch"):
        accumulate([])
    with pytest.raises(DataError, match="at least 10 samples"):
        extrapolate(some, some, generator=np.random.default_rng(0))
    with pytest.raises(ConfigError, match="draws"):
        extrapolate(noise(0, 20, 4), noise(1, 20, 4), generator=np.random.default_rng(0), draws=0)


def test_shapes_that_do_not_fit_are_refused():
    a, b = noise(0, 12, 4), noise(1, 12, 5)
    for call in (frechet_distance, thin_distance, full_distance):
        with pytest.raises(DataError, match="dimension"):
            call(a, b)
    with pytest.raises(DataError, match="merged"):
        merge(moments(a), moments(b))
    with pytest.raises(DataError, match="not \\(count, dimensions\\)"):
        frechet_distance(a[0], a[1])
    with pytest.raises(DataError, match="do not fit"):
        gaussian_distance(np.zeros(2), np.eye(3), np.zeros(2), np.eye(2))
    with pytest.raises(DataError, match="groups of 3"):
        extrapolate(a, a, generator=np.random.default_rng(0), groups=np.arange(3))
