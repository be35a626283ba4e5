"""The report's folder without a browser: what it holds, what it says when data are missing, and what it shares."""

import json
import math
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from small_study import CLIPS, FRAMES, LEVEL, ROWS, make_results, numbers, value
from study_rows import constant, write_result

from analysis.summary import seed_values
from dyads.errors import ConfigError, DataError
from dyads.media.video import probe, read_video, write_video
from reporting.page.__main__ import main
from reporting.page.build import ReportOptions, build
from reporting.page.figures import captions
from reporting.page.media import place, place_notebook, place_video, playable
from reporting.page.study_files import read_study


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return make_results(tmp_path_factory.mktemp("results") / "tiny")


@pytest.fixture(scope="module")
def report(results):
    build(results, results / "report", given=ROWS)
    return results / "report"


def soup(report):
    return BeautifulSoup((report / "index.html").read_text(encoding="utf-8"), "html.parser")


def data(report) -> dict:
    text = (report / "data/study.js").read_text(encoding="utf-8")
    return json.loads(text.removeprefix("const STUDY = ").removesuffix(";\n"))


def test_the_scripts_values_are_those_of_the_result_files(results, report):
    values = data(report)["values"]
    for seed in (0, 1, 2):
        rows = pd.read_csv(results / f"metrics/echo/seed{seed}.csv")
        shown = values[f"echo/{seed}"]
        whole = seed_values(rows.assign(status=rows["status"].astype(str))).set_index(["metric", "part"])["value"]
        for metric, part in (("ssim", "frame"), ("sid", "expression"), ("expression_correlation", "all")):
            assert shown[f"{metric}/{part}"][0] == pytest.approx(whole[metric, part], rel=1e-4)
        of = value("echo", seed)
        assert shown["psnr/frame"][4] == pytest.approx([of("psnr", "frame", clip) for clip in CLIPS], rel=1e-4)
    assert values["dim/0"]["rpcc/expression"][3:] == [
        "constant_series",
        [None] * 3,
        dict.fromkeys("012", "constant_series"),
    ]
    assert values["broken/0"] == {}


def test_tables_show_what_the_csv_holds(results, report):
    table = pd.read_csv(results / "tables/main_table.csv").set_index("method")
    page = soup(report)
    for method in ("echo", "dim", "truth"):
        cell = page.select_one(f"#sheet-main_table tr[data-method={method}] a[data-key='ssim/frame']")
        assert float(cell.parent["data-v"]) == pytest.approx(table.loc[method, "ssim/frame_mean"])
        assert float(cell.text.split()[0]) == pytest.approx(LEVEL[method], abs=0.03)
    best = page.select("#sheet-main_table tr[data-group=main] a.best, #sheet-main_table tr[data-group=baseline] a.best")
    assert best and not page.select("#sheet-main_table tr[data-group=control] a.best")
    heads = [head.text.strip() for head in page.select("#sheet-main_table th")]
    assert not [head for head in heads if head.startswith("LSE")]  # nobody could measure it; the notes say so
    assert "Not measured, no weights file" in page.select_one("#results details").text


def test_sure_differences_carry_their_mark(results, report):
    compared = pd.read_csv(results / "tables/comparisons.csv").query("table == 'ablations_table' and metric == 'psnr'")
    assert list(compared["better"]) == ["worse"]
    cells = {
        row["data-method"]: row.select_one("a[data-key='psnr/frame']").parent
        for row in soup(report).select("#sheet-ablations_table tbody tr")
    }
    assert cells["no_lcu"].select_one(".sign.down").text == "▼" and cells["echo"].select_one(".sign") is None


def test_every_metric_of_every_row_leads_to_that_row(results, report):
    page = soup(report)
    link = page.select_one("#sheet-full_table a[data-methods=echo][data-key='sts/pose']")
    full = pd.read_csv(results / "tables/full_table.csv", keep_default_na=False).set_index(["metric", "part"])
    assert link.text.strip().split() == full.loc[("sts", "pose"), "echo"].split()
    assert float(link.parent["data-v"]) == pytest.approx(LEVEL["echo"], abs=0.05)
    assert "STS" in [cell.text.strip() for cell in page.select("#sheet-full_table td[title=sts]")]
    heads = [head.text.strip() for head in page.select("#sheet-full_table th")]
    assert {"ECHO", "w/o LCU", "DIM & Co"} <= set(heads)


