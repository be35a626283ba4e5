"""Claims: verdicts on planted studies, and what is missing is said."""

import math
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from readings_file import readings, write_readings
from study_rows import constant, write_result

from analysis.claims import Claim, as_table, chances, decide, judge, read_claims
from analysis.comparisons import compare_rows, note
from analysis.controls_check import NEAREST, check_controls, control_name, counts
from analysis.pairing import are_level, values_of
from analysis.stats import Mean
from analysis.summary import seed_values, summarise
from dyads.errors import ConfigError, DataError
from evaluation.readings.by_row import Readings, readings_of
from evaluation.registry import cards
from evaluation.rows import read_rows, result_files
from reporting.claims import main, shown, shown_tex

ROOT = Path(__file__).resolve().parents[2]
PAPER = ROOT / "workflow/claims.yaml"
CLIPS = tuple(f"d{index:02d}" for index in range(12))
GREATER = Claim(
    "A moves lips better than B.", "a test", "mouth_opening_correlation", "speech", ("a", "b"), "greater", "f"
)
EQUAL = replace(GREATER, kind="equivalent", margin=0.05)


def planted(folder, method, level, seeds=(0, 1, 2), failed=(), per_seed=0.0):
    """Result files with every value near `level`; `failed` clips have no value; seeds differ by `per_seed`."""
    for seed in seeds:
        rng = np.random.default_rng([seed, *method.encode()])

        def value(metric, part, clip, rng=rng, seed=seed):
            if clip in failed:
                return "no_speech"
            return 0.5 if part.endswith("_truth") else level + per_seed * seed + 0.01 * rng.standard_normal()

        write_result(folder, method, seed, value, CLIPS)
    return folder


def found(folder, *claims):
    return judge(read_rows(result_files([folder])), list(claims))


def test_planted_differences_get_their_verdicts(tmp_path):
    planted(tmp_path, "a", 0.8), planted(tmp_path, "b", 0.6), planted(tmp_path, "c", 0.8)
    equal = replace(EQUAL, methods=("a", "c"))
    claims = [
        GREATER,
        replace(GREATER, methods=("b", "a")),
        replace(GREATER, kind="less"),
        replace(GREATER, margin=0.5),
        replace(GREATER, methods=("a", "c")),
        replace(GREATER, methods=("a", "c"), margin=-0.05),
        equal,
        EQUAL,
        replace(GREATER, metric="psnr", part="frame"),
    ]
    verdicts = [finding.verdict for finding in found(tmp_path, *claims)]
    assert verdicts == [
        "supported", "contradicted", "contradicted", "contradicted", "inconclusive", "supported", "supported",
        "contradicted", "supported",
    ]  # fmt: skip
    one = found(tmp_path, GREATER)[0]
    assert (one.status, one.pairs, one.dialogues, one.seeds, one.dropped) == ("ok", 36, 12, 3, 0)
    assert one.low < one.estimate < one.high and one.estimate == pytest.approx(0.2, abs=0.01)
    assert one.hodges_lehmann == pytest.approx(one.estimate, abs=0.01) and one.rank_biserial == 1
    assert one.bootstrap_low < 0.2 < one.bootstrap_high and 0 < one.detectable < 0.05
    assert one.wilcoxon_p < 0.01 and one.permutation_p < 0.01 and one.p == one.p_holm


def test_nearer_to_the_truth_is_a_smaller_distance(tmp_path):
    planted(tmp_path, "a", 0.6), planted(tmp_path, "b", 0.2)  # the truth is 0.5
    nearer = replace(GREATER, metric="var", part="expression", kind="less")
    one = found(tmp_path, nearer)[0]
    assert one.verdict == "supported" and one.estimate == pytest.approx(0.1 - 0.3, abs=0.01)


def test_a_value_of_the_whole_set_is_tested_over_seeds(tmp_path):
    planted(tmp_path, "a", 0.2), planted(tmp_path, "b", 0.9)
    fid = replace(GREATER, metric="fid_small", part="frame", kind="less")
    pooled = replace(GREATER, metric="expression_correlation", part="all", kind="less")
    for one in found(tmp_path, fid, pooled):
        assert (one.verdict, one.people, one.dialogues, one.seeds) == ("supported", 1, 1, 3)
        assert math.isnan(one.wilcoxon_p) and math.isnan(one.bootstrap_low)


