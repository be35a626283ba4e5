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
from dyads.errors import DataError

ROOT = Path(__file__).resolve().parents[2]
EARLIER = ROOT / "results/reference/default_b3a32c1"
EXCERPT = Path(__file__).with_name("other_processor.csv")  # that study with everything trained anew
REFERENCES = ("default", "default_b3a32c1")
OTHER = ROOT / "results/reference/default_avx2"  # seed 0 trained on AVX2 alone, shipped backbones and readers
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
    assert gone.only == ("A has 6 cells of its own",)


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


def test_one_seed_trained_on_another_processor_reproduces_the_study(capsys):
    """Backbones and readers are the shipped ones, so that values share a scale."""
    assert (
        main([str(ROOT / "results/reference/default"), str(OTHER), "--claims", str(ROOT / "workflow/claims.yaml")]) == 0
    )
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
