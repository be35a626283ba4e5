"""Published numbers: nothing is compared across set-ups, findings follow from the data, the page is what they give."""

import json
import math
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from study_rows import constant, write_result

from analysis.published import (
    COLUMNS,
    FOLDER,
    NAMESAKE_COLUMNS,
    NUMBERS,
    comparable,
    compare,
    load,
    protocols,
    select,
    setups,
    sources,
)
from analysis.published.__main__ import PAGE
from analysis.published.bounds import _common_truth
from analysis.published.checks import CHECKS, findings, stated_alone
from analysis.published.ours import OURS, beside, namesakes, read_results, verdict
from analysis.published.page import page
from dyads.errors import DataError
from evaluation.registry import cards

ROWS, FACTS = load(), protocols()
FOUND = findings(ROWS, FACTS)


def changed(line: int, value: float, rows: pd.DataFrame = ROWS) -> pd.DataFrame:
    """`rows` with another value in one line, printed with as many decimals."""
    new = rows.copy()
    new.loc[line, "printed"] = f"{value:.{new.loc[line, 'decimals']}f}"
    new.loc[line, "value"] = float(new.loc[line, "printed"])
    return new


def line_of(source: str, method: str, metric: str, part: str = "all") -> int:
    found = ROWS[(ROWS["source"].str.startswith(source)) & (ROWS["method"] == method) & (ROWS["metric"] == metric)]
    (line,) = found.index[found["part"] == part]
    return line


def texts(kind: str, rows: pd.DataFrame = ROWS, facts: pd.DataFrame = FACTS) -> list[str]:
    return [finding.text for finding in findings(rows, facts) if finding.kind == kind]


# The data


def test_every_line_has_a_source_and_every_source_a_line():
    assert set(ROWS["source"]) == set(sources()["source"])
    assert all(source.startswith(f"{paper} {arxiv} Table") for source, paper, arxiv in
               ROWS[["source", "paper", "arxiv"]].itertuples(index=False))  # fmt: skip


def test_values_are_possible():
    """Ranges by definition, not by taste: a slip in copying would leave them."""
    ranges = {"CSIM": (-1, 1), "SSIM": (-1, 1), "rPCC": (0, 2), "E-Appro": (1, 5), "E-Consis": (1, 5)}
    for metric, (low, high) in ranges.items():
        assert ROWS.loc[ROWS["metric"] == metric, "value"].between(low, high).all(), metric
    signed = ("R-DGG", "TLCC peak")
    assert (ROWS.loc[~ROWS["metric"].isin(signed), "value"] >= 0).all()
    assert ROWS.loc[ROWS["metric"] == "TLCC peak", "value"].between(-1, 1).all()
    arrows = ROWS[ROWS["dir"] != ""]
    assert (arrows.groupby("metric")["dir"].nunique() == 1).all()  # one arrow a metric, where there is one
    assert ROWS.loc[ROWS["method"].str.contains(r"\*|retrained"), "is_reproduction"].all()


def test_facts_name_papers_of_the_numbers_or_code():
    papers = set(ROWS["paper"])
    assert set(FACTS.loc[FACTS["evidence"] == "paper", "paper"]) <= papers
    assert set(FACTS["evidence"]) == {"paper", "code"}


@pytest.mark.parametrize(
    "column, value, message",
    [
        ("value", "n/a", "no number"),
        ("part", "jaw", "part 'jaw'"),
        ("dir", "sideways", "dir 'sideways'"),
        ("source", "Someone Table 1", "source 'Someone Table 1'"),
        ("is_reproduction", "maybe", "is_reproduction 'maybe'"),
    ],
)
def test_load_refuses_a_bad_line(tmp_path, column, value, message):
    frame = pd.read_csv(NUMBERS, dtype=str)
    frame.loc[3, column] = value
    frame.to_csv(tmp_path / "bad.csv", index=False)
    with pytest.raises(DataError, match=message):
        load(tmp_path / "bad.csv")