def test_what_is_missing_is_said(tmp_path):
    planted(tmp_path, "a", 0.8, failed=CLIPS[:1]), planted(tmp_path, "b", 0.6)
    planted(tmp_path, "mute", 0.8, failed=CLIPS), planted(tmp_path, "later", 0.6, seeds=(7,))
    planted(tmp_path, "short", 0.6, seeds=(0,))
    named = [replace(GREATER, methods=("a", other)) for other in ("b", "nobody", "mute", "later", "short")]
    findings = found(tmp_path, *named)
    said = [(one.verdict, one.status) for one in findings]
    assert said == [
        ("supported", "ok"),
        ("not_measured", "not_run: nobody"),
        ("not_measured", "no_speech: mute"),
        ("not_measured", "no_common_pairs"),
        ("inconclusive", "one_seed"),
    ]
    assert findings[0].dialogues == 11 and findings[0].dropped == 1
    assert findings[0].p_holm == pytest.approx(5 * findings[0].p)  # what was not tested counts in the family
    assert all(math.isnan(value) for one in findings[1:4] for value in (one.estimate, one.low, one.p, one.detectable))
    text = shown(as_table(named, findings))
    assert (
        "not measured: no rows of nobody in this profile" in text and "11 people (11 dialogues) × 3, 1 left out" in text
    )
    assert "one training cannot say how far another would differ" in text and "nan" not in text
    assert [one.missing for one in findings][1:3] == [
        "no rows of nobody in this profile",
        "mouth_opening_correlation has no value for mute: the avatar does not speak long enough in this clip",
    ]
    lines = shown_tex(as_table(named, findings))
    assert r"\toprule" in lines and r"\textbf{not measured}" in lines and "nan" not in lines


def test_readings_bring_the_dialogues_into_a_set_metric(tmp_path):
    """FID of equal values per seed has no spread over seeds, but its dialogues have one; identities go together."""
    for method, shift in (("a", 0.0), ("b", 1.0)):
        for seed in range(3):
            path = write_result(tmp_path, method, seed, constant(1.0 + shift), CLIPS)
            clips = readings(np.random.default_rng([seed, ord(method)]), 12, shift=shift)
            clips = dict(zip(CLIPS, clips.values(), strict=True))
            write_readings(path.with_suffix(".features.safetensors"), clips, method, seed)
    fid = replace(GREATER, metric="fid_small", part="frame", kind="less")
    alone = found(tmp_path, fid)[0]
    assert (alone.basis, alone.status, alone.people) == ("seeds", "no_spread", 1)
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("dyad_id,role,subject_id\n" + "".join(f"{c},avatar,p{i // 2}\n" for i, c in enumerate(CLIPS)))
    files = result_files([tmp_path])
    one = judge(read_rows(files), [fid], readings_of(files, manifest))[0]
    assert (one.basis, one.status, one.verdict) == ("set", "ok", "supported")
    assert (one.people, one.dialogues, one.seeds) == (6, 12, 3)
    assert one.estimate < 0 and one.permutation_p < 0.05 and one.bootstrap_low < one.estimate < one.bootstrap_high
    with pytest.raises(DataError, match="is no manifest"):
        readings_of(files, tmp_path / "none.csv")


