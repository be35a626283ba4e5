"""TLCC, lip movement in silence, and motion metrics on masked frames: equal to their definitions written plainly."""

import math

import numpy as np
import pytest
from scipy.linalg import sqrtm
from sklearn.cluster import KMeans

from dyads.synthetic.coefficients import COEFFICIENTS
from evaluation.cards import OK, truth_part
from evaluation.clips import Clip
from evaluation.metrics._series import Undefined
from evaluation.metrics.lips import lip_stability
from evaluation.metrics.motion import motion_mse, paired_fd, rpcc, sid, sts, var
from evaluation.metrics.reaction import tlcc
from evaluation.readings.set_level import set_metric

D = len(COEFFICIENTS)


def plain_tlcc(user, avatar, counted, reach):
    """(delay, peak): every delay's pairs picked one by one, numpy's own correlation of every channel."""
    best = (-math.inf, 0)
    for lag in range(-reach, reach + 1):
        times = [t for t in range(len(user)) if 0 <= t + lag < len(user) and counted[t] and counted[t + lag]]
        x, y = user[times], avatar[[t + lag for t in times]]
        mean = np.mean([np.corrcoef(x[:, d], y[:, d])[0, 1] for d in range(x.shape[1])])
        best = max(best, (mean, lag))
    return best[1], best[0]


@pytest.mark.parametrize("seed", range(4))
def test_tlcc_equals_its_definition(seed):
    draw = np.random.default_rng(seed)
    user, avatar = draw.normal(size=(2, 90, 5)) + 3
    counted = draw.random(90) > 0.2
    user[~counted] = np.nan
    delay, peak = tlcc.tlcc(tlcc.lagged_correlations(user, avatar, counted, 20))
    wanted = plain_tlcc(user, avatar, counted, 20)
    assert delay == wanted[0] and peak == pytest.approx(wanted[1], abs=1e-9)


@pytest.mark.parametrize("delay", [-30, 0, 12, 49])
def test_a_planted_delay_is_found_across_gaps(delay):
    draw = np.random.default_rng(1)
    user = np.cumsum(draw.normal(size=(400, 3)), 0)
    avatar = np.roll(user, delay, axis=0) + 0.1 * draw.normal(size=(400, 3))
    counted = np.ones(400, bool)
    counted[100:140] = counted[250:255] = False
    found, peak = tlcc.tlcc(tlcc.lagged_correlations(user, avatar, counted))
    assert found == delay and peak > 0.9
    if delay:  # frames closed up pair other moments
        closed = tlcc.tlcc(tlcc.lagged_correlations(user[counted], avatar[counted], np.ones(counted.sum(), bool)))
        assert closed[1] < peak


def test_a_still_face_has_no_delay():
    with pytest.raises(Undefined, match="constant_series"):
        tlcc.tlcc(
            tlcc.lagged_correlations(np.random.default_rng(0).normal(size=(99, 2)), np.ones((99, 2)), np.ones(99, bool))
        )


def test_lip_movement_in_silence():
    speaking = np.zeros(100, bool)
    speaking[10:15] = speaking[18:60] = True  # the pause between is too short to be silence
    counted = lip_stability.silences(speaking)
    assert counted[:10].all() and not counted[15:18].any() and counted[60:].all()
    series = np.random.default_rng(0).normal(size=(60, 3))
    wanted = np.mean([np.median(np.abs(series[:, d] - series[:, d].mean())) for d in range(3)])
    assert lip_stability.lip_stability(series) == pytest.approx(wanted)
    assert lip_stability.lip_stability(np.full((40, 2), 0.5)) == 0
    with pytest.raises(Undefined, match="too_few_frames"):
        lip_stability.lip_stability(series[:20])


def plain_sid(generated: list, true: list, whole: list, k: int, fitted: int, counted: int) -> float:
    """Bits: k-means of every s-th true frame, then the share of each cluster counted frame by frame."""
    whole = np.concatenate(whole)
    whole = whole[:: 2 ** max(0, math.ceil(math.log2(len(whole) / fitted)))]
    every, found = math.ceil(sum(map(len, true)) / counted), []
    frames = [frame for clip in generated for frame in clip[::every]]
    for state in range(8):
        centres = KMeans(n_clusters=k, n_init=1, random_state=state).fit(whole).cluster_centers_
        counts = [0] * k
        for frame in frames:
            counts[np.square(centres - frame).sum(1).argmin()] += 1
        found.append(-sum(n / len(frames) * math.log2(n / len(frames)) for n in counts if n))
    return float(np.mean(found))