def test_load_refuses_a_line_twice_and_other_columns(tmp_path):
    frame = pd.read_csv(NUMBERS, dtype=str)
    pd.concat([frame, frame.iloc[:1]]).to_csv(tmp_path / "twice.csv", index=False)
    with pytest.raises(DataError, match="twice"):
        load(tmp_path / "twice.csv")
    frame.drop(columns="dir").to_csv(tmp_path / "short.csv", index=False)
    with pytest.raises(DataError, match="columns"):
        load(tmp_path / "short.csv")


# Comparing


def test_numbers_of_one_set_up_stand_side_by_side_as_printed():
    table = compare(select(ROWS, "AF", "RealTalk"))
    assert table.loc["INFP*", "FVD ↓"] == "159.000" and table.loc["GT", "FVD ↓"] == ""
    assert table.loc["AvatarForcing", "rPCC exp ↓"] == "0.003"


@given(st.lists(st.sampled_from(sorted(ROWS.index)), min_size=1, max_size=6, unique=True))
def test_only_rows_of_one_unmixed_set_up_are_compared(lines):
    chosen = ROWS.loc[lines]
    (first, *others) = setups(chosen)
    if others or first.group == "mixed":
        with pytest.raises(DataError, match="cannot be compared|nothing in it can be compared"):
            compare(chosen)
    else:
        assert comparable(chosen) == first and len(compare(chosen)) == chosen["method"].nunique()


def test_an_unknown_group_is_named_with_the_known_ones():
    with pytest.raises(DataError, match="'XYZ'; known here are .*ARIG"):
        select(ROWS, "XYZ")
    with pytest.raises(DataError, match="no published numbers"):
        compare(ROWS.iloc[:0])


# Findings


def test_findings_of_every_kind_are_there():
    kinds = {"bound", "arrow", "same", "setups", "assembled", "apart", "stated", "open"}
    assert {finding.kind for finding in FOUND} == kinds


def test_every_finding_rests_on_the_lines_it_names():
    """Changed far enough, up or down, each line (two of many) changes what the finding says; so does each fact."""
    draw = np.random.default_rng(0)
    for check in CHECKS:
        for finding in check(ROWS, FACTS):
            assert finding.rows or finding.facts
            for line in draw.permutation(finding.rows)[:2]:
                value = ROWS.loc[line, "value"]
                new = [changed(line, factor * value + step) for factor, step in ((3, 1), (0.2, 0))]
                left = [finding.text in {other.text for other in check(rows, FACTS)} for rows in new]
                assert not all(left), (finding.text, ROWS.loc[line].to_dict())
            for fact in finding.facts[:1]:
                assert finding.text not in {other.text for other in check(ROWS, FACTS.drop(fact))}, finding.text


def test_entropy_within_its_bound_is_no_finding():
    line = line_of("AvatarForcing", "INFP*", "SID", "pose")
    assert any("AvatarForcing, Table 4: SID (pose) of INFP* is printed as 3.20" in text for text in texts("bound"))
    # 3.17 may be a rounded 3.1699 = log2 9, so it is not above
    left = texts("bound", changed(line, 3.17))
    assert not any(text.startswith("AvatarForcing, Table 4") for text in left)
    stated = FACTS.copy()
    stated.loc[(stated["paper"] == "AvatarForcing") & (stated["part"] == "pose"), "value"] = "20"
    assert not any(text.startswith("AvatarForcing, Table 4") for text in texts("bound", facts=stated))


@given(st.integers(2, 60), st.floats(0, 8), st.integers(1, 4))
def test_no_possible_entropy_is_called_impossible(k, value, decimals):
    """Whatever a histogram over k clusters can give, rounded as one likes, is never a finding."""
    line = line_of("AvatarForcing", "INFP*", "SID", "pose")
    facts = FACTS.copy()
    facts.loc[(facts["paper"] == "AvatarForcing") & (facts["part"] == "pose"), "value"] = str(k)
    row = ROWS.loc[[line]].assign(decimals=decimals)
    row = changed(line, value, row)
    found = list(CHECKS[0](row, facts))
    if value <= math.log2(k):
        assert not found
    elif value > math.log2(k) + 10.0**-decimals:
        assert len(found) == 1