def test_a_claim_of_one_state_is_judged_on_its_frames(tmp_path):
    """a is nearer to the truth while it listens, b while it talks; over all frames neither is."""
    for method, quiet in (("a", 0.1), ("b", 1.0)):
        for seed in range(3):
            path = write_result(tmp_path, method, seed, constant(0.5), CLIPS)
            rng = np.random.default_rng([seed, ord(method)])
            clips = dict(zip(CLIPS, readings(rng, 12).values(), strict=True))
            for clip in clips.values():
                talks = clip["speaking"].astype(bool)[:, None]
                noise = rng.standard_normal(clip["true"].shape) * np.where(talks, 1.1 - quiet, quiet)
                clip["generated"] = (clip["true"] + noise).astype(np.float32)
            write_readings(path.with_suffix(".features.safetensors"), clips, method, seed)
    error = replace(GREATER, metric="motion_mse", part="expression", kind="less")
    distance = replace(error, metric="motion_fd_pooled")
    states = ("", "listening", "talking")
    claims = [replace(c, state=state, family=f"{c.metric} {state}") for c in (error, distance) for state in states]
    files = result_files([tmp_path])
    findings = judge(read_rows(files), claims, readings_of(files))
    assert [one.verdict for one in findings][1:3] == [one.verdict for one in findings][4:] == [
        "supported", "contradicted",
    ]  # fmt: skip
    assert [one.basis for one in findings][1:3] == ["clips"] * 2 and {one.basis for one in findings[4:]} == {"set"}
    assert findings[0].status == "all_zero"  # the rows as they were written
    text = shown(as_table(claims, findings))
    assert "motion_mse/expression, listening: a < b" in text and "motion_mse/expression: a < b" in text
    silent = judge(read_rows(files), claims[1:2])[0]
    assert (silent.verdict, silent.status) == ("not_measured", "no_readings: a")
    assert "no readings were kept of a" in silent.missing


@pytest.mark.parametrize(
    ("random_clip", "vae", "broken"),
    [
        (300.0, 50.0, ""),
        (52.0, 50.0, "oracle_expression below random_training_clip, window"),  # what its card says it cannot order
        (300.0, 950.0, "vae_round_trip below frozen_reference, window"),  # what it promises
    ],
)
def test_a_metric_that_does_not_order_the_controls_is_no_evidence(random_clip, vae, broken):
    controls = {"truth": 0.0, "oracle": 200.0, "mirror": 310.0, "frozen": 900.0}
    values = {"a": 500.0, "b": 600.0, **controls, "random_clip": random_clip, "vae": vae}
    lines = [
        (method, seed, "*", "fvd_small", part, level + seed * (method == "a") if part == "window" else 300.0)
        for method, level in values.items()
        for seed in range(3)
        for part in ("window", "window_count")
    ]
    rows = pd.DataFrame(lines, columns=["method", "seed", "clip", "metric", "part", "value"]).assign(status="ok")
    claim = replace(GREATER, metric="fvd_small", part="window", kind="less")
    one = judge(rows, [claim])[0]
    verdict = ("not_measured", f"controls: {broken}") if broken else ("supported", "ok")
    assert (one.verdict, one.status) == verdict
    assert math.isnan(one.p) == bool(broken) and ("it is no evidence" in one.missing) == bool(broken)


@pytest.mark.parametrize(
    ("shift", "spread", "people", "judged"),
    [
        (0.002, 0.01, 18, True),  # an autoencoder that keeps what the metric sees
        (0.02, 0.01, 18, False),  # people tell that it is ahead of the truth
        (0.002, 0.01, 5, False),  # too few people to tell
    ],
)
def test_an_autoencoder_may_be_level_with_the_truth(shift, spread, people, judged):
    rng, lines = np.random.default_rng(3), []
    levels = {
        "truth": 0.5,
        "vae": 0.5 - shift,
        "frozen": 0.64,
        "shuffled": 0.63,
        "time_shifted": 0.6,
        "a": 0.5,
        "b": 0.55,
    }
    for method, value in levels.items():
        for seed in range(3 if method in "ab" else 1):
            for clip, noise in enumerate(rng.permutation(np.linspace(-spread, spread, people))):
                lines.append(
                    (
                        method,
                        seed,
                        f"c{clip}",
                        "lse_d_small",
                        "speech",
                        value + noise + 1e-3 * seed * (method == "a"),
                        "ok",
                    )
                )
    rows = pd.DataFrame(lines, columns=["method", "seed", "clip", "metric", "part", "value", "status"])
    one = judge(rows, [replace(GREATER, metric="lse_d_small", part="speech", kind="less")])[0]
    broken = "controls: ground_truth below vae_round_trip, speech"
    assert (one.verdict, one.status) == (("supported", "ok") if judged else ("not_measured", broken))
    names = {method: control_name(method) for method in levels}
    table = check_controls(summarise(seed_values(rows)), names, partial(are_level, rows, Readings()))
    line = table.set_index(["metric", "part", "better", "worse"]).loc[("lse_d_small", "speech", *NEAREST)]
    assert line["verdict"] == ("level" if judged else "violated")
    assert ("1 level, 0 violated" if judged else "1 violated") in counts(table)
    worse = rows.assign(value=rows["value"].where(rows["method"] != "frozen", 0.45))  # another order stays asked for
    one = judge(worse, [replace(GREATER, metric="lse_d_small", part="speech", kind="less")])[0]
    assert one.status == ("controls: vae_round_trip below frozen_reference, speech" if judged else broken)


