"""Tables: means and spreads by hand, undefined values and missing rows in sight, and the controls' verdicts."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from readings_file import readings, write_readings
from study_rows import ROWS, constant, write_result

from analysis.controls_check import ALIASES, check_controls, control_name
from analysis.summary import seed_values, summarise
from dyads.errors import ConfigError, DataError
from evaluation.registry import cards
from evaluation.rows import read_rows
from reporting.method_tables import DEFAULT_COLUMNS, TABLES, chosen_columns, not_measured, unmeasured
from reporting.tables import TableOptions, main, write_tables


def made(tmp_path, *files, rows=ROWS, options=None):
    write_tables(list(files), rows, options or TableOptions(), tmp_path / "tables")
    read = {
        name: pd.read_csv(tmp_path / f"tables/{name}.csv") for name in ("main_table", "ablations_table", "controls")
    }
    return read, {path.name: path.read_text() for path in (tmp_path / "tables").iterdir()}


def test_tables_by_processes_are_the_same(tmp_path, monkeypatch):
    """Where readings are large each table is made in a process of its own."""
    files, clips = [], tuple(f"c{index}" for index in range(6))
    for number, name in enumerate(("echo", "other")):
        files.append(write_result(tmp_path, name, 0, constant(0.3 + 0.1 * number), clips))
        write_readings(files[-1].with_suffix(".features.safetensors"), readings(np.random.default_rng(number)))
    columns = TableOptions(columns=("motion_fd_pooled/expression", "sid/expression", "ssim/frame"))
    write_tables(files, ROWS, columns, tmp_path / "one")
    monkeypatch.setattr("reporting.tables.LARGE", 0)
    write_tables(files, ROWS, columns, tmp_path / "two", workers=2)
    one, two = ({path.name: path.read_bytes() for path in (tmp_path / side).iterdir()} for side in ("one", "two"))
    assert one == two and {f"{name}.csv" for name in TABLES} <= set(one)
    assert b"motion_fd_pooled" in one["comparisons.csv"]


def cell(table, method, column):
    return table.set_index("method").loc[method, column]


def test_mean_is_over_clips_then_seeds(tmp_path):
    by_clip = {"a": 1.0, "b": 2.0, "c": 6.0}
    first = write_result(tmp_path, "echo", 0, lambda metric, part, clip: by_clip.get(clip, 9.0))
    second = write_result(tmp_path, "echo", 1, lambda metric, part, clip: 5.0)
    table = made(tmp_path, first, second)[0]["main_table"]
    assert cell(table, "echo", "ssim/frame_mean") == pytest.approx((3.0 + 5.0) / 2)
    assert cell(table, "echo", "ssim/frame_sd") == pytest.approx(2**0.5)
    assert cell(table, "echo", "ssim/frame_n") == cell(table, "echo", "seeds") == 2
    # a set metric takes the row of the whole set, not the rows per clip kept for paired tests
    assert cell(table, "echo", "expression_correlation/all_mean") == pytest.approx((9.0 + 5.0) / 2)


def test_undefined_values_are_counted_and_never_zero(tmp_path):
    partly = lambda metric, part, clip: "no_speech" if clip == "a" else 0.25  # noqa: E731
    files = [write_result(tmp_path, "echo", 0, partly)]
    files.append(write_result(tmp_path, "frozen", 0, lambda *_: "constant_series"))
    tables, texts = made(tmp_path, *files)
    table = tables["main_table"]
    assert cell(table, "echo", "psnr/frame_mean") == 0.25
    assert cell(table, "echo", "psnr/frame_undefined") == 1 and cell(table, "echo", "psnr/frame_total") == 3
    assert pd.isna(cell(table, "frozen", "psnr/frame_mean")) and cell(table, "frozen", "psnr/frame_n") == 0
    assert "[1/3 undefined]" in texts["main_table.md"] and "– (constant_series)" in texts["main_table.md"]
    assert r"constant\_series" in texts["main_table.tex"]


def test_missing_rows_and_seeds_stay_in_sight(tmp_path):
    one = write_result(tmp_path, "echo", 0, constant(0.5))
    gone = tmp_path / "echo/seed1.csv"
    broken = write_result(tmp_path, "other", 0, lambda m, p, clip: "missing_video")
    tables, texts = made(tmp_path, one, gone, broken)
    table = tables["main_table"]
    assert cell(table, "echo", "status") == "not_run: seed 1"
    assert cell(table, "other", "status") == "missing_video: 3 of 3 clips"
    assert cell(table, "truth", "status") == "not_run"
    assert "1 of 2" in texts["main_table.md"]


def test_each_table_holds_its_groups_in_order(tmp_path):
    tables, _ = made(tmp_path, write_result(tmp_path, "echo", 0, constant(0.1)))
    assert list(tables["main_table"]["method"]) == ["echo", "other", "truth", "vae", "frozen"]
    assert list(tables["ablations_table"]["method"]) == ["echo", "no_lcu", "truth", "vae", "frozen"]
    assert list(tables["main_table"].columns[:3]) == ["method", "group", "seeds"]


def test_best_ignores_controls_and_follows_the_direction(tmp_path):
    values = {"echo": 0.2, "other": 0.4, "truth": 1.0}
    files = [write_result(tmp_path, name, 0, constant(value)) for name, value in values.items()]
    columns = TableOptions(columns=("ssim", "motion_mse/all", "var/all"))
    _, texts = made(tmp_path, *files, options=columns)
    line = {text.split("|")[1].strip(): text for text in texts["main_table.md"].splitlines() if text.startswith("|")}
    marks = [cell.strip() for cell in line["ECHO"].split("|")[-5:-2]]
    assert marks == ["<u>0.200</u>", "**0.200**", "<u>0.200</u>"]  # higher, lower, nearer to 0.5
    assert "*" not in line["Ground truth"] and "<u>" not in line["Ground truth"]
    assert r"\textbf{0.400}" in texts["main_table.tex"] and r"\underline{0.200}" in texts["main_table.tex"]
    assert r"Other \& Co" in texts["main_table.tex"]


@pytest.mark.parametrize("gone", [1, 2])
def test_a_row_that_lacks_more_than_a_tenth_of_its_values_is_not_best(tmp_path, gone):
    clips = tuple(f"c{number:02d}" for number in range(11))
    partly = lambda metric, part, clip: "no_speech" if clip in clips[:gone] else 0.4  # noqa: E731
    files = [write_result(tmp_path, "echo", 0, partly, clips), write_result(tmp_path, "other", 0, constant(0.2), clips)]
    files.append(write_result(tmp_path, "truth", 0, constant(1.0), clips))
    tables, texts = made(tmp_path, *files, options=TableOptions(columns=("ssim",)))
    assert cell(tables["main_table"], "echo", "ssim/frame_lacking") == pytest.approx(gone / 11)
    line = next(text for text in texts["main_table.md"].splitlines() if text.startswith("| ECHO"))
    assert ("**0.400**" in line) == (gone == 1) and f"[{gone}/11 undefined]" in line


def test_a_column_nobody_can_fill_is_named_below(tmp_path):
    file = write_result(tmp_path, "echo", 0, lambda metric, *_: "weights_missing" if metric == "lse_d" else 0.3)
    tables, texts = made(tmp_path, file)
    assert cell(tables["main_table"], "echo", "lse_d/speech_status") == "weights_missing"
    heads = texts["main_table.md"].splitlines()[2]
    assert "LSE-D ↓" not in heads and "LSE-D (small probe) ↓" in heads and "LSE-C ↑" in heads
    assert "Not measured, no weights file was given for this network: LSE-D" in texts["main_table.md"]


def test_columns_left_out_are_named_once_for_each_reason():
    """Where a label ends with a full stop, the sentence has no second one."""
    known = cards()
    pictures = {(known["ssim"], "frame"): "no_pictures", (known["psnr"], "frame"): "no_pictures"}
    found = not_measured(pictures | {(known["expression_correlation"], part): "no_truth" for part in ("all", "smile")})
    assert [line.partition(": ")[2] for line in found] == ["SSIM, PSNR.", "Expr. corr."]
    table = pd.DataFrame({f"{name}_status": ["no_pictures", "not_run"] for name in ("ssim/frame", "psnr/frame")})
    assert unmeasured(table, [*pictures]) == pictures


@pytest.mark.parametrize(("truth", "told"), [(0.5, False), (0.5001, False), (0.52, True)])
def test_rows_with_a_truth_of_their_own_are_named(tmp_path, truth, told):
    """Frames cut as published, say: such a row stands against a truth that is cut in the same way."""
    files = [write_result(tmp_path, name, 0, constant(0.3)) for name in ("echo", "truth", "vae")]
    of = lambda metric, part, clip: truth if part.endswith("_truth") else 0.4  # noqa: E731
    files.append(write_result(tmp_path, "other", 0, of))
    text = made(tmp_path, *files, options=TableOptions(columns=("ssim", "var/all")))[1]["main_table.md"]
    assert ("against a truth of their own: other. " in text) == told
    only = made(tmp_path / "only", *files, options=TableOptions(columns=("ssim",)))[1]["main_table.md"]
    assert "truth of their own" not in only


def test_budgets_come_from_the_weights_cards(tmp_path):
    file = write_result(tmp_path / "metrics", "echo", 0, constant(0.3))
    card = tmp_path / "models/echo/seed0.json"
    card.parent.mkdir(parents=True)
    card.write_text(json.dumps({"card": {"steps": 1700, "samples": 27200, "parameters": 512345}}))
    tables, texts = made(tmp_path, file)
    assert cell(tables["main_table"], "echo", "samples") == 27200
    assert "512,345" in texts["main_table.md"]


def test_unequal_test_sets_are_named(tmp_path):
    files = [write_result(tmp_path, "echo", 0, constant(0.3))]
    files.append(write_result(tmp_path, "other", 0, constant(0.3), clips=("a", "b")))
    assert "Unequal test sets, not comparable: echo 3, other 2" in made(tmp_path, *files)[1]["main_table.md"]


def test_controls_hold_are_violated_or_undefined(tmp_path):
    files = [write_result(tmp_path, "truth", 0, constant(0.9)), write_result(tmp_path, "vae", 0, constant(0.7))]
    files.append(write_result(tmp_path, "frozen", 0, lambda *_: "constant_series"))
    checked = made(tmp_path, *files)[0]["controls"].set_index(["metric", "part", "better", "worse"])
    assert checked.loc[("ssim", "frame", "ground_truth", "vae_round_trip"), "verdict"] == "holds"
    assert checked.loc[("motion_mse", "lips", "ground_truth", "vae_round_trip"), "verdict"] == "violated"
    frozen = checked.loc[("ssim", "frame", "vae_round_trip", "frozen_reference")]
    assert frozen["verdict"] == "undefined" and "constant_series" in frozen["reason"]


@pytest.mark.parametrize(("first", "second", "verdict"), [(0.55, 0.2, "holds"), (0.9, 0.5, "violated")])
def test_a_truth_metric_is_judged_by_nearness(tmp_path, first, second, verdict):
    files = [write_result(tmp_path, "truth", 0, constant(first)), write_result(tmp_path, "frozen", 0, constant(second))]
    summary = summarise(seed_values(read_rows(files)))
    checked = check_controls(summary, {"truth": "ground_truth", "frozen": "frozen_reference"})
    line = checked[(checked["metric"] == "var") & (checked["worse"] == "frozen_reference")]
    line = line[line["better"] == "ground_truth"]
    assert set(line["verdict"]) == {verdict}


@pytest.mark.parametrize(("wrong", "verdict"), [(0.5, "holds"), (0.2, "violated")])
def test_blindness_is_nearness_to_the_right_one(tmp_path, wrong, verdict):
    values = {"vae": 0.6, "shuffled": wrong, "frozen": 0.1}
    files = [write_result(tmp_path, name, 0, constant(value)) for name, value in values.items()]
    checked = check_controls(summarise(seed_values(read_rows(files))), {name: control_name(name) for name in values})
    line = checked[checked["relation"] == "not told from"].set_index(["metric", "part", "better", "worse"])
    found = line.loc[("motion_fd_pooled", "pose", "vae_round_trip", "shuffled_partner")]
    assert found["verdict"] == verdict and ("is nearer" in found["reason"]) == (verdict == "violated")
    shifted = line.loc[("motion_fd_pooled", "pose", "ground_truth", "time_shifted_audio")]
    assert shifted["verdict"] == "undefined" and "not a row" in shifted["reason"]


def test_the_full_table_has_every_metric_once(tmp_path):
    def value(level, silent=()):
        def at(metric, part, clip):
            if metric == "lpips" or clip in silent and metric == "sts":
                return "weights_missing" if metric == "lpips" else "no_speech"
            return constant(level)(metric, part, clip)

        return at

    files = [write_result(tmp_path, "echo", seed, value(0.3)) for seed in (0, 1)]
    files.append(write_result(tmp_path, "truth", 0, value(0.5, silent=("a",))))
    _, texts = made(tmp_path, *files)
    full = pd.read_csv(tmp_path / "tables/full_table.csv", keep_default_na=False).set_index(["metric", "part"])
    shown = [card for card in cards().values() if card.name != "lpips"]
    wanted = {(card.name, part) for card in shown for part in card.parts + card.estimate_parts}
    assert set(full.index) == wanted and not full.index.duplicated().any()
    assert list(full.columns) == ["unit", "aim", "echo", "other", "no_lcu", "truth", "vae", "frozen"]
    assert full.loc[("psnr", "frame"), "echo"] == "0.300 ± 0.000"
    assert full.loc[("psnr", "frame"), "vae"] == "– (not_run)"
    assert full.loc[("sts", "pose"), "truth"] == "0.500 [1/3 undefined]"
    assert full.loc[("sid", "pose"), "aim"] == "→ 0.500"
    assert full.loc[("rdgg", "audio_given_motion"), "truth"] == "0.500 [0.500, 0.500], p 0.500"
    page = texts["full_table.md"]
    assert "Not measured, no weights file was given for this network: lpips." in page and "vae (not_run)" in page


def test_equal_controls_are_not_separated(tmp_path):
    files = [write_result(tmp_path, name, 0, constant(0.7)) for name in ("truth", "vae")]
    checked = made(tmp_path, *files)[0]["controls"]
    line = checked[(checked["metric"] == "ssim") & (checked["worse"] == "vae_round_trip")].iloc[0]
    assert (line["verdict"], line["reason"]) == ("violated", "the values are equal")


def test_every_control_of_the_cards_can_be_named():
    named = {name for card in cards().values() for pair in card.separates for name in pair if isinstance(name, str)}
    assert named <= set(ALIASES.values())
    assert control_name("gt", "baselines.controls:GroundTruth") == "ground_truth"


def test_default_columns_exist():
    assert len(chosen_columns(DEFAULT_COLUMNS)) == len(DEFAULT_COLUMNS)


@pytest.mark.parametrize("column", ["no_such_metric", "ssim/mouth"])
def test_an_unknown_column_is_refused(column):
    with pytest.raises(ConfigError, match=column):
        chosen_columns((column,))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("method,seed", "name,seed"), "columns"),
        ((",0.3,ok", ",abc,ok"), "no number"),
        ((",0.3,ok", ",,ok"), "gives no value"),
    ],
)
def test_a_damaged_result_file_is_named(tmp_path, change, message):
    file = write_result(tmp_path, "echo", 0, constant(0.3))
    file.write_text(file.read_text().replace(*change))
    with pytest.raises(DataError, match=message) as caught:
        read_rows([file])
    assert "seed0.csv" in str(caught.value)


def test_splits_are_not_mixed(tmp_path):
    first, second = (write_result(tmp_path, name, 0, constant(0.3)) for name in ("echo", "other"))
    second.write_text(second.read_text().replace(",test,", ",train,"))
    with pytest.raises(DataError, match="splits"):
        read_rows([first, second])


def test_a_file_given_twice_is_refused(tmp_path):
    file = write_result(tmp_path, "echo", 0, constant(0.3))
    with pytest.raises(DataError, match="twice"):
        read_rows([file, file])


def test_the_command_reads_a_folder_and_shows_a_table(tmp_path, capsys):
    write_result(tmp_path / "metrics", "echo", 0, constant(0.3))
    main(["--metrics", str(tmp_path / "metrics"), "--rows", json.dumps(ROWS), "--out", str(tmp_path / "tables")])
    capsys.readouterr()
    main(["--print", str(tmp_path / "tables/main_table.md")])
    assert capsys.readouterr().out.startswith("## Main results")
    names = {path.name for path in (tmp_path / "tables").iterdir()}
    shown = ("main_table", "ablations_table", "talking_table", "listening_table", "efficiency_table", "controls")
    tidy = ("comparisons", "ranks", "values", "summary", "metrics", "full_table")
    kinds = {f"{name}.{kind}" for name in shown for kind in ("csv", "md", "tex")}
    assert names == kinds | {f"{name}.csv" for name in tidy} | {"full_table.md"}


def test_a_mistake_is_one_sentence(tmp_path):
    command = [sys.executable, "-m", "reporting.tables", "--metrics", str(tmp_path), "--out", str(tmp_path / "t")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("error: no result files") and "Traceback" not in done.stderr
    result, out = write_result(tmp_path / "m", "a", 0, constant(0.3)), tmp_path / "t"
    asked = ["--metrics", str(result), "--out", str(out)]
    for row, said in ((1, "is 1"), ({"group": "foo"}, "group is 'foo'"), ({"seeds": "x"}, "seeds is 'x'")):
        with pytest.raises(ConfigError, match=f"--rows: a[ .]{said}"):
            main([*asked, "--rows", json.dumps({"a": row})])
    with pytest.raises(ConfigError, match="--threads is 0"):
        main([*asked, "--threads", "0"])
    assert not out.exists()
