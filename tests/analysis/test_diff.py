"""Comparing result folders: every kind of difference is found and named, what may differ is not, exit codes hold."""

import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from study_folders import write_study
from study_rows import ROWS

from analysis.diff import Tolerance, category_of, compare_folders, compare_rows, compare_tables
from analysis.diff.__main__ import main
from dyads.errors import ConfigError
from evaluation.cards import OK, STATUSES
from evaluation.rows import COLUMNS
from reporting.tables import TableOptions, write_tables

ROOT = Path(__file__).resolve().parents[2]
NUMBERS = st.floats(-1e6, 1e6)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return write_study(tmp_path_factory.mktemp("original"))


@pytest.fixture
def pair(original, tmp_path):
    """The same study twice; the second may be changed."""
    return original, Path(shutil.copytree(original, tmp_path / "copy"))


def edit_json(path: Path, change) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def edit_rows(path: Path, change) -> None:
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    change(frame).to_csv(path, index=False, lineterminator="\n")


def found(pair, category, **options):
    return [one for one in compare_folders(*pair, Tolerance(), **options) if one.category == category]


def test_a_copy_is_equal(pair, capsys):
    assert compare_folders(*pair, Tolerance(), videos=True) == []
    assert main([*map(str, pair), "--videos"]) == 0
    assert capsys.readouterr().out.rstrip().endswith("Equal without any tolerance.")


def test_a_value_beyond_tolerance_is_named_with_method_seed_clip_and_metric(pair):
    def change(frame):
        line = (frame["metric"] == "ssim") & (frame["clip"] == "c")
        frame.loc[line, "value"] = "0.5005"
        return frame

    edit_rows(pair[1] / "metrics/no_lcu/seed1.csv", change)
    (one,) = found(pair, "values")
    assert (one.place, one.what, one.a, one.b) == ("no_lcu/seed1/c", "ssim/frame", "0.5", "0.5005")
    assert not compare_folders(*pair, Tolerance(absolute=0.001))
    assert not compare_folders(*pair, Tolerance(relative=0.001))
    assert compare_folders(*pair, Tolerance(absolute=1e-4, relative=1e-4))


def test_another_reason_for_no_value_and_a_value_for_none_are_differences(pair):
    def change(frame):
        lines = frame.index[(frame["metric"] == "psnr") & (frame["clip"] == "b")]
        frame.loc[lines, "status"] = "not_finite"
        other = frame.index[(frame["metric"] == "ssim") & (frame["clip"] == "a")]
        frame.loc[other, ["value", "status"]] = ["", "no_speech"]
        return frame

    edit_rows(pair[1] / "metrics/echo/seed0.csv", change)
    # no tolerance makes an undefined value equal to a number, or one reason to another
    differences = [one for one in compare_folders(*pair, Tolerance(absolute=1e9)) if one.category == "values"]
    shown = {(one.what, one.a, one.b) for one in differences}
    assert shown == {("psnr/frame", "no_speech", "not_finite"), ("ssim/frame", "0.5", "no_speech")}


def test_missing_rows_and_files_are_named_on_either_side(pair):
    original, copy = pair
    edit_rows(copy / "metrics/echo/seed0.csv", lambda frame: frame[frame["metric"] != "ssim"])
    for path in ("metrics/no_lcu/seed1.csv", "models/echo/seed1.json", "tables/controls.csv"):
        (copy / path).unlink()
    missing = found(pair, "missing")
    rows = [one for one in missing if one.what == "ssim/frame"]
    assert {one.place for one in rows} == {f"echo/seed0/{clip}" for clip in "abc"}
    assert all((one.a, one.b) == ("0.5", "") for one in rows)
    assert {one.place for one in missing if one.a == "a file"} == {
        "metrics/no_lcu/seed1.csv", "models/echo/seed1.json", "tables/controls.csv",
    }  # fmt: skip
    turned = found(pair[::-1], "missing")
    assert {(one.place, one.what, one.a, one.b) for one in turned} == {
        (one.place, one.what, one.b, one.a) for one in missing
    }


@pytest.mark.parametrize(
    "category, change",
    [
        ("options", lambda content: content["options"]["train"].update(steps=7)),
        ("code", lambda content: content.update(git_commit="def")),
        ("versions", lambda content: content["versions"].update(torch="2.14.0")),
        ("versions", lambda content: content["versions"].pop("torch")),
        ("hardware", lambda content: content["hardware"].update(gpus=["H200"])),
        ("weights", lambda content: content["weights"].update(result="ff00")),
        ("record", lambda content: content["card"].update(parameters=11)),
        ("ignored", lambda content: content["card"].update(train_seconds=9.0)),
        ("ignored", lambda content: content.update(wall_seconds=9.0)),
    ],
)
def test_provenance_is_compared_by_kind(pair, capsys, category, change):
    edit_json(pair[1] / "models/echo/seed0.json", change)
    differences = compare_folders(*pair, Tolerance())
    assert [(one.category, one.place) for one in differences] == [(category, "models/echo/seed0.json")]
    arguments = [*map(str, pair), "--show-ignored"]
    assert main(arguments) == (category != "ignored")
    assert f"{category}:" in capsys.readouterr().out
    assert main([*arguments, "--ignore", category]) == 0
    assert "not counted" in capsys.readouterr().out