def test_a_lucky_seed_does_not_support_a_claim(tmp_path):
    """Every one of 36 pairs favours a, yet its seeds differ too much to speak of other trainings."""
    planted(tmp_path, "a", 0.65, per_seed=0.3), planted(tmp_path, "b", 0.6)
    one = found(tmp_path, GREATER)[0]
    assert one.wilcoxon_p < 0.001 and one.verdict == "inconclusive"


def test_holm_counts_a_family(tmp_path):
    means = [Mean(3, 9, "ok", 0.25, 0.1, 20.0), Mean(3, 9, "ok", 0.0, 0.1, 20.0), Mean(3, 9, "ok", 0.25, 0.1, 20.0)]
    apart = decide([replace(GREATER, family=name) for name in "xyz"], means)
    together = decide([GREATER] * 3, means)
    assert [verdict for verdict, _, _ in apart] == ["supported", "inconclusive", "supported"]
    assert [verdict for verdict, _, _ in together] == ["inconclusive"] * 3
    assert together[0][2] == pytest.approx(3 * apart[0][1])


means = st.builds(Mean, st.just(3), st.just(9), st.just("ok"), st.floats(-2, 2), st.floats(0.01, 2), st.floats(1, 50))


@settings(max_examples=60, deadline=None)
@given(means, st.floats(-1, 1))
def test_exchanging_the_methods_turns_greater_into_less(mean, margin):
    greater, less = replace(GREATER, margin=margin), replace(GREATER, kind="less", margin=margin)
    assert chances(greater, mean) == pytest.approx(chances(less, replace(mean, estimate=-mean.estimate)))
    assert all(0 <= p <= 1 for p in chances(greater, mean))


@settings(max_examples=60, deadline=None)
@given(means, st.floats(0.01, 1))
def test_an_equivalence_is_never_both_supported_and_contradicted(mean, margin):
    support, against = chances(replace(EQUAL, margin=margin), mean)
    assert max(support, against) > 0.05
    assert (support, against) == pytest.approx(
        chances(replace(EQUAL, margin=margin), replace(mean, estimate=-mean.estimate))
    )


def test_lips_under_exchange_are_seen_by_their_change_and_not_by_correlation(tmp_path):
    """Equal mouth correlations passed for independence while lips moved by 0.42 standard deviations."""
    moves = {"other_user": 0.5, "entangled_other_user": 0.2, "lips_other_expression": 0.05}
    of = {"other_user": "echo", "entangled_other_user": "no_sdcm", "lips_other_expression": "truth"}
    for seed in range(3):
        base = dict(zip(CLIPS, readings(np.random.default_rng(seed), 12).values(), strict=True))
        spread = np.concatenate([clip["true"][clip["speaking"].astype(bool)] for clip in base.values()]).std(0)
        for row in {*moves, *of.values()}:
            if row in ("truth", "lips_other_expression") and seed:
                continue
            rng = np.random.default_rng([seed, len(row)])
            clips = {}
            for name, clip in base.items():
                noise = rng.standard_normal(clip["generated"].shape) * spread
                clips[name] = clip | {"generated": (clip["generated"] + moves.get(row, 0) * noise).astype(np.float32)}
            path = write_result(tmp_path, row, seed, constant(0.5), CLIPS)
            write_readings(path.with_suffix(".features.safetensors"), clips, row, seed)
    rows = ("other_user", "entangled_other_user")
    swap = Claim("t", "s", "swap_change", "lips", rows, "less", "f", of=tuple(of[row] for row in rows))
    files = result_files([tmp_path])
    claims = [
        swap,
        replace(swap, methods=swap.methods[::-1], of=swap.of[::-1]),
        replace(swap, methods=("other_user", "lips_other_expression"), of=("echo", "truth")),
        replace(swap, methods=("other_user", "nobody"), of=("echo", "truth")),
    ]
    found = judge(read_rows(files), claims, readings_of(files))
    assert [one.verdict for one in found] == ["contradicted", "supported", "contradicted", "not_measured"]
    assert found[0].estimate == pytest.approx(0.3, abs=0.02) and found[0].seeds == found[2].seeds == 3
    assert found[3].status == "not_run: nobody"
    # A trained row that has one seed so far is no control: one training would count for three.
    half = [path for path in files if path.parent.name not in rows[:1] or path.stem == "seed0"]
    for fixed, seeds in (([], 3), (["lips_other_expression"], 1)):
        one, other = judge(read_rows(files), claims[:3:2], readings_of(half, given=fixed))
        assert one.seeds == seeds and other.seeds == 1
    assert judge(read_rows(files), claims[2:3], readings_of(files, given=["lips_other_expression"]))[0].seeds == 3


