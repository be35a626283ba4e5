"""Tables by state: values over the frames in which the avatar speaks or listens, from readings, against direct sums."""

import numpy as np
import pandas as pd
import pytest
from readings_file import META, readings, write_readings
from study_rows import constant, write_result

from analysis.pairing import compare
from evaluation.cards import STATUSES
from evaluation.clips import GROUPS, columns
from evaluation.readings.by_row import Readings
from evaluation.readings.set_level import set_metric
from evaluation.readings.stored import each_clip
from evaluation.readings.talking_listening import masked, note, state_rows
from evaluation.registry import cards
from evaluation.rows import WHOLE_SET, read_rows
from reporting.method_tables import TABLES

SETS = [(cards()[name], part) for name, part in (("motion_fd_pooled", "expression"), ("sid", "expression"))]
COLUMNS = [*SETS, (cards()["motion_mse"], "expression"), (cards()["var"], "expression")]
CLIPS = tuple(f"c{index}" for index in range(6))


@pytest.fixture
def run(tmp_path):
    """One run's rows, its readings, and where they lie; half of the frames are spoken."""
    found = readings(np.random.default_rng(0))
    path = write_result(tmp_path, "a", 0, constant(0.3), CLIPS)
    return read_rows([path]), found, {("a", 0): write_readings(path.with_suffix(".features.safetensors"), found)}


def value(rows, clip, metric, part):
    line = rows[(rows["clip"] == clip) & (rows["metric"] == metric) & (rows["part"] == part)]
    assert len(line) == 1
    return line["value"].iloc[0], line["status"].iloc[0]


@pytest.mark.parametrize("state", ["talking", "listening"])
def test_values_are_those_of_the_states_frames(run, state):
    rows, found, files = run
    own = state_rows(rows, files, state, COLUMNS)
    here = columns(META["names"], GROUPS["expression"])
    for name, clip in found.items():
        frames = clip["speaking"].astype(bool) == (state == "talking")
        error = np.square((clip["generated"] - clip["true"])[frames][:, here]).mean()
        assert value(own, name, "motion_mse", "expression") == (pytest.approx(error, rel=1e-5), "ok")
        spread = clip["generated"][frames][:, here].var(0).mean()
        assert value(own, name, "var", "expression")[0] == pytest.approx(spread, rel=1e-4)
    kept = {name: masked(clip, state) for name, clip in found.items()}
    for card, part in SETS:
        sums = set_metric(card.name, part, kept, META)
        assert value(own, WHOLE_SET, card.name, part)[0] == pytest.approx(
            float(sums.value(np.ones((1, 6)) @ sums.cells)[0])
        )
    assert np.isfinite(value(own, WHOLE_SET, "sid", "expression_truth")[0])


def test_metrics_of_speech_stand_while_it_talks_only(run):
    rows, _, files = run
    talking, listening = (state_rows(rows, files, state, COLUMNS) for state in ("talking", "listening"))
    assert value(talking, "c0", "mouth_opening_correlation", "speech") == (0.3, "ok")
    assert not listening["part"].str.startswith("speech").any()
    assert value(listening, WHOLE_SET, "nod_correlation", "due") == (0.3, "ok")  # nods are due in silence
    assert not (talking["part"] == "due").any()


@pytest.mark.parametrize("name", ["talking_table", "listening_table"])
def test_no_column_of_a_row_with_results_is_not_run(tmp_path, name):
    """What the readings do not give has the reason of the whole study."""
    path = write_result(tmp_path, "a", 0, lambda metric, *_: "no_truth" if "nod" in metric else "no_pictures", CLIPS)
    found = readings(np.random.default_rng(0))
    few = {clip: {k: v for k, v in series.items() if not k.startswith("image")} for clip, series in found.items()}
    files = {("a", 0): write_readings(path.with_suffix(".features.safetensors"), few)}
    table = TABLES[name]
    own = state_rows(read_rows([path]), files, table.state, columns := table.asked(()))
    states = {(line.metric, line.part): line.status for line in own.itertuples()}
    assert set(states) >= {(card.name, part) for card, part in columns}
    assert states["fid_small", "frame"] == "no_pictures"
    assert name == "talking_table" or states["nod_delay", "due"] == "no_truth"