@pytest.mark.parametrize("fitted, counted", [(20_000, 100_000), (200, 90)])
def test_sid_equals_its_definition(monkeypatch, fitted, counted):
    monkeypatch.setattr(sid, "MOST", fitted)
    monkeypatch.setattr(sid, "MOST_COUNTED", counted)
    monkeypatch.setattr("evaluation.readings.set_level.MOST_COUNTED", counted)
    clips = [masked_clip(0), masked_clip(1)]
    clips[1].valid[:40] = False  # not seen in the row that is measured: the truth's frames make clusters all the same
    y, x = ([getattr(clip, f"motion_{side}")[clip.valid] for clip in clips] for side in ("generated", "true"))
    whole = [clip.motion_true[np.isfinite(clip.motion_true).all(1)] for clip in clips]
    found = {(v.metric, v.part): v.value for v in sid.set_values(clips, None)}
    for name, k in (("sid", 15), ("sid_40_20", 40)):
        wanted = [plain_sid(side, x, whole, k, fitted, counted) for side in (y, x)]
        assert found[name, "all"] == pytest.approx(wanted[0], abs=1e-6)
        assert found[name, truth_part("all")] == pytest.approx(wanted[1], abs=1e-6)
        assert found[f"{name}_normalised", "all"] == pytest.approx(wanted[0] / math.log2(k), abs=1e-6)
    stored = {
        str(i): {
            **{side: getattr(clip, f"motion_{side}") for side in ("generated", "true", "user")},
            "speaking": clip.speaking,
            "valid": clip.valid,
        }
        for i, clip in enumerate(clips)
    }
    sums = set_metric("sid", "all", stored, {"names": list(COEFFICIENTS)})
    assert sums.value(sums.cells.sum(0)[None])[0] == pytest.approx(found["sid", "all"], abs=1e-9)


def masked_clip(seed: int = 0) -> Clip:
    draw, frames = np.random.default_rng(seed), 300
    generated, true, user = draw.normal(size=(3, frames, D)).cumsum(1) / 5
    valid = draw.random(frames) > 0.15
    for series in (generated, true, user):
        series[~valid] = np.nan
    clip = Clip("one", frames, OK, np.arange(frames) < 150, names=COEFFICIENTS, valid=valid)
    clip.motion_generated, clip.motion_true, clip.motion_user = generated, true, user
    clip.motion_reference = true[valid][0]
    return clip


def test_metrics_leave_out_unseen_frames_and_close_no_gap():
    clip = masked_clip()
    here = clip.valid
    y, x, u = (getattr(clip, f"motion_{side}")[here] for side in ("generated", "true", "user"))

    def value(module, name, part="all"):
        rows = {(v.metric, v.part): v for v in module.clip_values(clip, None)}
        assert rows[name, part].status == OK
        return rows[name, part].value

    flat = [np.corrcoef(side.ravel(), u.ravel())[0, 1] for side in (x, y)]
    assert value(rpcc, "rpcc_clip") == pytest.approx(abs(flat[0] - flat[1]), abs=1e-6)
    assert value(motion_mse, "motion_mse") == pytest.approx(np.square(x - y).mean())
    assert value(var, "var") == pytest.approx(y.var(0).mean())
    pairs = np.concatenate([u, y], 1), np.concatenate([u, x], 1)
    covariances = [np.cov(pair.T) for pair in pairs]
    cross = np.trace(sqrtm(covariances[0] @ covariances[1]).real)
    shift = np.square(pairs[0].mean(0) - pairs[1].mean(0)).sum()
    wanted = shift + np.trace(covariances[0]) + np.trace(covariances[1]) - 2 * cross
    assert value(paired_fd, "paired_fd_clip") == pytest.approx(wanted, abs=1e-6)
    times = np.flatnonzero(here)
    steps = [i for i in range(1, len(times)) if times[i] == times[i - 1] + 1]
    change = sum(np.square((y[i] - y[i - 1]) - (x[i] - x[i - 1])).sum() for i in steps)
    assert value(sts, "sts") == pytest.approx(math.sqrt(change / 0.1))
    pooled = {(v.metric, v.part): v.value for v in var.set_values([clip], None)}
    assert pooled["var_flat", "all"] == pytest.approx(y.var())
