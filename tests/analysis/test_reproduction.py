"""Whether another run reproduces a study: simulated runs, the committed references, and one from another processor."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.diff.__main__ import main
from analysis.diff.reproduction import movement, read_values, reproduction
from analysis.diff.verdicts import changed, of_seeds
from dyads.errors import ConfigError, DataError

ROOT = Path(__file__).resolve().parents[2]
EARLIER = ROOT / "results/reference/default_b3a32c1"
EXCERPT = Path(__file__).with_name("other_processor.csv")  # that study with everything trained anew
REFERENCES = ("default", "default_746b97e", "default_b3a32c1")
STUDY = ROOT / "results/reference/default_746b97e"
OTHER = ROOT / "results/reference/default_746b97e_avx2"  # seed 0 trained on AVX2 alone, the same backbones and readers
WHOLE = Path(os.environ.get("STUDY_AVX2", ROOT.parent / "shared/study_avx2"))


def run(seed, shift=0.0, methods=8, metrics=6, seeds=3):
    """Values of a run: trainings share their luck over a row's metrics; `shift`, in standard deviations, moves all."""
    rng, lines = np.random.default_rng(seed), []
    for method in range(methods):
        luck = rng.standard_normal(seeds)
        for metric in range(metrics):
            for k in range(seeds):
                value = method + 0.7 * luck[k] + 0.7 * rng.standard_normal() + shift
                lines.append((f"m{method}", k, f"metric{metric}", "all", value))
    return pd.DataFrame(lines, columns=["method", "seed", "metric", "part", "value"])


def test_movement_is_students_t():
    import scipy.stats

    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 5, 3))
    x[0, 2] = np.nan
    moved, p = movement(x, y)
    for row in range(5):
        known = scipy.stats.ttest_ind(x[row], y[row], nan_policy="omit")
        assert (moved[row], p[row]) == pytest.approx((abs(known.statistic), known.pvalue))
    alone, p_alone = movement(x, y[:, :1])  # one seed against the other side's spread
    one = scipy.stats.ttest_ind(x[0], y[0, :1], nan_policy="omit")
    assert (alone[0], p_alone[0]) == pytest.approx((abs(one.statistic), one.pvalue))
    assert np.isnan(movement(x[:, :1], y[:, :1])[0]).all()
    still = np.ones((1, 3))
    assert np.isnan(movement(still, still + 1)[0]).all()  # no seed changes it: how far it may move is not known


def test_runs_of_one_study_reproduce_each_other_and_others_do_not():
    same = [reproduction(run(2 * k), run(2 * k + 1), draws=99) for k in range(20)]
    assert sum(one.same for one in same) >= 17  # at 5 %
    assert np.mean([one.moved[0] for one in same]) == pytest.approx(0.05, abs=0.03)
    far = reproduction(run(0), run(1, shift=2.0), draws=99)
    assert not far.same and far.moved[0] > 0.3 and far.chance <= 0.02
    assert reproduction(run(0), run(0), draws=9).same


def test_what_no_seed_changes_is_told_apart():
    one, other = run(0), run(1)
    fixed = pd.DataFrame([("truth", 0, "metric0", "all", 1.0)], columns=one.columns)
    found = reproduction(pd.concat([one, fixed]), pd.concat([other, fixed.assign(value=1.2)]), draws=9)
    assert (found.fixed, found.fixed_moved, found.fixed_far) == (1, 1, 0)  # less than trainings of that metric
    found = reproduction(pd.concat([one, fixed]), pd.concat([other, fixed.assign(value=9.0)]), draws=9)
    assert (found.fixed, found.fixed_moved, found.fixed_far) == (1, 1, 1)
    assert found.cells["moved"].isna().sum() == 1 and found.cells.iloc[-1]["method"] == "truth"
    gone = reproduction(one, other[other["method"] != "m0"], draws=9)
    assert gone.only == ("A has 6 cells of its own, all of m0 among them",)