def test_from_the_command_line_twice_the_same_files(tmp_path, capsys):
    for method in ("echo", "no_lcu"):
        planted(tmp_path / "metrics", method, 0.8 if method == "echo" else 0.3)
    for out in ("one", "two"):
        main(["--metrics", str(tmp_path / "metrics"), "--claims", str(PAPER), "--out", str(tmp_path / out)])
    assert "supported" in capsys.readouterr().out
    for name in ("claims.csv", "claims.md", "claims.tex"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    table, known = pd.read_csv(tmp_path / "one/claims.csv"), read_claims(PAPER)
    assert list(table["text"]) == [claim.text for claim in known]
    text = (tmp_path / "one/claims.md").read_text()
    assert all(claim.text in text for claim in known) and "## LCU, reactiveness" in text
    measured = table["worse"] == "no_lcu"
    assert (table[~measured]["verdict"] == "not_measured").all() and (table[measured]["status"] == "ok").all()


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"metric": "beauty"}, "unknown"),
        ({"part": "toes"}, "no part 'toes'"),
        ({"methods": ["a", "a"]}, "twice"),
        ({"methods": ["a"]}, "needs 2"),
        ({"kind": "better"}, "one of"),
        ({"kind": "equivalent"}, "above 0"),
        ({"margin": math.inf}, "finite"),
        ({"colour": "red"}, "unknown option 'colour'"),
        ({"of": ["a", "b"]}, "needs two, and nothing else has any"),
        ({"metric": "swap_change", "part": "lips"}, "of names 0 rows"),
    ],
)
def test_a_wrong_claim_is_named(tmp_path, entry, message):
    known = {"text": "t", "source": "s", "metric": "psnr", "part": "frame", "methods": ["a", "b"], "kind": "greater"}
    path = tmp_path / "claims.yaml"
    path.write_text(yaml.safe_dump({"claims": [known | {"family": "f"}, known | {"family": "f"} | entry]}))
    with pytest.raises(ConfigError, match=r"claims\[1\]") as error:
        read_claims(path)
    assert message in str(error.value)