def test_the_same_change_in_many_files_is_shown_once(pair, capsys):
    for path in (pair[1] / "metrics").rglob("*.json"):
        edit_json(path, lambda content: content["versions"].update(torch="2.14.0"))
    assert main([*map(str, pair)]) == 1
    out = capsys.readouterr().out
    assert "and 3 more" in out and out.count("versions.torch") == 1 and "4 versions" in out


def test_tables_are_compared_cell_by_cell(pair):
    def change(frame):
        frame.loc[frame["method"] == "echo", "psnr/frame_mean"] = "0.75"
        return frame.iloc[::-1]  # another order is no difference

    edit_rows(pair[1] / "tables/ablations_table.csv", change)
    (one,) = [one for one in compare_folders(*pair, Tolerance()) if one.category != "ignored"]
    assert (one.category, one.place, one.what) == ("tables", "tables/ablations_table.csv: echo", "psnr/frame_mean")
    assert (one.a, one.b) == ("0.5", "0.75")


def test_another_speed_is_no_difference(pair):
    """Two runs never take the same time: measured speeds may differ, in the rows and in every table of them."""
    _, b = pair
    files = sorted((b / "metrics").glob("*/seed*.csv"))
    for file in files:
        rows = pd.read_csv(file, dtype=str, keep_default_na=False)
        timed = rows["metric"].isin(["frames_per_second", "latency"])
        assert timed.any()
        rows.loc[timed, "value"] = "12.5"
        rows.to_csv(file, index=False, lineterminator="\n")
    write_tables(files, {name: ROWS[name] for name in ("echo", "no_lcu")}, TableOptions(), b / "tables")
    found = compare_folders(*pair, Tolerance())
    assert {one.category for one in found} == {"ignored"}
    assert {one.place.partition(":")[0] for one in found} >= {"tables/values.csv", "tables/full_table.csv"}
    assert main([*map(str, pair)]) == 0


def test_tables_without_names_are_compared_by_line_and_speeds_are_ignored():
    a = pd.DataFrame({"x": ["1", "2"], "frames_per_second": ["3", "4"]})
    b = pd.DataFrame({"x": ["1", "2.5"], "frames_per_second": ["30", "4"]})
    differences = list(compare_tables(a, b, "t", Tolerance()))
    assert [(one.category, one.place, one.what) for one in differences] == [
        ("ignored", "t: line 1", "frames_per_second"),
        ("tables", "t: line 2", "x"),
    ]
    assert [one.what for one in compare_tables(a, b[["x"]], "t", Tolerance(absolute=1))] == ["frames_per_second"]


def test_videos_are_hashed_on_demand(pair):
    (pair[1] / "videos/echo/seed1/a.mp4").write_bytes(b"other")
    (pair[1] / "videos/echo/seed0/a.mp4").unlink()
    assert compare_folders(*pair, Tolerance()) == []
    assert {(one.category, one.place) for one in compare_folders(*pair, Tolerance(), videos=True)} == {
        ("videos", "videos/echo/seed1/a.mp4"), ("missing", "videos/echo/seed0/a.mp4"),
    }  # fmt: skip


def test_json_holds_everything(pair, capsys):
    edit_rows(pair[1] / "metrics/echo/seed0.csv", lambda frame: frame.replace("0.5", "0.75"))
    assert main([*map(str, pair), "--json", "--limit", "1"]) == 1
    content = json.loads(capsys.readouterr().out)
    assert not content["equal"] and content["tolerance"] == {"absolute": 0.0, "relative": 0.0}
    values = [one for one in content["differences"] if one["category"] == "values"]
    assert len(values) > 100 and all(one["b"] == "0.75" and one["counted"] for one in values)


def test_only_compares_some_stages(pair):
    edit_json(pair[1] / "models/echo/seed0.json", lambda content: content.update(git_commit="def"))
    shutil.rmtree(pair[1] / "metrics")
    assert found(pair, "missing") and found(pair, "code")
    assert compare_folders(*pair, Tolerance(), ("tables",)) == []


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("nowhere",), "holds none of metrics, models, videos, tables"),
        ((".", "--absolute", "-1"), "--absolute is -1"),
        ((".", "--relative", "nan"), "--relative is nan"),
        ((".", "--videos", "--only", "tables"), "--videos needs the stage"),
    ],
)
def test_errors_have_exit_code_2_and_one_sentence(original, tmp_path, arguments, message):
    other = original if arguments[0] == "." else tmp_path / arguments[0]
    command = [sys.executable, "-m", "analysis.diff", str(original), str(other), *arguments[1:]]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 2 and message in result.stderr and "Traceback" not in result.stderr