def test_the_study_on_another_processor_is_no_reproduction(tmp_path, capsys):
    (tmp_path / "values.csv").write_bytes(EXCERPT.read_bytes())
    assert main([str(EARLIER), str(tmp_path), "--claims", str(ROOT / "workflow/claims.yaml")]) == 1
    text = capsys.readouterr().out
    assert text.rstrip().splitlines()[-1].startswith("Not a reproduction: of ")
    assert "the probes or the backbones are not the same" in text and "over seeds alone" in text
    cells = tmp_path / "cells.csv"
    assert main([str(tmp_path), str(EARLIER), "--json", "--cells", str(cells)]) == 1
    facts = json.loads(capsys.readouterr().out)
    assert facts["reproduction"] is False and facts["moved"]["0.05"] > 0.15
    assert len(pd.read_csv(cells)) == facts["shared_cells"] == len(facts["cells"])


def test_one_seed_of_todays_study_trained_on_another_processor_reproduces_it(capsys):
    today = STUDY.with_name("default"), STUDY.with_name("default_avx2")
    assert main([*map(str, today), "--claims", str(ROOT / "workflow/claims.yaml")]) == 0
    assert capsys.readouterr().out.rstrip().splitlines()[-1].startswith("A reproduction of the 2")


def test_one_seed_trained_on_another_processor_reproduces_the_study(capsys):
    """Backbones and readers are those shipped at 746b97e, so that values share a scale."""
    assert main([str(STUDY), str(OTHER), "--claims", str(ROOT / "workflow/claims.yaml")]) == 0
    text = capsys.readouterr().out
    assert text.rstrip().splitlines()[-1].startswith("A reproduction: of 1")
    assert "by more than trainings do in that metric: another machine's rounding." in text


@pytest.mark.skipif(not WHOLE.is_dir(), reason="the whole second study is absent; STUDY_AVX2 names its folder")
def test_the_whole_second_study_is_no_reproduction():
    found = reproduction(read_values(EARLIER), read_values(WHOLE), draws=99)
    assert not found.same and found.moved[0] > 0.2 and found.moved[1] > 0.08 and found.spread > 1000


@pytest.mark.parametrize("reference", REFERENCES)
def test_a_reference_reproduces_itself_in_a_finished_run(reference, tmp_path, capsys):
    folder = ROOT / "results/reference" / reference
    (tmp_path / "tables").mkdir()
    shutil.copy(folder / "values.csv", tmp_path / "tables/values.csv")
    assert main([str(tmp_path), str(folder)]) == 0
    assert capsys.readouterr().out.rstrip().splitlines()[-1].startswith("A reproduction: of ")


def verdicts_of(level, spread, seeds=3):
    from analysis.claims import Claim

    claim = Claim("a is better.", "", "psnr", "frame", ("a", "b"), "greater", "f")
    noise = spread * np.linspace(-1, 1, seeds)
    lines = [("a", k, "psnr", "frame", level + noise[k]) for k in range(seeds)]
    lines += [("b", k, "psnr", "frame", 0.0) for k in range(seeds)]
    return of_seeds(pd.DataFrame(lines, columns=["method", "seed", "metric", "part", "value"]), [claim])


@pytest.mark.parametrize(
    ("a", "b", "why"),
    [
        ((1.0, 0.05), (0.0, 0.05), "the difference itself moved"),
        ((1.0, 0.05), (1.0, 1.0), "one interval is much wider"),
        ((0.5, 0.195), (0.5, 0.208), "p after Holm crossed 0.05"),
    ],
)
def test_a_changed_verdict_says_why(a, b, why):
    (one,) = changed(verdicts_of(*a), verdicts_of(*b))
    assert (one.a, one.b) == ("supported", "inconclusive") and why in one.why
    assert not changed(verdicts_of(*a), verdicts_of(*a))
    missing = verdicts_of(*b).assign(verdict="not_measured")
    assert changed(verdicts_of(*a), missing)[0].why == "not measured in B"