def test_a_broken_copy_is_no_copy_and_ends_the_mixed_table():
    assert any(text.startswith("ECHO, Table 1, RealTalk, agrees in the rows GT, INFP") for text in texts("setups"))
    rows = ROWS
    for method in ("DIM", "ARIG"):
        line = line_of("ECHO 2603.17427 Table 1", method, "FID")
        rows = changed(line, ROWS.loc[line, "value"] + 1, rows)
    assert not any("Table 1 agrees with ARIG, Tables 1 and 4" in text for text in texts("same", rows))
    assert not any(text.startswith("ECHO, Table 1") for text in texts("setups", rows))


def test_two_tables_with_one_truth_are_no_two_set_ups():
    rows = ROWS
    for metric in ("SID", "Var", "CSIM"):
        truth = ROWS.loc[line_of("AvatarForcing", "GT", metric), "value"]
        rows = changed(line_of("ARIG", "GT", metric), truth, rows)
    assert not any(text.startswith("ECHO, Table 1") for text in texts("setups", rows))
    assert not any("ground truth" in text for text in texts("apart", rows))


def test_the_row_put_together_from_two_tables():
    assert any("ECHO, Table 2, HDTF, row SadTalker" in text for text in texts("assembled"))
    line = line_of("ECHO 2603.17427 Table 2", "SadTalker", "CSIM")
    assert not any("row SadTalker" in text for text in texts("assembled", changed(line, 0.825)))


def test_a_truth_above_every_method_contradicts_no_arrow():
    assert any("CSIM ↑, 5 of the 5" in text for text in texts("arrow"))
    assert not any("CSIM" in text for text in texts("arrow", changed(line_of("AvatarForcing", "GT", "CSIM"), 0.99)))


@given(
    st.integers(0, 600).map(lambda n: n / 100),
    st.lists(st.integers(0, 600).map(lambda n: n / 100), min_size=3, max_size=6),
)
def test_the_truth_is_found_from_distances_or_left_open(truth, values):
    def number(value):
        return pd.Series({"value": round(value, 2), "decimals": 2})

    pairs = [(number(v), number(abs(v - truth)), ()) for v in values]
    found = _common_truth(pairs)
    if found is not None:
        assert found[0] - 1e-6 <= truth <= found[1] + 1e-6


def test_the_truth_is_open_where_two_fit():
    def pairs(*given):
        return [(pd.Series({"value": v, "decimals": 2}), pd.Series({"value": d, "decimals": 2}), ()) for v, d in given]

    assert _common_truth(pairs((2.77, 2.23), (4.78, 0.22), (4.82, 0.18))) == pytest.approx((4.99, 5.01))
    assert _common_truth(pairs((2.0, 1.0), (2.0, 1.0), (2.0, 1.0))) is None  # 1 or 3
    assert _common_truth(pairs((2.0, 1.0), (2.0, 0.5), (2.0, 0.2))) is None  # nothing


# The page


def test_the_committed_page_is_what_the_data_give():
    assert PAGE.read_text(encoding="utf-8") == page(ROWS), "write it again: python -m analysis.published page"


def test_the_page_follows_the_data():
    text = page(ROWS)
    for finding in FOUND:
        assert finding.text.replace("*", "\\*") in text
    assert "row SadTalker" not in page(changed(line_of("ECHO 2603.17427 Table 2", "SadTalker", "CSIM"), 0.825))


def run(*arguments):
    command = [sys.executable, "-m", "analysis.published", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=FOLDER.parents[1])


def test_check_names_a_page_that_is_out_of_date(tmp_path):
    (tmp_path / "page.md").write_text(PAGE.read_text() + "more\n")
    result = run("page", "--check", "--out", tmp_path / "page.md")
    assert result.returncode == 2 and "is not what the data give" in result.stderr
    assert run("page", "--check").returncode == 0


# Ours beside them


@pytest.fixture
def results(tmp_path):
    """A results folder of the synthetic world with values 0.25."""
    for seed in (0, 1):
        file = write_result(tmp_path / "results/metrics", "echo", seed, constant(0.25 + seed / 100))
        protocol = {card.name: card.protocol for card in cards().values()}
        file.with_suffix(".json").write_text(json.dumps({"protocol": protocol}))
    return tmp_path / "results"


def on_synthetic(rows: pd.DataFrame) -> pd.DataFrame:
    """Published rows as if the synthetic world had been their data set."""
    return rows.assign(dataset="synthetic", split_or_protocol="test")


