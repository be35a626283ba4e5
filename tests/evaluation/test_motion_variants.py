"""The named variants of the motion metrics: closed forms, what sets them apart, and the formulas of others' code."""

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from dyads.synthetic.coefficients import COEFFICIENTS
from evaluation.cards import OK
from evaluation.clips import MOTION_PARTS, Clip
from evaluation.metrics._parts import motion, part_value
from evaluation.metrics._series import Undefined
from evaluation.metrics.lips import lip_opening
from evaluation.metrics.motion import motion_fd, paired_fd, rpcc, sid, sts, var

seeds = st.integers(0, 2**32 - 1)
PLAIN = {"speaking": np.zeros(0, bool), "status": OK}


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def clip(seed: int, frames: int = 90, offset: float = 0.0) -> Clip:
    """A clip with random motion, all of it `offset` from zero."""
    arrays = noise(seed, 3, frames, len(COEFFICIENTS)) + offset
    return Clip(
        f"c{seed}", frames, names=COEFFICIENTS, motion_generated=arrays[0], motion_true=arrays[1],
        motion_user=arrays[2], **PLAIN,
    )  # fmt: skip


def values(module, clips) -> dict[tuple[str, str], float]:
    """All rows of a module, of the first clip and of the set; so few clips have no extrapolation."""
    rows = [*getattr(module, "clip_values", lambda *_: ())(clips[0], None)]
    rows += getattr(module, "set_values", lambda *_: ())(clips, None)
    rows = [row for row in rows if not row.part.endswith(("_count", "_extrapolated"))]
    assert all(row.status == OK for row in rows)
    return {(row.metric, row.part): row.value for row in rows}


def status_of(function, *arguments) -> str:
    with pytest.raises(Undefined) as failure:
        function(*arguments)
    return failure.value.status