def test_costs_are_means_with_their_spread(results, report):
    page = soup(report)
    heads = [head.text.strip() for head in page.select("#sheet-efficiency_table th")]
    assert heads[:2] == ["method", "seeds"] and {"train s", "frames/CPU s", "missing"} <= set(heads)
    row = page.select_one("#sheet-efficiency_table tr[data-method=echo]")
    assert "seed 0, 1, 2: frames/s" in row.text and "±" not in row.text  # nothing timed these videos


def test_long_tables_are_folded_and_tidy_files_linked(report):
    page = soup(report)
    assert page.select_one("details.folded #sheet-comparisons") and page.select_one("#sheet-controls")
    assert page.select_one("#sheet-values") is None and page.select_one("#tables a[href='tables/values.csv']")


def test_verdicts_stand_at_the_top_and_lead_to_their_claims(report):
    page = soup(report)
    marks = page.select("header .verdict")
    assert [mark["class"][1] for mark in marks] == ["supported", "contradicted", "not_measured"]
    assert [page.select_one(mark["href"])["data-verdict"] for mark in marks] == [mark["class"][1] for mark in marks]
    assert "supports 1 and contradicts" in " ".join(page.select_one("header").text.split())


def test_rows_that_failed_stay_in_sight(report):
    page, known = soup(report), data(report)
    assert "not_run" in page.select_one("#row-broken").text and "Broken" in page.select_one("aside.missing").text
    assert known["videos"]["broken"]["0"].keys() == set(CLIPS)
    assert list(known["videos"]["dim"]["0"]) == ["gil_hal"] and "no_partner" in known["videos"]["dim"]["0"]["gil_hal"]
    assert [seed["status"] for method in known["methods"] if method["name"] == "echo" for seed in method["seeds"]] == [
        "ok"
    ] * 3


def test_the_gallery_takes_as_many_seeds_as_asked(results, tmp_path):
    assert sorted(path.name for path in (results / "report/videos/echo").iterdir()) == ["seed0"]
    built = build(results, tmp_path / "all", ReportOptions(gallery_seeds=0), ROWS)
    assert built.videos == 8 * 3 - 1 and built.runs == 9
    assert sorted(data(tmp_path / "all")["videos"]["echo"]) == ["0", "1", "2"]


def test_files_are_shared_with_the_results_and_not_copied(results, report):
    for ours, theirs in (
        ("videos/echo/seed0/cat_dan.mp4", "videos/echo/seed0/cat_dan.mp4"),
        ("dialogues/cat_dan/user.mp4", "data/tiny/test/cat_dan/user.mp4"),
        ("rows/echo/seed2/values.csv", "metrics/echo/seed2.csv"),
    ):
        assert (report / ours).samefile(results / theirs)


def test_without_hard_links_files_are_copied(results, tmp_path, monkeypatch):
    def refused(*_):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("os.link", refused)
    source = results / "videos/echo/seed0/cat_dan.mp4"
    place(source, tmp_path / "copy.mp4")
    assert not source.samefile(tmp_path / "copy.mp4")
    assert source.read_bytes() == (tmp_path / "copy.mp4").read_bytes()