def sharing(tmp_path, **change):
    line = dict.fromkeys(NAMESAKE_COLUMNS, "") | {"ours": "psnr", "part": "frame", "published": "PSNR"}
    line |= {"published_part": "all", "dataset": "synthetic", "split_or_protocol": "test", "comparable_group": "INFP"}
    line |= {"protocol": cards()["psnr"].protocol} | change
    pd.DataFrame([line]).to_csv(tmp_path / "namesakes.csv", index=False)
    return namesakes(tmp_path / "namesakes.csv")


def test_every_namesake_is_a_metric_and_part_of_ours_and_a_published_one():
    published = set(zip(ROWS["metric"], ROWS["part"], strict=True))
    for line in namesakes().itertuples(index=False):
        assert line.part in cards()[line.ours].parts
        assert (line.published, line.published_part) in published


def test_no_published_column_holds_a_number_of_the_synthetic_world(results):
    ours, said = read_results(results)
    for setup in setups(ROWS):
        rows = select(ROWS, setup.group, setup.dataset, setup.split)
        if setup.group != "mixed":
            assert not any(str(name).startswith(OURS) for name in beside(rows, namesakes(), ours, said).index)
            assert verdict(rows, namesakes(), ours, said).startswith("No column of")


def test_ours_enter_only_the_column_with_the_same_metric_protocol_and_set_up(results, tmp_path):
    ours, said = read_results(results)
    rows = on_synthetic(select(ROWS, "INFP", "HDTF"))
    table = beside(rows, sharing(tmp_path), ours, said)
    assert table.loc[OURS + "echo", "PSNR ↑"] == "0.255 ± 0.007"
    assert (table.loc[OURS + "echo"].drop("PSNR ↑") == "").all()
    assert verdict(rows, sharing(tmp_path), ours, said).endswith("in PSNR.")
    other = {"protocol": "RGB 0-1"}, {"dataset": "HDTF"}, {"split_or_protocol": "val"}, {"comparable_group": "ARIG"}
    for change in (*other, {"why_not": "small probe"}):
        table = beside(rows, sharing(tmp_path, **change), ours, said)
        assert OURS + "echo" not in table.index, change


def test_results_measured_by_two_protocols_share_no_column(results, tmp_path):
    path = results / "metrics/echo/seed1.json"
    path.write_text(path.read_text().replace(cards()["psnr"].protocol, "another"))
    ours, said = read_results(results)
    rows = on_synthetic(select(ROWS, "INFP", "HDTF"))
    assert OURS + "echo" not in beside(rows, sharing(tmp_path), ours, said).index


def test_a_namesake_without_reason_or_protocol_is_refused(tmp_path):
    with pytest.raises(DataError, match="fill in all four"):
        sharing(tmp_path, protocol="")


def test_table_command(results, tmp_path):
    shown = run("table", "--group", "AF", "--dataset", "RealTalk", "--results", results)
    assert shown.returncode == 0 and "No column of AF (RealTalk, IHG)" in shown.stdout
    assert "AvatarForcing 2601.00664 Tables 1 and 6" in shown.stdout
    mixed = run("table", "--group", "AF")
    assert mixed.returncode == 2 and "different set-ups" in mixed.stderr and "Traceback" not in mixed.stderr
    assert run("table", "--group", "mixed", "--dataset", "ViCo").returncode == 2
    assert run("table", "--group", "AF", "--dataset", "RealTalk", "--results", tmp_path).returncode == 2
    out = tmp_path / "af.csv"
    assert run("table", "--group", "AF", "--dataset", "HDTF", "--out", out).returncode == 0
    assert list(pd.read_csv(out)["method"])[:2] == ["SadTalker", "Hallo3"]
    assert "| comparable group" in run("table").stdout


def test_columns_are_those_of_the_file():
    assert tuple(pd.read_csv(NUMBERS, nrows=0).columns) == COLUMNS


def test_what_becomes_of_frames_without_a_face_is_told():
    (found,) = stated_alone(pd.DataFrame(), protocols())
    assert "cut out of each side before resampling and pairing: R-DGG (code)." in found.text
    assert found.text.endswith("was not measured.") and len(found.facts) == 1