def test_a_broken_file_is_an_error_and_no_difference(pair):
    (pair[1] / "models/echo/seed0.json").write_text("{")
    command = [sys.executable, "-m", "analysis.diff", *map(str, pair)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 2 and "seed0.json is no provenance file" in result.stderr


# Values


@given(NUMBERS, NUMBERS, st.floats(0, 10), st.floats(0, 1))
def test_tolerance_is_symmetric_and_as_defined(a, b, absolute, relative):
    tolerance = Tolerance(absolute, relative)
    equal = tolerance.equal(a, b)
    assert equal == tolerance.equal(b, a) and tolerance.equal(a, a)
    assert equal == (abs(a - b) <= absolute or abs(a - b) <= relative * max(abs(a), abs(b)))
    if equal:  # a larger tolerance never makes a difference
        assert Tolerance(absolute + 1, relative).equal(a, b) and Tolerance(absolute, 1.0 + relative).equal(a, b)


@given(st.floats(allow_nan=True, allow_infinity=True), st.floats(allow_nan=True, allow_infinity=True))
def test_without_tolerance_only_the_same_is_equal(a, b):
    assert Tolerance().equal(a, b) == (a == b or (math.isnan(a) and math.isnan(b)))
    if math.isfinite(a) != math.isfinite(b):
        assert not Tolerance(1e300, 1e300).equal(a, b)


FAILED = st.sampled_from(sorted(set(STATUSES) - {OK})).map(lambda status: (math.nan, status))
OUTCOMES = st.one_of(NUMBERS.map(lambda value: (value, OK)), FAILED)
TABLES = st.dictionaries(st.sampled_from(["a", "b", "c", "d", "*"]), OUTCOMES, max_size=5)


def as_rows(clips: dict) -> pd.DataFrame:
    lines = [("echo", 0, "synthetic", "test", clip, "psnr", "frame", *outcome) for clip, outcome in clips.items()]
    return pd.DataFrame(lines, columns=list(COLUMNS)).astype({"value": float, "seed": int})


@given(TABLES, TABLES, st.floats(0, 100))
def test_rows_differ_exactly_where_values_statuses_or_presence_do(a, b, absolute):
    tolerance = Tolerance(absolute)
    differences = {one.place.rpartition("/")[2]: one for one in compare_rows(as_rows(a), as_rows(b), tolerance)}
    for clip in {*a, *b}:
        if clip not in a or clip not in b:
            assert differences[clip].category == "missing"
            assert (differences[clip].a == "", differences[clip].b == "") == (clip not in a, clip not in b)
        else:
            (value, status), (other, other_status) = a[clip], b[clip]
            same = status == other_status and (status != OK or abs(value - other) <= absolute)
            assert (clip not in differences) == same
    assert set(differences) <= {*a, *b}


def test_categories_of_keys():
    assert category_of("options.world.seconds") == "options"  # an option, not a measured time
    assert category_of("protocol.lse_d") == "record"
    assert category_of("probes.motion.data_manifest_sha256") == "weights"
    assert category_of("card.train_seconds") == category_of("finished_date") == "ignored"


def test_a_tolerance_must_be_a_finite_number():
    with pytest.raises(ConfigError, match="absolute is inf"):
        Tolerance(absolute=math.inf)


def of_another_machine(folder, **values):
    """Every record says that another kind of machine made it, and its weights have another hash."""
    for path in folder.rglob("*.json"):
        content = json.loads(path.read_text())
        if "versions" in content:
            content["machine"] = {"cpu": "AuthenticAMD 25/1", "capability": "AVX2", "kind": "b"} | values
            content.get("weights", {}).update(result="ff00")
            path.write_text(json.dumps(content))


def test_another_machine_kind_is_equal_to_tolerance_and_no_list_of_hashes(pair, capsys):
    for side, kind in zip(pair, ("AVX512", "AVX2"), strict=True):
        of_another_machine(side, capability=kind, kind=kind)
    for path in pair[1].rglob("*.json"):
        content = json.loads(path.read_text())
        if "weights" in content:
            content["weights"].update(result="00ff")
            path.write_text(json.dumps(content))

    def nearly(frame):
        frame.loc[frame["metric"] == "psnr", "value"] = [
            f"{float(value) * 1.0001:.9g}" if value else value
            for value in frame.loc[frame["metric"] == "psnr", "value"]
        ]
        return frame

    edit_rows(pair[1] / "metrics/echo/seed0.csv", nearly)
    assert main([*map(str, pair)]) == 0
    out = capsys.readouterr().out
    assert "Other machine kind: equal to tolerance (1e-06 absolute or 0.001 relative)." in out
    assert "AVX512" in out and "machine.capability" in out
    edit_rows(
        pair[1] / "metrics/echo/seed0.csv", lambda frame: frame.assign(value=frame["value"].replace("0.5", "0.6"))
    )
    assert main([*map(str, pair)]) == 1
    assert "Other machine kind, and different within" in capsys.readouterr().out


def test_on_machines_of_one_kind_every_hash_counts(pair, capsys):
    for side in pair:
        of_another_machine(side)
    path = next(path for path in sorted(pair[1].rglob("*.json")) if "weights" in json.loads(path.read_text()))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"weights": {"result": "00ff"}}))
    assert main([*map(str, pair)]) == 1
    assert "Other machine kind" not in capsys.readouterr().out
