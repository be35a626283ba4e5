"""Every row against a reference, and ranks of all: planted differences, Holm by column, and rows that lack values."""

import math

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from analysis import stats
from analysis.comparisons import compare_rows, marks, note, power_note
from analysis.ranking import rank_table
from evaluation.cards import STATUSES
from evaluation.readings.by_row import Readings
from evaluation.registry import cards

UP, DOWN = (cards()["psnr"], "frame"), (cards()["motion_mse"], "all")
NEAR = (cards()["var"], "expression")
CLIPS = [f"d{index:02d}" for index in range(12)]


def rows_of(levels, column=UP, seeds=(0, 1, 2), noise=0.01):
    """Tidy rows of methods around their level, and the truth's own 0.5 where the metric has one."""
    card, part = column
    lines = []
    for method, level in levels.items():
        rng = np.random.default_rng(list(method.encode()))
        for seed in seeds if method != "fixed" else (0,):
            for clip in CLIPS:
                lines.append((method, seed, clip, card.name, part, level + noise * rng.standard_normal()))
                if card.direction == "truth":
                    lines.append((method, seed, clip, card.name, f"{part}_truth", 0.5))
    rows = pd.DataFrame(lines, columns=["method", "seed", "clip", "metric", "part", "value"])
    return rows.assign(status="ok")


def table_of(rows, methods, columns=(UP,), fixed=()):
    return compare_rows(rows, "main", methods, list(columns), Readings(), fixed).set_index("method")


def test_a_difference_is_that_of_the_crossed_test():
    rows = rows_of({"main": 1.0, "other": 1.2})
    line = table_of(rows, ["main", "other"]).loc["other"]
    cells = rows.pivot(index="seed", columns=["method", "clip"], values="value")
    mean = stats.mean_crossed((cells["other"] - cells["main"]).to_numpy())
    assert (line["estimate"], line["low"], line["high"]) == pytest.approx((mean.estimate, *stats.limits(mean)))
    assert line["p"] == line["p_holm"] == pytest.approx(2 * min(stats.p_above(mean), stats.p_below(mean)))
    assert (line["dialogues"], line["seeds"], line["status"], line["better"]) == (12, 3, "ok", "better")


@pytest.mark.parametrize(
    ("column", "levels", "better"),
    [
        (UP, {"main": 1.0, "other": 1.2}, "better"),
        (DOWN, {"main": 1.0, "other": 1.2}, "worse"),
        (NEAR, {"main": 1.0, "other": 0.6}, "better"),
        (NEAR, {"main": 0.6, "other": 0.1}, "worse"),
        (UP, {"main": 1.0, "other": 1.0}, ""),
    ],
)
def test_better_follows_the_metrics_direction(column, levels, better):
    table = table_of(rows_of(levels, column, noise=0.05), ["main", "other"], [column])
    assert table.loc["other", "better"] == better
    sign = marks(table.reset_index()).get(("other", column[0].name, column[1]))
    assert sign == {"better": "▲", "worse": "▼", "": None}[better]


def test_holm_counts_the_rows_of_a_column():
    rows = rows_of({"main": 1.0, "a": 1.02, "b": 1.0, "c": 1.5}, noise=0.03)
    table = table_of(rows, ["main", "a", "b", "c", "gone"])
    assert table.loc["gone", "status"] == "not_run: gone" and math.isnan(table.loc["gone", "p_holm"])
    assert table.loc[["a", "b", "c"], "p_holm"].to_numpy() == pytest.approx(
        stats.holm(table.loc[["a", "b", "c"], "p"].to_numpy(), 4)  # the row that is gone counts all the same
    )
    text = note(table.reset_index(), "Main")
    assert "(3 differences in 1 columns)" in text and "worse than Main" in text


def test_a_row_that_no_seed_changes_stands_against_each_seed():
    rows = rows_of({"main": 1.0, "fixed": 1.3})
    alone, repeated = (table_of(rows, ["main", "fixed"], fixed=fixed).loc["fixed"] for fixed in ((), ("fixed",)))
    assert alone["status"] == "one_seed" and alone["better"] == ""
    assert (repeated["status"], repeated["seeds"], repeated["better"]) == ("ok", 3, "better")


def test_the_power_note_is_the_median_row():
    rows = pd.concat([rows_of({"main": 1.0, "a": 1.2, "b": 1.1, "c": 1.3}, noise=0.1), rows_of({"main": 1.0}, DOWN)])
    table = table_of(rows, ["main", "a", "b", "c"], [UP, DOWN])
    middle = table.loc[table["metric"] == "psnr", "detectable"].median()
    said = power_note(table.reset_index(), [UP, DOWN])
    assert f"PSNR {middle:.2g}." in said and "Motion MSE" not in said  # no other row has that one


def test_nothing_to_test_says_why():
    assert power_note(table_of(rows_of({"main": 1.0}), ["main"]).reset_index(), [UP]) == ""
    table = table_of(rows_of({"main": 1.0, "other": 1.3}, seeds=(0,)), ["main", "other"])
    assert note(table.reset_index(), "Main") == f"No row could be tested against Main: {stats.STATUSES['one_seed']}."

    table["status"] = "too_few_frames: other"  # of the values themselves
    assert note(table.reset_index(), "Main") == f"No row could be tested against Main: {STATUSES['too_few_frames']}."


def test_ranks_are_friedmans_over_dialogues():
    rows = pd.concat([rows_of({"a": 1.0, "b": 1.01, "c": 2.0}), rows_of({"a": 1.0, "b": 1.5, "c": 2.0}, DOWN)])
    table = rank_table(rows, ["a", "b", "c"], [UP, DOWN]).set_index(["metric", "method"])
    means = rows[rows["metric"] == "psnr"].groupby(["clip", "method"])["value"].mean().unstack()
    known = scipy.stats.friedmanchisquare(*(means[method] for method in "abc"))
    line = table.loc[("psnr", "c")]
    assert (line["mean_rank"], line["blocks"], line["status"]) == (1, 12, "ok")
    assert (line["statistic"], line["p"]) == pytest.approx((known.statistic, known.pvalue))
    assert table.loc["psnr"]["mean_rank"].sum() == pytest.approx(6)
    assert list(table.loc["motion_mse"]["mean_rank"]) == [1, 2, 3]  # lower is better


def test_a_method_without_values_takes_no_dialogues_from_the_others():
    rows = rows_of({"a": 1.0, "b": 1.2, "c": 2.0, "d": 3.0})
    rows.loc[(rows["method"] == "d") & rows["clip"].isin(CLIPS[:6]), "value"] = math.nan
    rows.loc[(rows["method"] == "a") & (rows["clip"] == CLIPS[0]) & (rows["seed"] == 1), "value"] = math.nan
    table = rank_table(rows, ["a", "b", "c", "d", "gone"], [UP]).set_index("method")
    assert list(table.loc[["a", "b", "c"], "blocks"]) == [11] * 3
    assert list(table.loc[["d", "gone"], "status"]) == ["too_few_values"] * 2
    assert table.loc[["d", "gone"], "mean_rank"].isna().all()


def test_nearness_to_the_truth_is_ranked_by_distance():
    table = rank_table(rows_of({"a": 0.45, "b": 0.8, "c": 0.1}, NEAR), ["a", "b", "c"], [NEAR])
    assert list(table["mean_rank"]) == [1, 2, 3]