def test_a_side_without_values_gives_one_sentence(tmp_path):
    with pytest.raises(DataError, match="holds neither tables/values.csv nor values.csv"):
        read_values(tmp_path)
    (tmp_path / "values.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="no table of values"):
        read_values(tmp_path)


def side(folder, values, **columns):
    folder.mkdir(parents=True, exist_ok=True)
    values.assign(**columns).to_csv(folder / "values.csv", index=False)
    return folder


def test_a_side_whose_unchanging_cells_moved_is_no_reproduction(tmp_path, capsys):
    """Controls half again as large were 'a reproduction' beside a remark that the world is not the same."""
    truth = [("truth", 0, f"metric{k}", "all", 9.0) for k in range(6)]
    truth = pd.DataFrame(truth, columns=["method", "seed", "metric", "part", "value"])
    a = side(tmp_path / "a", pd.concat([run(0), truth]))
    b = side(tmp_path / "b", pd.concat([run(1), truth.assign(value=99.0)]))
    assert main([str(a), str(b)]) == 1
    told = capsys.readouterr().out.rstrip().splitlines()[-1]
    assert told.startswith("Not a reproduction: 6 of 6 cells that no seed changes lie farther apart")
    assert main([str(a), str(side(tmp_path / "c", pd.concat([run(1), truth])))]) == 0


def test_single_trainings_beside_others_are_not_called_another_world():
    """Two trainings of a row that has one seed differ by more than their spread half of the time."""
    few = [run(k)[lambda v: (v["method"] < "m4") | (v["seed"] == 0)] for k in range(20)]
    found = [reproduction(few[k], few[k + 1], draws=9) for k in range(0, 20, 2)]
    assert all(one.fixed == 24 for one in found)
    assert np.mean([one.fixed_far / one.fixed for one in found]) < 0.2  # by one standard deviation: half
    assert sum(one.apart for one in found) <= 2


@pytest.mark.parametrize(("seeds", "least"), [(1, 0.25), (3, 0.1)])
def test_one_row_with_few_seeds_is_not_called_a_reproduction(seeds, least, tmp_path, capsys):
    """However far it moved, no lot of so few trainings comes below 0.05: 93 % of cells moved, and exit code 0."""
    one = run(0, methods=1)
    other = run(1, methods=1, shift=50.0)[lambda v: v["seed"] < seeds]
    assert reproduction(one, other).least == pytest.approx(least)
    a, b = side(tmp_path / "a", one), side(tmp_path / "b", other)
    assert main([str(a), str(b)]) == 1
    told = capsys.readouterr().out.rstrip().splitlines()[-1]
    assert told.startswith("Nobody can tell") and f"p is {least} at best" in told
    assert main([str(a), str(a)]) == 0  # equal is equal


def test_one_seed_a_side_says_nothing_of_the_world(tmp_path, capsys):
    a, b = (side(tmp_path / name, run(k, seeds=1)) for name, k in (("a", 0), ("b", 1)))
    assert main([str(a), str(b)]) == 1
    text = capsys.readouterr().out
    assert "the world" not in text and "one seed a side does not say how far another training lies" in text
    assert main([str(a), str(b), "--json"]) == 1
    said = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)  # JSON has no NaN
    assert said["told"] is False and said["chance"] is None


def test_a_part_of_the_cells_is_said_to_be_a_part(tmp_path, capsys):
    a = side(tmp_path / "a", run(0))
    b = side(tmp_path / "b", run(0)[lambda v: v["method"] < "m3"])
    assert main([str(a), str(b)]) == 0
    assert "A reproduction of the 18 cells that both have: of 18" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda v: pd.concat([v, v]), "has m0, metric0/all, seed 0 more than once"),
        (lambda v: v[:0], "holds no value"),
        (lambda v: v.assign(value=np.nan), "holds no value"),
        (lambda v: v.drop(columns="seed"), "has no column 'seed'"),
        (lambda v: v.assign(seed=v["seed"] + 0.5), "a seed is no whole number"),
        (lambda v: v.assign(value="abc"), "could not convert string to float"),
    ],
)
def test_a_damaged_table_gives_one_sentence(make, message, tmp_path):
    with pytest.raises(DataError, match=message) as error:
        read_values(side(tmp_path, make(run(0))))
    assert "\n" not in str(error.value)


def test_an_infinite_value_is_no_value(tmp_path):
    values = run(0)
    values.loc[values["metric"] == "metric0", "value"] = np.inf
    assert set(read_values(side(tmp_path, values))["metric"]) == {f"metric{k}" for k in range(1, 6)}