def test_a_part_of_all_clips_is_cut_and_joined():
    clips = [clip(0, 5), clip(1, 7)]
    (pose,) = motion(clips, "pose", "true")
    np.testing.assert_array_equal(pose, np.concatenate([c.motion_true[:, 12:] for c in clips]))
    (centred,) = motion(clips, "pose", "true", centred=True)
    np.testing.assert_allclose(centred[:5].mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(centred[5:].mean(0), 0, atol=1e-12)
    clips[1].names = ()
    assert status_of(motion, clips, "pose", "true") == "no_truth"
    assert part_value("m", "pose", np.mean, clips, "true", label="p").status == "no_truth"
    assert part_value("m", "all", lambda x: float(len(x)), clips, "true", label="p") == ("m", "p", 12.0, OK)


# rPCC


def test_rpcc_variants_by_others_formulas():
    clips = [clip(seed, offset=seed) for seed in range(3)]
    found = values(rpcc, clips)
    arrays = [np.concatenate([getattr(c, f"motion_{s}") for c in clips]) for s in ("generated", "true", "user")]
    # DIM, mymetrics.py: everything flattened
    g, t, u = (a.reshape(-1) for a in arrays)
    assert found["rpcc_pooled", "all"] == pytest.approx(abs(np.corrcoef(t, u)[0, 1] - np.corrcoef(g, u)[0, 1]))
    # the same of one clip
    g, t, u = (getattr(clips[0], f"motion_{s}").ravel() for s in ("generated", "true", "user"))
    assert found["rpcc_clip", "all"] == pytest.approx(abs(np.corrcoef(t, u)[0, 1] - np.corrcoef(g, u)[0, 1]))
    # a correlation a dimension: of one clip, and of all with each clip centred
    for name, chosen in (("rpcc", clips[:1]), ("rpcc_dimension", clips)):
        g, t, u = motion(chosen, "all", "generated", "true", "user", centred=True)
        gaps = [abs(np.corrcoef(t[:, d], u[:, d])[0, 1] - np.corrcoef(g[:, d], u[:, d])[0, 1]) for d in range(17)]
        assert found[name, "all"] == pytest.approx(np.mean(gaps))


def test_only_the_centred_variants_ignore_where_a_face_rests():
    one, two = [clip(seed) for seed in (3, 4)], [clip(seed) for seed in (3, 4)]
    for both in one + two:
        both.motion_user = both.motion_user + np.linspace(-3, 3, 17)
    for moved in two:
        moved.motion_generated = moved.motion_generated + np.linspace(-3, 3, 17)
    plain, shifted = values(rpcc, one), values(rpcc, two)
    for name in ("rpcc", "rpcc_dimension"):
        assert shifted[name, "all"] == pytest.approx(plain[name, "all"], abs=1e-9)
    for name in ("rpcc_clip", "rpcc_pooled"):
        assert abs(shifted[name, "all"] - plain[name, "all"]) > 0.1


def test_more_clips_take_the_chance_out_of_a_dimension_but_not_of_a_clip():
    """Avatar and user independent in truth and generation: every rPCC above 0 is chance."""
    clips = [clip(seed, 60) for seed in range(40)]
    per_clip = np.mean([values(rpcc, [c])["rpcc", "all"] for c in clips])
    assert values(rpcc, clips)["rpcc_dimension", "all"] < per_clip / 3


def plain_rpcc(clips: list[Clip], part: str) -> dict[str, float]:
    """The four from their definitions, of frames that every side saw."""

    def by_dimension(series: list[list[np.ndarray]]) -> float:
        g, t, u = (np.concatenate([x - x.mean(0) for x in side]) for side in series)
        moving = [d for d in range(t.shape[1]) if min(t[:, d].std(), u[:, d].std()) > 0.01]
        own = [scipy.stats.pearsonr(t[:, d], u[:, d])[0] for d in moving]
        made = [scipy.stats.pearsonr(g[:, d], u[:, d])[0] if g[:, d].std() > 0.01 else math.nan for d in moving]
        return float(np.mean([1 + abs(r) if math.isnan(q) else abs(r - q) for r, q in zip(own, made, strict=True)]))

    def flat(series: list[list[np.ndarray]]) -> float:
        g, t, u = (np.concatenate([x.ravel() for x in side]) for side in series)
        return abs(np.corrcoef(t, u)[0, 1] - np.corrcoef(g, u)[0, 1])

    every = [[motion([c], part, s)[0].astype(np.float64) for c in clips] for s in rpcc.SOURCES]
    first = [side[:1] for side in every]
    return {"rpcc": by_dimension(first), "rpcc_clip": flat(first),
            "rpcc_dimension": by_dimension(every), "rpcc_pooled": flat(every)}  # fmt: skip


def faces(seed: int, offset: float) -> list[Clip]:
    """Three clips, each resting elsewhere, with frames that nobody saw, still channels and pieces too short."""
    rng = np.random.default_rng(seed)
    clips = [clip(seed + k, frames) for k, frames in enumerate((70, 90, 2))]
    for k, one in enumerate(clips):
        for source in ("generated", "true", "user"):
            moved = one.motion_user + getattr(one, f"motion_{source}") + offset * rng.normal(size=17)
            moved[:, {"generated": 2, "true": 13, "user": 5}[source]] = rng.normal()
            setattr(one, f"motion_{source}", moved.astype(np.float32))
        if k == 0:
            one.valid = rng.random(70) < 0.7
            one.motion_generated[~one.valid] = np.nan
    return clips


@settings(max_examples=10, deadline=None)
@given(seeds.map(lambda seed: seed // 2), st.sampled_from([0.0, 1.0, 1000.0]), st.booleans())
def test_sums_of_all_channels_give_every_part_its_rpcc(seed, offset, grouped):
    clips = faces(seed, offset)
    for one in clips:
        one.groups = {"expression": (9, 3, 5), "pose": (12, 13, 14), "all": tuple(range(16))} if grouped else None
    found = {(v.metric, v.part): v for v in [*rpcc.clip_values(clips[0], None), *rpcc.set_values(clips, None)]}
    for part in MOTION_PARTS:
        if grouped and part in ("lips", "eyes"):
            assert {found[card.name, part].status for card in rpcc.CARDS} == {"no_such_part"}
            continue
        for name, value in plain_rpcc(clips, part).items():
            assert found[name, part].value == pytest.approx(value, rel=1e-9, abs=1e-11), (name, part)
    # another row of the same dialogue takes the true avatar's and the user's sums from the first
    other, alone = clip(seed, 70), clip(seed, 70)
    for one in (other, alone):
        one.motion_true, one.motion_user, one.valid = clips[0].motion_true, clips[0].motion_user, clips[0].valid
    other.same = clips[0].same
    assert [*rpcc.clip_values(other, None)] == [*rpcc.clip_values(alone, None)] and len(other.same) == 1


@pytest.mark.parametrize("source", ["generated", "true", "user"])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_broken_channel_breaks_its_own_parts_alone(source, bad):
    whole, broken = [clip(0), clip(1)], [clip(0), clip(1)]
    getattr(broken[0], f"motion_{source}")[7, COEFFICIENTS.index("yaw")] = bad
    for measured in (lambda clips: rpcc.clip_values(clips[0], None), lambda clips: rpcc.set_values(clips, None)):
        for before, now in zip(measured(whole), measured(broken), strict=True):
            assert now.status == "not_finite" if now.part in ("pose", "all") else now == before


# SID


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=12).filter(any))
def test_entropy_of_a_histogram_is_scipys(counts):
    found = float(sid.entropies(np.array(counts)))
    assert found == pytest.approx(scipy.stats.entropy(counts, base=2)) and not math.copysign(1, found) < 0
    assert sid.entropies(np.full(8, 3)) == pytest.approx(3) and np.isnan(sid.entropies(np.zeros(4)))


def test_sid_variants_differ_by_k_alone():
    clips = [clip(seed) for seed in range(2)]
    found = values(sid, clips)
    for name, clusters in sid.VARIANTS.items():
        for part, k in clusters.items():
            expected = sid.sid(*motion(clips, part, "generated", "true"), k)
            assert (found[name, part], found[name, f"{part}_truth"]) == pytest.approx(expected)
            assert found[f"{name}_normalised", part] == pytest.approx(found[name, part] / math.log2(k))
    assert (sid.CLUSTERS["expression"], sid.CLUSTERS["pose"]) == (15, 9)
    assert (sid.CLUSTERS_40_20["expression"], sid.CLUSTERS_40_20["pose"]) == (40, 20)


def test_clips_are_thinned_as_one_series(monkeypatch):
    """What is clustered of many clips is every s-th of all their frames, wherever one ends."""
    monkeypatch.setattr(sid, "MOST", 100)
    clips = [clip(seed, frames) for seed, frames in enumerate((90, 77, 55))]
    expected = sid.sid(*motion(clips, "expression", "generated", "true"), 15)
    found = values(sid, clips)
    assert (found["sid", "expression"], found["sid", "expression_truth"]) == expected


def test_frames_are_counted_at_the_nearest_centre():
    frames, centres = noise(0, 200, 3), noise(1, 2, 5, 3)
    far = np.linalg.norm(frames[:, None, None] - centres, axis=-1).argmin(-1)
    expected = [np.bincount(nearest, minlength=5) for nearest in far.T]
    np.testing.assert_array_equal(sid.histograms(frames, centres), expected)


def test_a_broken_reading_is_no_cluster():
    good, bad = noise(0, 50, 2), noise(1, 50, 2)
    bad[3] = np.nan
    assert status_of(sid.sid, bad, good, 4) == status_of(sid.sid, good, bad, 4) == "not_finite"


# Variance, distances, changes


def test_flat_variance_counts_the_spread_of_means_too():
    clips = [clip(0), clip(1, offset=5.0)]
    found = values(var, clips)
    flat = np.concatenate([c.motion_generated for c in clips])
    assert found["var_flat", "all"] == pytest.approx(np.var(flat.reshape(-1)))  # DIM, mymetrics.py
    assert found["var_flat", "all"] > 5 > 2 > found["var", "all"]
    assert found["var_flat", "pose_truth"] == pytest.approx(
        np.concatenate([c.motion_true for c in clips])[:, 12:].var()
    )
    assert status_of(var.flat_variance, np.ones((1, 4))) == "too_few_frames"


def test_paired_distance_sees_the_partner_where_the_plain_one_does_not():
    user = noise(0, 4000, 1)
    true, opposite = user + 0.1 * noise(1, 4000, 1), -user + 0.1 * noise(2, 4000, 1)
    opposite += true.mean() - opposite.mean()
    assert motion_fd.motion_fd(opposite, true) < 0.01
    c = float(np.corrcoef(user[:, 0], true[:, 0])[0, 1])
    assert paired_fd.paired_fd(opposite, true, user) == pytest.approx(_gap(c), rel=0.1)
    assert paired_fd.paired_fd(true, true, user) == pytest.approx(0, abs=1e-9)


def _gap(c: float) -> float:
    """The distance of the two covariances, whose eigenvectors are the same: 2 (sqrt(1 + c) - sqrt(1 - c))^2."""
    return 2 * (math.sqrt(1 + c) - math.sqrt(1 - c)) ** 2


def test_paired_distance_needs_four_frames_a_dimension():
    arrays = [noise(seed, 39, 10) for seed in range(3)]
    assert status_of(paired_fd.paired_fd, *arrays) == "too_few_frames"
    assert paired_fd.paired_fd(*(noise(seed, 40, 10) for seed in range(3))) > 0
    found = values(paired_fd, [clip(0), clip(1)])
    assert {part for _, part in found} == set(MOTION_PARTS)


def loops(x: np.ndarray, y: np.ndarray) -> float:
    """STS as DIM's metrics/eval_utils.py goes through it."""
    total = 0.0
    for d in range(x.shape[1]):
        for i in range(1, len(x)):
            total += ((x[i][d] - x[i - 1][d]) - (y[i][d] - y[i - 1][d])) ** 2 / 0.1
    return math.sqrt(total)


@settings(max_examples=10, deadline=None)
@given(seeds, st.integers(2, 12), st.integers(1, 4))
def test_sts_equals_the_loops(seed, frames, dims):
    a, b = noise(seed, frames, dims), noise(seed + 1, frames, dims)
    assert sts.sts(a, b) == pytest.approx(loops(a, b))
    assert sts.sts(a + 3, a) == pytest.approx(0, abs=1e-6)  # where it rests does not count


def test_pooled_sts_counts_the_jumps_between_clips():
    still = [clip(0), clip(1)]
    for level, one in enumerate(still):
        one.motion_true = np.zeros_like(one.motion_true)
        one.motion_generated = np.full_like(one.motion_generated, float(level))
    found = values(sts, still)
    assert found["sts", "all"] == 0
    assert found["sts_pooled", "all"] == pytest.approx(math.sqrt(17 / 0.1))
    assert status_of(sts.sts, np.ones((1, 2)), np.ones((1, 2))) == "too_few_frames"


# Lips


def test_lip_opening_error_in_speech_and_in_listening():
    one = clip(0, 100)
    one.speaking = np.arange(100) < 40
    one.motion_generated = one.motion_true.copy()
    one.motion_generated[:40, 0] += 0.25
    one.motion_generated[40:, 0] -= 0.5
    rows = {row.part: row for row in lip_opening.clip_values(one, None)}
    assert rows["speech"].value == pytest.approx(0.25) and rows["listening"].value == pytest.approx(0.5)
    one.speaking = np.ones(100, bool)
    rows = {row.part: row for row in lip_opening.clip_values(one, None)}
    assert rows["speech"].status == OK and rows["listening"].status == "too_few_frames"
    one.speaking = np.zeros(100, bool)
    rows = {row.part: row for row in lip_opening.clip_values(one, None)}
    assert rows["speech"].status == "no_speech" and rows["listening"].status == OK


def test_a_pooled_correlation_of_small_motion_is_that_of_large():
    generated, true, user = np.random.default_rng(0).standard_normal((3, 40, 5))
    large = rpcc.rpcc_pooled(generated, true, user)
    assert rpcc.rpcc_pooled(*(1e-4 * series for series in (generated, true, user))) == pytest.approx(large, rel=1e-9)
    with pytest.raises(Undefined, match="constant_series"):
        rpcc.rpcc_pooled(*(1e-9 * series for series in (generated, true, user)))


def test_what_moves_by_the_bound_itself_is_still():
    turning = np.tile([[1.0], [-1.0]], (10, 1))
    for size, gap in ((0.25, 2.0), (0.5, 0.0)):
        assert rpcc.rpcc(size * turning, turning, turning, still=0.25) == pytest.approx(gap, abs=1e-12)


def test_one_frame_has_no_entropy_and_the_card_names_the_clusterings():
    true = np.random.default_rng(0).standard_normal((30, 2))
    assert sid.sid(true[:1], true, 3)[0] == 0.0
    assert all("(random_state 0 to 7)" in card.protocol and sid.STATES == 8 for card in sid.CARDS)
