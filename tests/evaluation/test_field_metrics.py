"""The field's metrics of points, meshes, coefficients and sharpness: closed forms, invariances, and failures as
statuses."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.metrics._features import cosines
from evaluation.metrics._points import both, interocular
from evaluation.metrics._series import Undefined
from evaluation.metrics.coefficients.aed import aed
from evaluation.metrics.coefficients.e_fid import e_fid
from evaluation.metrics.coefficients.lve_controls import lve_controls
from evaluation.metrics.coefficients.vico import chosen, mean_absolute
from evaluation.metrics.landmarks.beats import beat_alignment, chance, motion_beats, onsets
from evaluation.metrics.landmarks.blinks import blinks, closures, eye_aspect_ratio
from evaluation.metrics.landmarks.displacements import akd, lip_lmd
from evaluation.metrics.landmarks.lmd import f_lmd, f_lmd_unaligned, lmd_sum, m_lmd, m_lmd_unaligned, normalised
from evaluation.metrics.landmarks.lvd import lvd
from evaluation.metrics.lips.lip_stability import lip_stability
from evaluation.metrics.meshes.fdd import fdd, fdd_absolute, fdd_sum
from evaluation.metrics.meshes.lve import lve, lve_centred, lve_distance, lve_root
from evaluation.metrics.meshes.mod import mod, mod_absolute, mod_landmarks, mod_vertices, opening
from evaluation.metrics.meshes.mve import mhd, mve
from evaluation.metrics.meshes.samples import coverage_error, diversity, diversity_of_all, mee
from evaluation.metrics.pictures.cpbd import clip_cpbd, cpbd

CLOSE = {"rel": 1e-6, "abs": 1e-6}
PAIRED_68 = (m_lmd, f_lmd, lmd_sum, f_lmd_unaligned, m_lmd_unaligned, lip_lmd, akd, mod_landmarks)
PAIRED_MESH = (lve, lve_root, lve_distance, lve_centred, mve, mhd, fdd, fdd_absolute, fdd_sum, mod_vertices)
seeds = st.integers(0, 10_000)


def face(seed: int = 0, frames: int = 30, points: int = 68, dimensions: int = 2) -> np.ndarray:
    generator = np.random.default_rng(seed)
    still = generator.uniform(50, 200, (points, dimensions))
    return still + generator.normal(0, 2, (frames, points, dimensions))


def status(function, *arguments) -> str:
    with pytest.raises(Undefined) as caught:
        function(*arguments)
    return caught.value.status


def test_all_points_moved_alike():
    true = face()
    moved = true + (3.0, 4.0)
    assert [f(moved, true) for f in (lmd_sum, m_lmd, f_lmd)] == pytest.approx([0, 0, 0], **CLOSE)
    assert f_lmd_unaligned(moved, true) == pytest.approx(5, **CLOSE)
    assert m_lmd_unaligned(moved, true) == pytest.approx(5 * 20 / 68, **CLOSE)
    assert lip_lmd(moved, true) == pytest.approx(3.5, **CLOSE)
    assert akd(moved, true) == pytest.approx(3.5, **CLOSE)


def test_one_mouth_point_off():
    true = face()
    moved = true.copy()
    moved[:, 50, 0] += 20
    assert m_lmd(moved, true) == pytest.approx(1.9, **CLOSE)
    assert lmd_sum(moved, true) == pytest.approx(38, **CLOSE)
    assert lip_lmd(moved, true) == pytest.approx(0.5, **CLOSE)


@given(seeds, st.floats(0.1, 10), st.floats(-100, 100))
def test_landmark_distances_scale_shift_and_mirror(seed: int, scale: float, shift: float):
    true, other = face(seed, 4), face(seed + 1, 4)
    for function in (m_lmd, f_lmd, lmd_sum, f_lmd_unaligned, m_lmd_unaligned, lip_lmd, akd, mod_landmarks, lvd):
        value = function(other, true)
        assert function(true, true) == 0
        assert function(true, other) == pytest.approx(value)  # symmetric
        assert function(other * scale, true * scale) == pytest.approx(scale * value)
        assert function(other + shift, true + shift) == pytest.approx(value, rel=1e-6)
        assert function(other * (-1, 1), true * (-1, 1)) == pytest.approx(value)
        assert normalised(function, other * scale, true * scale) == pytest.approx(normalised(function, other, true))
    for function in (m_lmd, f_lmd, lmd_sum, mod_landmarks, lvd):  # these claim to ignore where a face lies
        assert function(other + shift, true) == pytest.approx(function(other, true), rel=1e-6)


def test_velocities():
    true = np.zeros((11, 20, 2))
    moving = np.cumsum(np.ones((11, 1, 1)) * np.array([3.0, 4.0]), 0) + np.zeros((1, 20, 1))
    assert lvd(moving, true) == pytest.approx(100, **CLOSE)
    assert lvd(moving + 7, moving) == 0


def test_lip_vertex_errors_of_three_and_one_millimetre():
    true = np.zeros((10, 6, 3))
    made = true.copy()
    made[:5, 2, 1], made[5:, 4, 0] = 0.003, 0.001
    assert lve(made, true) == pytest.approx(5e-6, rel=1e-6)
    assert 1000 * lve_root(made, true) == pytest.approx(math.sqrt(5), **CLOSE)
    assert 1000 * lve_distance(made, true) == pytest.approx(2, **CLOSE)
    assert lve_centred(true + (1.0, 2.0, 3.0), true) == pytest.approx(0, **CLOSE)
    assert lve_controls(np.full((4, 4), 2.0), np.zeros((4, 4))) == pytest.approx(4, **CLOSE)
    whole = np.full((3, 5, 3), 2.0)
    assert mve(whole, 0 * whole) == pytest.approx(math.sqrt(12), **CLOSE)
    assert mhd(whole, 0 * whole) == pytest.approx(math.sqrt(12), **CLOSE)


def test_liveliness_of_the_upper_face():
    still = np.zeros((10, 3, 3))
    lively = still.copy()
    lively[::2, :, 0] = 2.0  # squared distances 4 and 0: std 2
    template = np.zeros((3, 3))
    values = fdd(still, lively, template), fdd(lively, still, template)
    assert values == pytest.approx((2, -2), **CLOSE)
    assert np.mean(values) == pytest.approx(0, **CLOSE)
    assert fdd_absolute(lively, still, template) == pytest.approx(2, **CLOSE)
    assert fdd_sum(lively, still) == pytest.approx(100 * np.std([2, 0] * 5, ddof=1), **CLOSE)
    crossing = lively.copy()
    crossing[..., 1] = -crossing[..., 0]
    assert fdd_sum(crossing, still) == pytest.approx(0, **CLOSE)  # blind along x = -y
    assert status(fdd_sum, lively[:1], still[:1]) == "too_few_frames"


def test_mouth_openings():
    points = np.zeros((4, 68, 3))
    points[:, 51, 1] = math.sqrt(3) * np.array([1, 2, 3, 4])
    assert mod_landmarks(points, 0 * points) == pytest.approx(math.sqrt(30 / 4), **CLOSE)
    assert opening(points, np.array([[51, 57]])) == pytest.approx(math.sqrt(3) * np.array([1, 2, 3, 4]), **CLOSE)
    assert mod(np.array([1.0, 3]), np.zeros(2)) == pytest.approx(math.sqrt(5), **CLOSE)
    assert mod_absolute(np.array([1.0, 3]), np.zeros(2)) == pytest.approx(2, **CLOSE)
    assert mod_vertices(points[:, :3] + (0, 3.0, 4.0), points[:, :3]) == pytest.approx(5, **CLOSE)


def test_several_samples():
    true = np.zeros((5, 4, 3))
    samples = [true + (1.0, 0, 0), true - (1.0, 0, 0)]
    assert mee(samples, true) == pytest.approx(0, **CLOSE)
    assert coverage_error(samples, true) == pytest.approx(1, **CLOSE)
    assert diversity_of_all(samples) == pytest.approx(2, **CLOSE)
    assert diversity(samples * 5, 5) == diversity(samples * 5, 5)
    assert status(diversity, samples, 5) == status(diversity_of_all, samples[:1]) == "too_few_samples"
    for function in (mee, coverage_error):
        assert status(function, samples[:1], true) == "too_few_samples"  # one sample's error is LVE
        assert status(function, [true[:2]] * 2, true) == "length_mismatch"
        assert status(function, [true, np.full_like(true, np.nan)], true) == "no_face"
    assert status(diversity_of_all, [true, true[:2]]) == "length_mismatch"


@given(seeds, st.integers(2, 12), st.floats(0.1, 10), st.floats(-100, 100))
def test_samples_are_a_set_around_the_truth(seed: int, count: int, scale: float, shift: float):
    true, *samples = (face(seed + k, 4, 12, 3) for k in range(count + 1))
    errors = [lve(sample, true) for sample in samples]
    assert mee(samples, true) <= np.mean(errors) * (1 + 1e-9)  # the largest squared distance is convex
    assert coverage_error(samples, true) == min(errors)
    assert mee(samples[:1] * count, true) == pytest.approx(errors[0])
    for function, power in ((mee, 2), (coverage_error, 2), (lambda s, _: diversity_of_all(s), 1)):
        value = function(samples, true)
        assert function(samples[::-1], true) == pytest.approx(value)
        assert function([scale * s for s in samples], scale * true) == pytest.approx(scale**power * value)
        assert function([s + shift for s in samples], true + shift) == pytest.approx(value, rel=1e-6)
    assert diversity_of_all(samples[:1] * count) == 0
    ten = (samples * 5)[:10]
    assert diversity([scale * s for s in ten]) == pytest.approx(scale * diversity(ten))


@given(seeds, st.floats(0.1, 10))
def test_mesh_distances_scale(seed: int, scale: float):
    true, other = face(seed, 4, 12, 3), face(seed + 1, 4, 12, 3)
    for function in PAIRED_MESH:
        power = 2 if function in (lve, fdd, fdd_absolute) else 1
        assert function(true, true) == pytest.approx(0, abs=1e-9)
        assert function(other * scale, true * scale) == pytest.approx(
            scale**power * function(other, true), rel=1e-6, abs=1e-9
        )
        assert (
            function(other * (-1, 1, 1), true * (-1, 1, 1)) == pytest.approx(function(other, true), rel=1e-6, abs=1e-9)
            or function is fdd_sum
        )  # the sum of coordinates changes in a mirror


def test_coefficients():
    true = np.zeros((10, 3))
    assert mean_absolute(true + (1.0, 2, 3), true) == pytest.approx(2, **CLOSE)
    assert aed(np.eye(2)[[0, 0]], np.eye(2)[[1, 1]]) == pytest.approx(2, **CLOSE)
    names = ("jaw_open", "smile", "yaw", "pitch", "roll", "shift_x", "shift_y", "size", "basis_00")
    assert chosen(names, "expression") == [0, 1] and chosen(names, "angle") == [2, 3, 4]
    assert status(chosen, (), "expression") == "no_truth"


def test_e_fid_of_gaussians():
    normal = np.random.default_rng(0).normal(size=4001)
    normal = (normal - normal.mean()) / normal.std(ddof=1)
    assert e_fid(normal[:, None] + 1, normal[:, None]) == pytest.approx(1, **CLOSE)
    assert e_fid(2 * normal[:, None], normal[:, None]) == pytest.approx(1, **CLOSE)
    assert status(e_fid, np.zeros((3, 5)), np.zeros((3, 5))) == "too_few_frames"


def test_missing_faces_and_unequal_lengths_have_a_status():
    for functions, true in ((PAIRED_68, face()), (PAIRED_MESH, face(points=9, dimensions=3))):
        for function in functions:
            some, many = true.copy(), true.copy()
            some[:2, 0], many[:10] = np.nan, np.nan
            assert np.isfinite(function(some, true)) and np.isfinite(function(true, some)), function
            assert status(function, many, true) == status(function, true, many) == "no_face"
            assert status(function, true[:-1], true) == "length_mismatch"
            assert status(function, true[:0], true[:0]) == "too_few_frames"
            assert status(function, np.full_like(true, np.inf), true) == "no_face"
    assert status(lvd, np.full((5, 3, 2), np.nan), np.zeros((5, 3, 2))) == "no_face"
    assert status(aed, np.full((5, 3), np.nan), np.zeros((5, 3))) == "no_face"
    assert status(mean_absolute, np.full((5, 3), np.nan), np.zeros((5, 3))) == "not_finite"
    unseen = np.arange(5) > 2
    assert status(mean_absolute, np.zeros((5, 3)), np.zeros((5, 3)), unseen) == "no_face"
    assert mean_absolute(np.full((20, 3), 2.0), np.zeros((20, 3)), np.arange(20) > 0) == 2
    assert status(interocular, np.zeros((3, 68, 2))) == "not_finite"
    seen = face()
    seen[0] = np.nan
    assert len(both(seen, face())[0]) == 29
    numbers = np.random.default_rng(0).normal(size=(40, 3))
    assert status(lve_controls, np.full((5, 3), np.nan), np.zeros((5, 3))) == "not_finite"
    assert status(lve_controls, numbers[:0], numbers[:0]) == "too_few_frames"
    for function in (aed, mean_absolute, lve_controls, e_fid):
        assert status(function, numbers[:-1], numbers) == "length_mismatch"
    assert status(e_fid, np.where(numbers > 2, np.inf, numbers), numbers) == "not_finite"
    assert status(cosines, numbers[:-1], numbers) == "length_mismatch"
    assert status(motion_beats, np.full((60, 12, 2), np.nan)) == "no_face"
    assert status(motion_beats, np.zeros((20, 12, 2))) == "too_few_frames"
    assert status(onsets, np.full(16_000 * 2, np.nan)) == "not_finite"
    assert status(akd, face(), face(points=67)) == status(lve, face(dimensions=3), face()) == "length_mismatch"


def test_eye_aspect_ratio_of_a_drawn_eye():
    eye = np.array([[0, 0], [0.5, 0.25], [1.5, 0.25], [2, 0], [1.5, -0.25], [0.5, -0.25]])
    assert eye_aspect_ratio(eye[None]) == pytest.approx([0.25], **CLOSE)
    turned = eye @ np.array([[0.6, 0.8], [-0.8, 0.6]]) * 7 + 5
    assert eye_aspect_ratio(turned[None]) == pytest.approx([0.25], **CLOSE)
    assert np.isnan(eye_aspect_ratio(0 * eye[None])).all()


@given(seeds, st.floats(0.1, 100), st.floats(-3, 3), st.floats(-500, 500))
def test_eye_aspect_ratio_knows_neither_size_nor_place_nor_turn(seed: int, scale: float, angle: float, shift: float):
    eyes = np.random.default_rng(seed).normal(size=(5, 6, 2))
    turn = scale * np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    wanted = eye_aspect_ratio(eyes)
    assert eye_aspect_ratio(eyes @ turn + shift) == pytest.approx(wanted, rel=1e-6)
    assert eye_aspect_ratio(eyes * (-1, 1)) == pytest.approx(wanted, rel=1e-6)


@given(seeds, st.floats(0.1, 10), st.floats(-100, 100))
def test_coefficient_distances_scale_and_shift(seed: int, scale: float, shift: float):
    true, other = np.random.default_rng(seed).normal(size=(2, 40, 3))
    turn = np.linalg.qr(np.random.default_rng(seed + 1).normal(size=(3, 3)))[0]
    for function, power in ((mean_absolute, 1), (lve_controls, 1), (aed, 2), (e_fid, 2)):
        value = function(other, true)
        assert function(true, true) == pytest.approx(0, abs=1e-9)
        assert function(true, other) == pytest.approx(value, rel=1e-6)
        assert function(other + shift, true + shift) == pytest.approx(value, rel=1e-6, abs=1e-9)
        assert function(scale * other, scale * true) == pytest.approx(scale**power * value, rel=1e-6, abs=1e-9)
    for function in (aed, e_fid, lve_controls):  # no axis is another than the others
        assert function(other @ turn, true @ turn) == pytest.approx(function(other, true), rel=1e-6)
    order = np.random.default_rng(seed).permutation(40)
    assert e_fid(other[order], true) == pytest.approx(e_fid(other, true), rel=1e-6)  # of frames, not of their order


@given(seeds, st.floats(0.1, 10), st.floats(-1000, 1000))
def test_mouths_and_beats_know_neither_place_nor_time(seed: int, scale: float, shift: float):
    generator = np.random.default_rng(seed)
    series = generator.normal(size=(40, 2))
    assert lip_stability(scale * series + shift) == pytest.approx(scale * lip_stability(series), rel=1e-6)
    assert lip_stability(series[::-1]) == pytest.approx(lip_stability(series), rel=1e-9)
    audio, motion = generator.uniform(0, 200, (2, 7))
    value = beat_alignment(audio, motion)
    assert beat_alignment(audio + shift, motion + shift) == pytest.approx(value, rel=1e-6)
    assert beat_alignment(-audio, -motion) == pytest.approx(value, rel=1e-6) and 0 <= value <= 1
    assert beat_alignment(audio, np.concatenate([motion, audio])) == pytest.approx(1)


def test_lips_in_silence():
    opening = np.repeat([0.0, 1.0], [60, 40])[:, None]  # the mean is 0.4: 60 frames lie 0.4 from it, 40 lie 0.6
    assert lip_stability(opening) == pytest.approx(0.4, **CLOSE)
    assert status(lip_stability, np.full((30, 1), np.nan)) == "not_finite"
    assert status(lip_stability, opening[:24]) == "too_few_frames"


def blinking(frames: int, closed: list[slice]) -> np.ndarray:
    eye = np.array([[0, 0], [0.5, 0.3], [1.5, 0.3], [2, 0], [1.5, -0.3], [0.5, -0.3]])
    points = np.tile(face()[0], (frames, 1, 1))
    points[:, 36:42], points[:, 42:48] = eye, eye + 5
    for part in closed:
        points[part, 36:48, 1] = 0
    return points


def test_blinks_are_counted():
    found = blinks(blinking(250, [slice(50, 55), slice(100, 103), slice(200, 201)]))
    assert found.rate == pytest.approx(12, **CLOSE)  # two in ten seconds; one frame is noise
    assert found.duration == pytest.approx(4 / 25, **CLOSE)
    assert blinks(blinking(500, [slice(50, 55)]), fps=50).rate == pytest.approx(6, **CLOSE)
    none = blinks(blinking(250, []))
    assert none.rate == 0 and math.isnan(none.duration)
    assert closures(np.zeros(100)) == []  # shut all along is no blink
    assert status(blinks, blinking(100, [])) == "too_few_frames"
    hidden = blinking(250, [])
    hidden[:100] = np.nan
    assert status(blinks, hidden) == "no_face"


def test_beats_three_frames_off():
    beats = np.array([10.0, 40, 70])
    assert beat_alignment(beats, beats) == 1
    assert beat_alignment(beats, beats + 3) == pytest.approx(math.exp(-0.5), **CLOSE)
    assert math.exp(-0.5) == pytest.approx(0.6065, abs=1e-4)
    assert status(beat_alignment, beats, np.zeros(0)) == "constant_series"
    assert status(beat_alignment, np.zeros(0), beats) == "silent"


def test_onsets_of_clicks_and_of_silence():
    sound = 1e-3 * np.random.default_rng(0).normal(size=16_000 * 8)
    times = [1.0, 2.2, 3.1, 4.7, 6.0]
    for time in times:
        start = int(time * 16_000)
        sound[start : start + 4000] += 0.5 * np.sin(2 * np.pi * 220 * np.arange(4000) / 16_000)
    found = onsets(sound)
    assert len(found) == len(times) and np.abs(found / 25 - times).max() < 0.04
    assert status(onsets, np.zeros(16_000 * 4)) == "silent"
    flicker = np.random.default_rng(1).integers(0, 2, 16_000 * 10) / 32768
    assert status(onsets, flicker) == "silent"


def test_a_still_head_has_no_beats_and_chance_is_told():
    moving = np.tile(face()[0, :12], (300, 1, 1))
    still = moving.copy()
    moving[:, :, 0] += 5 * np.sin(np.arange(300) / 300 * 2 * np.pi * 6)[:, None]
    beats = motion_beats(moving)
    assert len(beats) == pytest.approx(12, abs=1)  # at rest twice a period
    assert status(motion_beats, still) == "constant_series"
    assert 0 < chance(np.array([20.0, 100, 180]), beats, 300) < 1


def edge(increments: list[float], low: float = 60.0) -> np.ndarray:
    """A vertical edge in the middle of a block of 64: one pixel wide for each increment."""
    row = np.full(64, low)
    row[30:] += np.sum(increments)
    row[30 : 30 + len(increments)] = low + np.cumsum(increments)
    return np.tile(row, (64, 1))


def rise(width: int, contrast: float) -> list[float]:
    shape = np.ones(width)
    shape[width // 2] = 2.0
    shape[width // 2 - 1] = 1.9
    return list(contrast * shape / shape.sum())


@pytest.mark.parametrize(("contrast", "widest"), [(120.0, 3), (40.0, 5)])
def test_edges_are_sharp_up_to_a_width(contrast: float, widest: int):
    for width in range(2, 8):
        picture = edge(rise(width, contrast))
        assert cpbd(picture) == float(width <= widest), width
        assert cpbd(picture[:, ::-1]) == float(width <= widest), "mirrored"
        assert status(cpbd, picture.T) == "no_edges"  # only edges along rows count
    assert status(cpbd, edge([120.0])) == "no_edges"  # Sobel ties at a bare step


def test_pictures_without_edges_have_no_sharpness():
    assert status(cpbd, np.full((128, 128), 90.0)) == "no_edges"
    assert status(cpbd, np.zeros((63, 128))) == "frame_too_small"
    assert status(cpbd, np.full((64, 64), np.nan)) == "not_finite"
    assert status(clip_cpbd, np.zeros((6, 64, 64, 3), np.uint8)) == "no_edges"
