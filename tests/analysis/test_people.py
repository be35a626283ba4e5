"""The person as the random unit: closed forms, simulated studies with identities, and survivors that win nothing."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis import people, resampling, stats
from analysis.claims import Claim, chances, judge
from analysis.pairing import compare
from analysis.ranking import rank_table
from analysis.replicates import held
from dyads.errors import DataError
from evaluation.cards import count_part, truth_part
from evaluation.metrics.motion import rpcc
from evaluation.readings.by_row import Readings, trainings_of
from evaluation.readings.set_level import SetMetric, frechet
from evaluation.registry import cards
from evaluation.rows import WHOLE_SET
from reporting.table_cells import ranks

WHO = [f"p{index:02d}" for index in [*range(18), *range(14)]]  # 18 people, 14 of them twice
CLIPS = [f"d{index:02d}" for index in range(32)]
GREATER = Claim("a is better.", "", "psnr", "frame", ("a", "b"), "greater", "f")
EQUAL = Claim("a is as good.", "", "psnr", "frame", ("a", "b"), "equivalent", "f", margin=1.0)


def study(rng, seeds, icc, mean=0.0, of_seed=0.2, rest=0.7, people=WHO):
    """Differences (seeds, dialogues); a dialogue's own part has the intraclass correlation `icc` within a person."""
    owner = np.unique(people, return_inverse=True)[1]
    of_person = math.sqrt(icc) * rng.standard_normal(owner.max() + 1)[owner]
    of_dialogue = math.sqrt(1 - icc) * rng.standard_normal(len(owner))
    noise = rest * rng.standard_normal((seeds, len(owner))) + of_seed * rng.standard_normal((seeds, 1))
    return mean + of_person + of_dialogue + noise


def test_what_a_person_adds_is_the_jackknife_of_the_mean():
    table = study(np.random.default_rng(0), 3, 0.5)
    found = people.by_person(table, WHO)
    assert found.shape == (3, 18) and found.mean(axis=1) == pytest.approx(table.mean(axis=1))
    cells = [np.stack([np.ones(32), row], 1) for row in table]
    zero = np.stack([np.ones(32), np.zeros(32)], 1)
    value = lambda totals: totals[:, 1] / totals[:, 0]  # noqa: E731
    pairs = [(SetMetric(tuple(CLIPS), own, value), SetMetric(tuple(CLIPS), zero, value)) for own in cells]
    assert resampling.pseudo_values(pairs, WHO) == pytest.approx(found)
    assert people.by_person(table, CLIPS) == pytest.approx(table)  # everyone once
    assert people.means(table, WHO)[0, 0] == pytest.approx(table[0, [0, 18]].mean())


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 5), st.integers(2, 6))
def test_as_many_dialogues_of_everyone_leave_plain_means(seed, seeds, each):
    table = np.random.default_rng(seed).standard_normal((seeds, 4 * each))
    who = [f"p{index % 4}" for index in range(4 * each)]
    assert people.by_person(table, who) == pytest.approx(people.means(table, who))


RUNS = 1000
NOISE = 3 * math.sqrt(0.05 * 0.95 / RUNS)
CASES = [(seeds, icc) for seeds in (3, 5) for icc in (0.0, 0.5, 0.9)]


def means_of(seeds, icc, runs=RUNS, mean=0.0, unit=WHO, **spread):
    rng = np.random.default_rng([seeds, int(10 * icc)])
    return [stats.mean_crossed(people.by_person(study(rng, seeds, icc, mean, **spread), unit)) for _ in range(runs)]


@pytest.mark.parametrize(("seeds", "icc"), CASES)
def test_claims_err_in_2_to_6_percent_and_intervals_cover_93_to_98(seeds, icc):
    """The interval inverts the test, so one rate gives both: it covers where the test does not reject."""
    false = np.mean([min(chances(GREATER, mean)) <= 0.05 for mean in means_of(seeds, icc)])
    assert 0.02 <= false + NOISE / 3 and false <= 0.06
    inside = [low <= 0 <= high for low, high in map(stats.limits, means_of(seeds, icc, runs=40))]
    rejected = [min(chances(GREATER, mean)) <= 0.05 for mean in means_of(seeds, icc, runs=40)]
    assert inside == [not one for one in rejected]