def test_unequal_counts_in_a_state_are_not_compared(run, tmp_path):
    """Frames that were not seen leave a row with another count, which the whole study need not have."""
    rows, found, files = run
    for clip in found.values():
        clip["valid"] = np.ones(len(clip["speaking"]), np.uint8)
    rows = pd.concat([rows, rows.assign(method="b")])
    for gone, status in ((0, "ok"), (1, "unequal_counts")):
        found["c0"]["valid"][:gone] = 0
        files["b", 0] = write_readings(tmp_path / f"b{gone}.safetensors", found)
        spoken = bool(found["c0"]["speaking"][0])
        own = state_rows(rows, files, "talking" if spoken else "listening", SETS)
        number = sum((clip["speaking"].astype(bool) == spoken).sum() for clip in found.values())
        counts = own[own["part"] == "expression_count"].set_index("method")["value"]
        assert counts.to_dict() == {"a": number, "b": number - gone}
        assert compare(own, "motion_fd_pooled", "expression", ("a", "b"), Readings(), False).status == status


def test_a_clip_with_too_few_frames_is_left_out_of_the_set_and_says_so(run, tmp_path):
    rows, found, _ = run
    found["c2"]["speaking"] = np.zeros(60, np.uint8)
    files = {("a", 0): write_readings(tmp_path / "few.safetensors", found)}
    own = state_rows(rows, files, "talking", COLUMNS)
    number, status = value(own, "c2", "motion_mse", "expression")
    assert np.isnan(number) and status == "no_speech" and status in STATUSES
    kept = {name: masked(clip, "talking") for name, clip in found.items() if name != "c2"}
    sums = set_metric("motion_fd_pooled", "expression", kept, META)
    assert value(own, WHOLE_SET, "motion_fd_pooled", "expression")[0] == pytest.approx(
        float(sums.value(np.ones((1, 5)) @ sums.cells)[0])
    )


def test_a_failed_clip_leaves_the_set_without_values(run):
    rows, _, files = run
    failed = rows["clip"] == "c1"
    rows = rows.assign(
        value=rows["value"].where(~failed), status=rows["status"].where(~failed, "missing_video")
    )  # readings are those of the other clips
    own = state_rows(rows, files, "listening", COLUMNS)
    number, status = value(own, WHOLE_SET, "motion_fd_pooled", "expression")
    assert np.isnan(number) and status == "missing_video"


def test_without_readings_there_are_no_values(run, tmp_path):
    rows, _, _ = run
    assert set(state_rows(rows, {}, "listening", COLUMNS)["part"]) == {"due"}
    gone = state_rows(rows, {("a", 0): tmp_path / "gone"}, "talking", COLUMNS)
    assert set(gone["part"]) == {part for part in rows["part"] if part.startswith("speech")}
    assert "speaks" in note("talking") and "does not speak" in note("listening")


def test_large_readings_give_the_same_row_by_row(run, monkeypatch):
    """What is too large to keep is read for all that will be asked, then once more for what nobody announced."""
    files = run[2]
    wanted = Readings(files)
    kept = {name: wanted.set_metric("a", 0, name, "expression") for name in ("sid", "motion_fd_pooled")}
    monkeypatch.setattr("evaluation.readings.by_row.LARGE", 0)
    reads = []
    monkeypatch.setattr("evaluation.readings.by_row.each_clip", lambda path: reads.append(path) or each_clip(path))
    large = Readings(files, asked=[("sid", "expression"), ("sid", "pose")])
    for name, sums in kept.items():
        for _ in range(2):
            found = large.set_metric("a", 0, name, "expression")
            np.testing.assert_array_equal(found.cells, sums.cells)
    assert len(reads) == 2
    assert large.set_metric("a", 0, "rpcc", "expression") is None and len(reads) == 2