def test_building_again_replaces_the_report_and_nothing_else(results, tmp_path):
    out = tmp_path / "report"
    build(results, out, given=ROWS)
    first = (out / "index.html").read_bytes(), (out / "data/study.js").read_bytes()
    (out / "left over.txt").write_text("old")
    (out / "index.html").unlink()  # as Snakemake does before a job
    build(results, out, given=ROWS)
    assert first == ((out / "index.html").read_bytes(), (out / "data/study.js").read_bytes())
    assert not (out / "left over.txt").exists() and not list(tmp_path.glob(".*"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.tex").write_text("precious")
    with pytest.raises(ConfigError, match="is no report; name another folder"):
        build(results, tmp_path / "mine")
    assert (tmp_path / "mine/thesis.tex").exists()


def test_a_failure_leaves_the_earlier_report(results, tmp_path, monkeypatch):
    out = tmp_path / "report"
    build(results, out, given=ROWS)
    before = (out / "index.html").read_bytes()
    monkeypatch.setattr("reporting.page.build.script_data", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        build(results, out, given=ROWS)
    assert (out / "index.html").read_bytes() == before and [path.name for path in tmp_path.iterdir()] == ["report"]


def test_a_profile_with_measurements_alone_still_renders(tmp_path):
    write_result(tmp_path / "bare/metrics", "echo", 0, constant(0.3), CLIPS)
    write_result(tmp_path / "bare/metrics", "truth", 0, constant(0.9), CLIPS)
    build(tmp_path / "bare", tmp_path / "out")
    page = soup(tmp_path / "out")
    texts = {name: page.select_one(f"#{name} p.absent").text for name in ("results", "claims", "figures")}
    assert "No tables were made" in texts["results"] and "reporting.tables" in texts["results"]
    assert "No claims were judged" in texts["claims"] and "reporting.claims" in texts["claims"]
    assert "No figures were drawn" in texts["figures"]
    assert "holds no manifest.csv" in page.select_one("aside.missing").text
    assert page.select_one("#row-truth")["data-group"] == "control"
    assert all("why" in dialogue["user"] for dialogue in data(tmp_path / "out")["dialogues"])


def test_an_empty_profile_says_so_everywhere(tmp_path):
    (tmp_path / "empty").mkdir()
    build(tmp_path / "empty", tmp_path / "out")
    page = soup(tmp_path / "out")
    assert len(page.select("p.absent")) == 4 and "no rows" in page.select_one(".lead").text
    with pytest.raises(DataError, match="is no folder"):
        build(tmp_path / "nowhere", tmp_path / "other")


def test_damaged_files_become_sentences(results, tmp_path):
    broken = tmp_path / "tiny"
    shutil.copytree(results, broken, ignore=shutil.ignore_patterns("report"))
    (broken / "metrics/echo/seed1.csv").write_text("a,b\n1,2\n")
    (broken / "metrics/no_lcu/seed0.json").write_text("{")
    (broken / "videos/truth/seed0/cat_dan.mp4").write_bytes(b"no video")
    (broken / "tables/claims.csv").write_text("text\nhello\n")
    (broken / "tables/controls.csv").write_bytes(b"\xff\xfe\x00")
    build(broken, tmp_path / "out", given=ROWS)
    page = soup(tmp_path / "out")
    missing = page.select_one("aside.missing").text
    assert "has the columns ['a', 'b']" in missing and "not JSON" in missing
    assert "cannot be decoded" in data(tmp_path / "out")["videos"]["truth"]["0"]["cat_dan"]
    assert "has no column 'better'" in page.select_one("#claims p.absent").text
    assert "cannot be read" in page.select_one("#tables p.absent").text


def test_videos_that_browsers_do_not_play_are_made_anew(results, tmp_path):
    source = results / "videos/echo/seed0/cat_dan.mp4"
    assert playable(source)
    frames = read_video(source)
    write_video(tmp_path / "slow.mp4", np.repeat(frames[:40], 2, axis=0), None, fps=50)
    assert not playable(tmp_path / "slow.mp4")
    assert place_video(tmp_path / "slow.mp4", tmp_path / "out/slow.mp4")
    assert numbers(read_video(tmp_path / "out/slow.mp4")) == list(range(40))
    assert probe(tmp_path / "out/slow.mp4").fps == 25
    assert not place_video(source, tmp_path / "out/same.mp4")


def test_rows_made_elsewhere_come_along(results, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    for clip in CLIPS[:2]:
        write_video(folder / f"{clip}.mp4", read_video(results / "videos/echo/seed0/cat_dan.mp4")[:FRAMES], None)
    rows = ROWS | {"mine": {"label": "Mine", "group": "baseline", "seeds": [0]}}
    build(results, tmp_path / "out", given=rows, external={"mine": str(folder)})
    assert (tmp_path / "out/videos/mine/seed0/cat_dan.mp4").exists()
    assert list(data(tmp_path / "out")["videos"]["mine"]["0"]) == [CLIPS[2]]


def test_claims_say_verdict_test_and_interval(results, report):
    page = soup(report)
    first, second, third = page.select(".claim")
    assert [claim["data-verdict"] for claim in (first, second, third)] == ["supported", "contradicted", "not_measured"]
    estimate = pd.read_csv(results / "tables/claims.csv")["estimate"][0]
    assert "SSIM: ECHO > w/o LCU" in first.text
    assert first.select_one("a.num").text.startswith(f"{estimate:+.3g} [")
    left = {
        name: float(first.select_one(f".{name}")["style"].split("left:")[1].split("%")[0])
        for name in ("zero", "span", "point")
    }
    assert left["zero"] < left["span"] <= left["point"]  # drawn to scale: an interval above zero stands right of it
    assert third.select_one(".bar") is None and "no rows of no_lpe" in third.text


def test_captions_are_those_of_the_notebooks(tmp_path):
    cells = [
        {"cell_type": "markdown", "source": ["## Seeds\n", "\n", "Points are seeds."]},
        {"cell_type": "code", "source": ['show("metric_points", f())']},
    ]
    (tmp_path / "main_results.ipynb").write_text(json.dumps({"cells": cells}))
    (tmp_path / "damaged.ipynb").write_text("{")
    assert captions(tmp_path) == {"metric_points": ("main_results", "Seeds", "Points are seeds.")}


def test_notebooks_lose_what_they_would_load_from_the_network(tmp_path):
    page = '<script src="https://cdn.x/require.js"></script><script>let kept = 1</script><p>text</p>'
    module = '<script type="module">\nimport m from "https://cdn.x/m.mjs";\n</script>'
    (tmp_path / "a.html").write_text(page + module)
    place_notebook(tmp_path / "a.html", tmp_path / "out/a.html")
    assert (tmp_path / "out/a.html").read_text() == "<script>let kept = 1</script><p>text</p>"


def test_text_is_escaped(tmp_path):
    write_result(tmp_path / "odd/metrics", "echo", 0, constant(0.3), CLIPS)
    build(tmp_path / "odd", tmp_path / "out", given={"echo": {"label": "<script>alert(1)</script>", "group": "main"}})
    page = (tmp_path / "out/index.html").read_text()
    assert "<script>alert(1)" not in page and "&lt;script&gt;alert(1)" in page


def test_values_are_finite_numbers_or_null(report):
    def numbers_of(item):
        if isinstance(item, dict):
            item = list(item.values())
        return [n for each in item for n in numbers_of(each)] if isinstance(item, list) else [item]

    found = [n for n in numbers_of(data(report)["values"]) if isinstance(n, float)]
    assert found and all(math.isfinite(n) for n in found)


def test_the_command_tells_what_it_made(results, tmp_path, capsys):
    arguments = ["--results", str(results), "--out", str(tmp_path / "out"), "--rows", json.dumps(ROWS)]
    main([*arguments, "--gallery-seeds", "2"])
    assert "5 rows, 9 runs, 3 dialogues, 17 generated videos" in capsys.readouterr().out
    command = [sys.executable, "-m", "reporting.page", "--results", str(results), "--options", '{"sedes": 1}']
    wrong = subprocess.run(command, capture_output=True, text=True)
    assert wrong.returncode == 2 and wrong.stderr.startswith("error: report: unknown option 'sedes'")
    assert "first names 'nobody'" in str(
        pytest.raises(ConfigError, build, results, tmp_path / "x", ReportOptions(first=("nobody",))).value
    )


def test_rows_are_found_without_being_given(results):
    study = read_study(results)
    assert {method.name: method.group for method in study.methods} == {n: row["group"] for n, row in ROWS.items()}
    assert [run.seed for run in study.methods[0].runs] == [0, 1, 2]