def test_two_seeds_are_overcautious():
    false = np.mean([min(chances(GREATER, mean)) <= 0.05 for mean in means_of(2, 0.5, 500)])
    assert 0.002 <= false <= 0.03 + NOISE


def test_dialogues_taken_for_people_err_far_more_often():
    """Why the person is the unit: the same studies, every dialogue for itself."""
    false = np.mean([min(chances(GREATER, mean)) <= 0.05 for mean in means_of(5, 0.9, 400, unit=CLIPS, of_seed=0.0)])
    assert false > 0.085


@pytest.mark.parametrize(("seeds", "icc"), CASES)
def test_an_equivalence_at_its_margin_gets_a_verdict_in_at_most_6_percent(seeds, icc):
    found = [chances(EQUAL, mean) for mean in means_of(seeds, icc, mean=1.0)]
    verdicts = np.mean([min(pair) <= 0.05 for pair in found])
    assert verdicts <= 0.06 and np.mean([support <= 0.05 for support, _ in found]) <= 0.025 + NOISE
    assert np.mean([min(pair) <= 0.05 for pair in found]) + NOISE / 3 >= 0.02


def test_power_is_what_the_note_says():
    """Detectable differences are seen in about four of five studies; power falls with the intraclass correlation."""
    seen = {}
    for icc in (0.0, 0.9):
        note = float(np.median([stats.detectable(mean) for mean in means_of(5, icc, 60)]))
        seen[icc] = note
        assert 0.65 < np.mean([chances(GREATER, mean)[0] <= 0.05 for mean in means_of(5, icc, 300, note)]) < 0.92
    assert seen[0.9] > 1.1 * seen[0.0]


def drawn(rng, seeds, icc, gap=0.0):
    """Pairs of a Frechet distance in 3 dimensions, equal but for `gap`, whose people differ in where their frames lie.

    Both are well away from the truth, as every method is; of distances near 0 the jackknife is overcautious.
    """
    owner = np.unique(WHO, return_inverse=True)[1]
    truth = rng.standard_normal((32, 12, 3))
    pairs = []
    shift = {
        name: math.sqrt(icc) * rng.standard_normal((18, 1, 3))[owner]
        + math.sqrt(1 - icc) * rng.standard_normal((32, 1, 3))
        for name in "ab"
    }
    for _ in range(seeds):
        sides = []
        for name, more in (("a", gap), ("b", 0.0)):
            moved = 1 + 0.5 * shift[name] + 0.1 * rng.standard_normal(3) + 0.3 * rng.standard_normal((32, 12, 3)) + more
            sides.append(frechet(list(zip(truth + moved, truth, strict=True)), tuple(CLIPS)))
        pairs.append(tuple(sides))
    return pairs


SETS = 300


@pytest.mark.parametrize(("seeds", "icc"), [(3, 0.0), (3, 0.9), (5, 0.5)])
def test_set_metrics_err_in_at_most_6_percent(seeds, icc):
    rng = np.random.default_rng([9, seeds, int(10 * icc)])
    means = [resampling.crossed(drawn(rng, seeds, icc), WHO) for _ in range(SETS)]
    false = np.mean([2 * min(stats.p_above(mean), stats.p_below(mean)) <= 0.05 for mean in means])
    noise = math.sqrt(0.05 * 0.95 / SETS)
    assert 0.02 - noise <= false <= 0.06 + noise
    assert resampling.crossed(drawn(rng, seeds, icc, 1.0), WHO).estimate > 0


def test_a_set_metric_knows_its_people():
    """Copies of one dialogue are no further evidence; all of a person change sides together."""
    pairs = drawn(np.random.default_rng(0), 3, 0.9)
    twice = [
        tuple(SetMetric((*m.clips, *(f"{c}'" for c in m.clips)), np.tile(m.cells, (2, 1)), m.value) for m in pair)
        for pair in pairs
    ]
    alone, known = resampling.crossed(pairs, CLIPS), resampling.crossed(twice, CLIPS * 2)
    assert known.people == 32 and known.error == pytest.approx(alone.error, rel=0.1)
    assert resampling.crossed(twice).error < 0.85 * known.error
    few = [f"p{index % 5}" for index in range(32)]
    assert math.isnan(resampling.exchange(pairs, few)) and 0 < resampling.exchange(pairs, WHO, flips=99) <= 1
    mixed = [WHO[place] for place in np.random.default_rng(1).permutation(32)]
    assert resampling.crossed(pairs, mixed).error != pytest.approx(resampling.crossed(pairs, WHO).error, rel=1e-6)