def test_a_file_or_nothing_in_place_of_a_folder_is_named(tmp_path):
    folder = side(tmp_path / "a", run(0))
    with pytest.raises(DataError, match=r"values\.csv is a file; give the folder that holds it"):
        main([str(folder), str(folder / "values.csv")])
    with pytest.raises(DataError, match="nowhere does not exist"):
        main([str(folder), str(tmp_path / "nowhere")])


@pytest.mark.parametrize("option", [["--absolute", "1"], ["--only", "metrics"], ["--ignore", "values"], ["--videos"]])
def test_options_of_the_exact_comparison_are_not_ignored(option, tmp_path):
    a, b = side(tmp_path / "a", run(0)), side(tmp_path / "b", run(1))
    with pytest.raises(ConfigError, match=f"{option[0]} is of two finished runs"):
        main([str(a), str(b), *option])


def test_cells_cannot_take_a_folders_place(tmp_path):
    from dyads.errors import disk_problem

    a = side(tmp_path / "a", run(0))
    (tmp_path / "full").mkdir()
    for place, said in ((tmp_path / "full", "a folder stands there"), (a / "values.csv/c.csv", "a file stands there")):
        with pytest.raises(OSError) as error:
            main([str(a), str(a), "--cells", str(place)])
        assert said in disk_problem(error.value) and "partial" not in disk_problem(error.value)
    assert {path.name for path in tmp_path.iterdir()} == {"a", "full"}


def test_families_are_those_of_the_file_and_missing_values_decide_nothing(tmp_path):
    """Claims of a state or of exchanged users have no values per seed, and count in Holm's family all the same."""
    from analysis.claims import Claim

    one = Claim("a is better.", "", "psnr", "frame", ("a", "b"), "greater", "f")
    talk = Claim("a talks better.", "", "psnr", "frame", ("a", "b"), "greater", "f", state="talking")
    lines = [
        (m, k, "psnr", "frame", level + 0.05 * k, 32, 0) for m, level in (("a", 1.0), ("b", 0.0)) for k in range(3)
    ]
    values = pd.DataFrame(lines, columns=["method", "seed", "metric", "part", "value", "count", "undefined"])
    values.loc[values["method"] == "a", "value"] += [0.05, 0.0, 0.1]
    read = read_values(side(tmp_path, values))
    (alone,), (beside,) = (of_seeds(read, claims).to_dict("records") for claims in ([one], [one, talk]))
    assert beside["p"] == alone["p"] == alone["p_holm"] and beside["p_holm"] == pytest.approx(2 * alone["p"])
    assert alone["verdict"] == "supported"
    for gone, verdict in ((3, "supported"), (4, "inconclusive")):  # of 32
        lacking = values.assign(undefined=[gone, 0, 0, 0, 0, 0])
        assert of_seeds(read_values(side(tmp_path, lacking)), [one])["verdict"].tolist() == [verdict]
    silent = values.assign(undefined=10)  # nobody's fault
    assert of_seeds(read_values(side(tmp_path, silent)), [one])["verdict"].tolist() == ["supported"]


def test_clips_that_stand_still_support_no_rpcc_claim():
    """At b3a32c1 a quarter of ECHO's clips and half of the others' had no rPCC, and diff called three supported."""
    from analysis.claims import read_claims

    found = of_seeds(read_values(EARLIER), read_claims(ROOT / "workflow/claims.yaml"))
    assert not set(found.loc[found["metric"] == "rpcc", "verdict"]) & {"supported", "contradicted"}
    assert found["verdict"].value_counts().to_dict() == {
        "inconclusive": 24,
        "not_measured": 19,
        "supported": 10,
        "contradicted": 1,
    }


def test_a_broken_claims_table_gives_one_sentence(tmp_path):
    a = side(tmp_path / "a", run(0))
    for text in ("", "a,b\n1,2\n"):
        (a / "claims.csv").write_text(text)
        with pytest.raises(DataError, match=r"claims\.csv is no table of judged claims"):
            main([str(a), str(a)])