def test_files_that_do_not_fit_give_one_sentence(tmp_path):
    path = tmp_path / "claims.yaml"
    for text in ("claims: [", "claims: []", "- 1", ""):
        path.write_text(text)
        with pytest.raises(ConfigError, match="claims"):
            read_claims(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_claims(tmp_path / "none.yaml")
    arguments = ["--claims", str(PAPER), "--out", str(tmp_path / "out")]
    with pytest.raises(ConfigError, match="does not exist"):
        main(["--metrics", str(tmp_path / "nowhere"), *arguments])
    with pytest.raises(DataError, match="measure first"):
        main(["--metrics", str(tmp_path), *arguments])
    planted(tmp_path / "metrics", "a", 0.8)
    (tmp_path / "empty").mkdir()
    for name, said in (("nowhere", "does not exist"), ("empty", "holds no")):
        with pytest.raises((ConfigError, DataError), match=rf"^--replicates \S*{name} {said}"):
            main(["--metrics", str(tmp_path / "metrics"), "--replicates", str(tmp_path / name), *arguments])
    broken = tmp_path / "broken.csv"
    broken.write_text("a\nb\nc,d\n")
    for path in (broken, tmp_path / "nowhere.csv"):
        with pytest.raises(DataError, match=r"is no manifest \([^\[\n]*\); name") as error:
            main(["--metrics", str(tmp_path / "metrics"), "--manifest", str(path), *arguments])
    with pytest.raises(DataError, match="is not a result file") as error:
        main(["--metrics", str(broken), *arguments])
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_pairs_are_aligned_by_seed_and_clip():
    cells = [("a", 0, "x", 5.0), ("a", 1, "x", 6.0), ("a", 0, "y", 7.0), ("b", 1, "x", 1.0), ("b", 0, "y", 3.0)]
    rows = pd.DataFrame(cells, columns=["method", "seed", "clip", "value"])
    rows = rows.assign(metric="mouth_opening_correlation", part="speech", status="ok")
    (a, b), status = values_of(rows, GREATER.part, GREATER.methods)
    table = a - b
    assert status == "ok" and list(table.columns) == ["x", "y"]
    assert np.array_equal(table.to_numpy(float), [[math.nan, 4], [5, math.nan]], equal_nan=True)


def test_of_given_outputs_people_are_the_sample(tmp_path):
    """One output of each row: Student's t over people, by clips, by sets and by distances to the truth."""
    draw = np.random.default_rng(0)
    people = {clip: f"p{i // 2}" for i, clip in enumerate(CLIPS)}
    noise = {clip: draw.normal() for clip in CLIPS}
    for method, level in (("a", 2.0), ("b", 0.0), ("trained", 1.0)):
        for seed in range(3 if method == "trained" else 1):
            values = {clip: level + 0.3 * noise[clip] + 0.1 * draw.normal() for clip in CLIPS}
            path = write_result(tmp_path, method, seed, lambda m, part, clip, v=values: v.get(clip, 1.0), CLIPS)
            clips = dict(zip(CLIPS, readings(draw, 12, shift=level).values(), strict=True))
            write_readings(path.with_suffix(".features.safetensors"), clips, method, seed)
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("dyad_id,role,subject_id\n" + "".join(f"{c},avatar,{p}\n" for c, p in people.items()))
    files = result_files([tmp_path])
    rows = read_rows(files)
    claims = [
        replace(GREATER, methods=("a", "b")),
        replace(GREATER, methods=("a", "b"), metric="fid_small", part="frame", family="sets"),
        replace(GREATER, methods=("a", "trained"), family="trained"),
    ]
    alone = judge(rows, claims[:1], readings_of(files, manifest))[0]
    assert (alone.verdict, alone.status) == ("inconclusive", "one_seed")
    clip, of_set, mixed = judge(rows, claims, readings_of(files, manifest, given=["a", "b"]))
    own = rows[(rows["metric"] == GREATER.metric) & (rows["part"] == GREATER.part) & rows["clip"].isin(CLIPS)]
    wide = own[own["seed"] == 0].pivot(index="clip", columns="method", values="value")
    differences = (wide["a"] - wide["b"]).groupby(people).mean()
    wanted = scipy.stats.ttest_1samp(differences, 0)
    low, high = wanted.confidence_interval(0.95)
    assert (clip.status, clip.verdict, clip.people, clip.seeds) == ("ok", "supported", 6, 1)
    assert (clip.estimate, clip.low, clip.high) == pytest.approx((differences.mean(), low, high))
    assert clip.p == pytest.approx(wanted.pvalue) and clip.bootstrap_low > 0
    assert clip.about == of_set.about == "other people and dialogues; given these outputs"
    assert (of_set.basis, of_set.status, of_set.people) == ("set", "ok", 6) and of_set.low < of_set.estimate
    assert (mixed.status, mixed.seeds, mixed.verdict) == ("ok", 3, "supported")  # beside each seed of the trained one
    assert "given these backbones" in mixed.about
    table = compare_rows(
        rows[rows["method"] != "trained"], "b", ["a"], [(cards()[GREATER.metric], GREATER.part)],
        readings_of(files, manifest, given=["a", "b"]), ["a", "b"],
    )  # fmt: skip
    assert table["status"].tolist() == ["ok"] and "people (with all their dialogues) as the sample" in note(table, "B")