# Trainings of everything

LABELS = np.repeat(np.arange(3), 3)  # three replicates of three seeds


def replicated(rng, of_backbones=0.6):
    """Differences (9, 32) of seeds that share their backbones three by three."""
    return study(rng, 9, 0.5) + of_backbones * rng.standard_normal(3)[LABELS][:, None]


def test_seeds_that_share_backbones_are_one_training():
    rng, together, apart = np.random.default_rng(5), [], []
    for _ in range(500):
        table = people.by_person(replicated(rng), WHO)
        for found, trainings in ((together, LABELS), (apart, None)):
            mean = stats.mean_crossed(stats.nested(table, trainings))
            found.append(min(chances(GREATER, mean)) <= 0.05)
    noise = math.sqrt(0.05 * 0.95 / 500)
    assert 0.02 - noise <= np.mean(together) <= 0.06 + noise
    assert np.mean(apart) > 0.12  # nine seeds for nine trainings: what made verdicts that did not come out again


def test_the_bootstrap_draws_seeds_that_share_backbones_together():
    """Drawn apart, nine seeds of three trainings held the truth in 64 % of studies where the column says 75."""
    table = replicated(np.random.default_rng(6), of_backbones=2.0)
    level = dict(zip(((seed, clip) for seed in range(9) for clip in CLIPS), table.ravel(), strict=True))
    rows = rows_of({"a": lambda seed, clip: level[seed, clip], "b": lambda seed, clip: 0.0}, seeds=range(9))
    near = rows.assign(metric="beat_align", part="head")
    near = pd.concat([near, near.assign(part=truth_part("head"), value=-9.0)])  # nearer to the truth is less
    for own, metric, part in ((rows, "psnr", "frame"), (near, "beat_align", "head")):
        widths = []
        for trainings in ({}, dict(enumerate(LABELS))):
            boot = compare(own, metric, part, ("a", "b"), Readings(trainings=trainings)).boot
            widths.append(boot.high - boot.low)
        assert widths[1] > 1.4 * widths[0], metric


def test_a_set_metric_that_some_seed_lacks_makes_no_winner():
    """One seed of three without a value: the other two were compared, marked and bold."""
    rows = rows_of({"a": noisy(2.0), "b": noisy(1.0), "c": noisy(3.0)}, "fid_small", "frame")
    rows = rows[rows["clip"] == CLIPS[0]].assign(clip=WHOLE_SET)
    counts = rows.assign(part=count_part("frame"), value=300.0)
    for gone, status in ((False, "ok"), (True, "too_few_values")):
        here = rows.assign(value=rows["value"].where((not gone) | (rows["method"] != "b") | (rows["seed"] != 2)))
        here = pd.concat([here, counts]).assign(status=lambda own: np.where(own["value"].notna(), "ok", "not_finite"))
        claim = Claim("b", "", "fid_small", "frame", ("b", "a"), "less", "f")
        one = judge(here, [claim])[0]
        assert (one.status, one.verdict) == (status, "inconclusive" if gone else "supported")
        lone = compare(here, "fid_small", "frame", ("b", "a"), Readings())
        assert (lone.basis, lone.mean.people, lone.total) == ("seeds", 1, 1) and lone.rank.pairs == int(gone)
        assert compare(here, "fid_small", "frame", ("b", "nobody"), Readings()).basis == "seeds"
        undefined = [0, int(gone), 0]
        table = {"group": "main", "fid_small/frame_mean": [2.0, 1.0, 3.0], "fid_small/frame_undefined": undefined}
        assert ranks(pd.DataFrame(table), cards()["fid_small"], "frame", math.nan)[int(not gone)] == 1


def test_a_verdict_says_over_what_it_generalises():
    rows = rows_of({"a": noisy(2.0), "b": noisy(1.0)}, seeds=(0, 1, 100, 101, 200, 201))
    given = judge(rows, [GREATER])[0]
    assert given.about == "other people and dialogues; other seeds, given these backbones" and given.seeds == 6
    anew = judge(rows, [GREATER], Readings(trainings={seed: seed // 100 for seed in rows["seed"].unique()}))[0]
    assert anew.about == "other people and dialogues; trainings of everything anew" and anew.seeds == 3
    assert anew.estimate == pytest.approx(given.estimate)


def test_replicates_are_told_by_their_folders(tmp_path):
    first, second = ([tmp_path / f"a/seed{k}.csv" for k in seeds] for seeds in ((0, 1), (100, 101)))
    assert trainings_of([first, second], False) == {0: 0, 1: 0, 100: 1, 101: 1}
    assert trainings_of([first], True) == {0: 0, 1: 1}
    with pytest.raises(DataError, match="two replicates have seed 0"):
        trainings_of([first, first], False)


def test_intervals_for_another_replicate_hold_it_in_93_to_98_percent():
    rng, runs = np.random.default_rng(7), []
    cells = pd.MultiIndex.from_product([[f"m{k}" for k in range(40)], ["psnr"], [f"p{k}" for k in range(25)]])
    for _ in range(4):
        values = (rng.standard_normal(1000)[:, None] + 0.3 * rng.standard_normal((1000, 3))).ravel()
        index = [(*cell, seed) for cell in cells for seed in range(3)]
        runs.append(pd.DataFrame(index, columns=["method", "metric", "part", "seed"]).assign(value=values))
    found = held(runs)
    assert len(found) == 4000 and 0.93 <= found["inside"].mean() <= 0.98
    shifted = [*runs[:3], runs[3].assign(value=runs[3]["value"] + 20)]
    left = held(shifted)
    assert not left[left["replicate"] == 3]["inside"].any()


# Missing values


def rows_of(values, metric="psnr", part="frame", seeds=(0, 1, 2)):
    """Tidy rows from method -> function of (seed, clip)."""
    lines = [
        (method, seed, clip, metric, part, of(seed, clip))
        for method, of in values.items()
        for seed in seeds
        for clip in CLIPS
    ]
    rows = pd.DataFrame(lines, columns=["method", "seed", "clip", "metric", "part", "value"])
    status = np.where(rows["value"].notna(), "ok", "constant_series")
    return rows.assign(status=status, dataset="d", split="test")


def noisy(level, missing=()):
    return lambda seed, clip: (
        math.nan
        if clip in missing
        else level + 0.01 * np.random.default_rng([seed, int(clip[1:]), int(8 * level)]).standard_normal()
    )


def test_one_dialogue_supports_nothing():
    """A method without values in 11 of 12 dialogues was 'supported' with p = 0.0014."""
    rows = rows_of({"a": noisy(2.0), "b": noisy(1.0, CLIPS[1:])})
    rows = rows[rows["clip"].isin(CLIPS[:12])]
    found = judge(rows, [GREATER])[0]
    assert (found.verdict, found.status) == ("inconclusive", "too_few_pairs") and math.isnan(found.p)


def test_a_seed_that_failed_whole_is_missing_and_one_that_was_not_run_is_not():
    """One rule for table and claim: a method without any value of one seed was 'supported' over the other two."""
    rows = rows_of({"a": noisy(2.0), "b": noisy(1.0)})
    failed = rows.assign(value=rows["value"].where((rows["method"] != "a") | (rows["seed"] != 2)))
    one = judge(failed, [GREATER])[0]
    assert (one.verdict, one.seeds, one.dropped) == ("inconclusive", 3, 32)
    assert people.lacking(failed, "psnr", "frame")["a"] == 1
    fewer = judge(failed[failed["value"].notna()], [GREATER])[0]
    assert (fewer.verdict, fewer.seeds, fewer.dropped) == ("supported", 2, 0)


@pytest.mark.parametrize(("gone", "status"), [(3, "ok"), (4, "too_few_values"), (28, "too_few_pairs")])
def test_more_than_a_tenth_missing_is_no_verdict_no_rank_and_no_bold(gone, status):
    """All by one rule: of the 32 dialogues that some row has, 29 are enough and 28 are not."""
    rows = rows_of({"a": noisy(2.0, CLIPS[:gone]), "b": noisy(1.0), "c": noisy(0.5)})
    assert compare(rows, "psnr", "frame", ("a", "b"), Readings(), resample=False).mean.status == status
    assert judge(rows, [GREATER])[0].verdict == ("supported" if status == "ok" else "inconclusive")
    table = rank_table(rows, ["a", "b", "c"], [(cards()["psnr"], "frame")]).set_index("method")
    assert (table.loc["a", "status"] == "ok") == (status == "ok")
    assert table.loc["c", "status"] == ("ok" if status == "ok" else "too_few_methods")
    lack = people.lacking(rows, "psnr", "frame")
    assert lack["a"] == pytest.approx(gone / 32) and lack["b"] == 0
    name = "psnr/frame"
    printed = pd.DataFrame(
        {"group": "main", f"{name}_mean": [2.0, 1.0, 0.5], f"{name}_lacking": [lack[m] for m in "abc"]}
    )
    assert ranks(printed, cards()["psnr"], "frame", math.nan)[0 if status == "ok" else 1] == 1


def test_a_method_without_any_value_lacks_all():
    assert compare(rows_of({"a": noisy(1.0)}), "psnr", "frame", ("a", "nobody"), Readings()).basis == "clips"
    rows = rows_of({"a": noisy(2.0, CLIPS), "b": noisy(1.0)})
    assert people.lacking(rows, "psnr", "frame").to_dict() == {"a": 1.0, "b": 0.0}


def test_what_no_row_has_is_nobodys_fault():
    """Dialogues without speech have no value of anyone; they are not missing."""
    silent = CLIPS[:10]
    rows = rows_of({"a": noisy(2.0, silent), "b": noisy(1.0, silent)})
    found = compare(rows, "psnr", "frame", ("a", "b"), Readings())
    assert (found.mean.status, found.dialogues, found.total) == ("ok", 22, 22)
    assert not people.lacking(rows, "psnr", "frame").any()


def test_few_people_are_too_few_however_many_their_dialogues():
    rows = rows_of({"a": noisy(2.0), "b": noisy(1.0)})
    for number, status in ((5, "too_few_pairs"), (6, "ok")):
        subjects = {clip: f"p{index % number}" for index, clip in enumerate(CLIPS)}
        found = compare(rows, "psnr", "frame", ("a", "b"), Readings(subjects=subjects))
        assert (found.mean.status, found.mean.people) == (status, number)
        assert found.boot.status == status


def test_identities_reach_every_statistic_of_a_comparison():
    """Dialogues of one person are equal here: as many people as dialogues would halve every interval."""
    level = {clip: np.random.default_rng(index % 8).standard_normal() for index, clip in enumerate(CLIPS)}
    rows = rows_of({"a": lambda seed, clip: 0.3 + level[clip] + 0.01 * seed, "b": lambda seed, clip: 0.0})
    subjects = {clip: f"p{index % 8}" for index, clip in enumerate(CLIPS)}
    alone, known = (compare(rows, "psnr", "frame", ("a", "b"), Readings(subjects=s)) for s in ({}, subjects))
    assert known.mean.estimate == pytest.approx(alone.mean.estimate) and known.mean.people == known.rank.pairs == 8
    assert known.mean.error > 1.5 * alone.mean.error
    assert known.boot.high - known.boot.low > 1.5 * (alone.boot.high - alone.boot.low)
    for name in ("wilcoxon_p", "flip_p"):
        assert getattr(known.rank, name) > getattr(alone.rank, name)
    mixed = {CLIPS[place]: f"p{index % 8}" for index, place in enumerate(np.random.default_rng(2).permutation(32))}
    assert compare(rows, "psnr", "frame", ("a", "b"), Readings(subjects=mixed)).mean.error < known.mean.error
    columns = [(cards()["psnr"], "frame")]
    third = pd.concat([rows, rows[rows["method"] == "b"].assign(method="c", value=0.5)])
    assert set(rank_table(third, ["a", "b", "c"], columns, subjects)["blocks"]) == {8}


# rPCC


def coupled(rng, frames=100, gain=0.6):
    user = np.cumsum(rng.standard_normal((frames, 3)), 0) * 0.1
    return gain * user + 0.1 * np.cumsum(rng.standard_normal((frames, 3)), 0), user


def test_standing_still_does_not_pay():
    """A wrong motion that stands still in its worst half came out ahead of the same motion moving."""
    rng, gaps = np.random.default_rng(0), []
    for _ in range(32):
        true, user = coupled(rng)
        gaps.append((true, user, -user + 0.1 * rng.standard_normal(user.shape)))
    moving = [rpcc.rpcc(wrong, true, user) for true, user, wrong in gaps]
    worst = np.argsort(moving)[16:]
    half = list(moving)
    for index in worst:
        true, user, wrong = gaps[index]
        half[index] = rpcc.rpcc(np.repeat(wrong[:1], len(wrong), 0), true, user)
    assert np.isfinite(half).all() and np.mean(half) > np.mean(moving)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sets(st.integers(0, 2)), st.booleans())
def test_no_still_dimension_lowers_an_rpcc(seed, still, whole):
    rng = np.random.default_rng(seed)
    true, user = coupled(rng, 40, rng.uniform(-1, 1))
    generated = np.cumsum(rng.standard_normal(true.shape), 0)
    stiller = generated.copy()
    stiller[:, sorted(still)] = stiller[0, sorted(still)]
    assert rpcc.rpcc(stiller, true, user) >= rpcc.rpcc(generated, true, user) - 1e-12


# One estimand


def test_bold_mark_and_verdict_are_about_one_number():
    """b's mean lies on the truth though no dialogue does: bold and verdict agree that it is nearer than a."""
    part, truth = "expression", 0.5
    own = {
        "a": lambda seed, clip: 0.6 + 0.001 * int(clip[1:]) * (1 + 0.1 * seed),
        "b": lambda seed, clip: truth + 0.3 * (-1) ** int(clip[1:]) + 0.001 * seed + 1e-4 * int(clip[1:]),
    }
    rows = rows_of(own, "var", part)
    rows = pd.concat([rows, rows.assign(part=f"{part}_truth", value=truth)])
    claim = Claim("b is nearer.", "", "var", part, ("b", "a"), "less", "f")
    found = judge(rows, [claim])[0]
    per_seed = [
        abs(np.mean([own["b"](s, c) for c in CLIPS]) - truth) - abs(np.mean([own["a"](s, c) for c in CLIPS]) - truth)
        for s in range(3)
    ]
    assert found.estimate == pytest.approx(np.mean(per_seed)) and found.estimate < 0
    name = f"var/{part}"
    distances = {m: np.mean([abs(np.mean([own[m](s, c) for c in CLIPS]) - truth) for s in range(3)]) for m in "ab"}
    table = pd.DataFrame(
        {"group": "main", f"{name}_mean": [0.62, 0.5], f"{name}_distance": [distances["a"], distances["b"]]}
    )
    assert ranks(table, cards()["var"], part, truth) == {1: 1, 0: 2}


@pytest.mark.parametrize(
    ("means", "distances", "best"),
    [
        # What a reader sees is 4.25, 4.24, 4.24, 4.23 beside 4.29.
        ([4.2474, 4.2449, 4.2351, 4.2301], None, {0: 1, 1: 2, 2: 2}),
        ([4.33, 4.25, 4.21], None, {0: 1, 1: 1, 2: 2}),  # both 0.04 away, on either side
        # Seeds that miss on both sides: the mean alone would be the nearest.
        ([4.29, 4.25, 4.20], [0.2, 0.04, 0.09], {1: 1, 2: 2}),
        # A truth of its own, and printed as another row is.
        ([4.24, 4.2399, 4.20], [0.02, 0.0501, 0.09], {0: 1, 1: 1, 2: 2}),
    ],
)
def test_rows_that_print_alike_are_marked_alike(means, distances, best):
    truth, name = 4.2926, "sid/pose"
    distances = distances or [abs(mean - truth) for mean in means]
    table = pd.DataFrame({"group": "main", f"{name}_mean": means, f"{name}_distance": distances})
    assert ranks(table, cards()["sid"], "pose", truth) == best


@pytest.mark.parametrize(
    ("given", "about"), [("ab", "given these outputs"), ("a", "other seeds, given these backbones")]
)
def test_a_metric_without_sums_says_whether_outputs_are_given(given, about):
    rows = rows_of({method: lambda *_, level=level: level for method, level in (("a", 0.2), ("b", 0.1))}, "rdgg", "all")
    rows = rows[rows["clip"] == CLIPS[0]].assign(clip=WHOLE_SET)
    rows = pd.concat([rows, rows.assign(part="all_truth", value=0.3)])
    found = compare(rows, "rdgg", "all", ("a", "b"), Readings(given=frozenset(given)), resample=False)
    assert (found.basis, found.about) == ("seeds", f"this test set alone; {about}")
