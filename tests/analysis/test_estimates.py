"""Frechet distances of the set come with their count and their extrapolation, and unequal counts are not compared."""

import math

import numpy as np
import pytest
from study_rows import ROWS, constant, write_result

from analysis.pairing import compare
from dyads.synthetic.coefficients import COEFFICIENTS
from evaluation.cards import OK, count_part, extrapolated_part
from evaluation.clips import MOTION_PARTS, Clip
from evaluation.frechet import MINIMUM_UNITS
from evaluation.metrics._estimate import estimate
from evaluation.metrics.motion import motion_fd, paired_fd
from evaluation.metrics.pictures import fid_small
from evaluation.readings.by_row import Readings
from evaluation.registry import cards
from evaluation.rows import read_rows
from reporting.tables import TableOptions, write_tables

ESTIMATES = ("fid_small", "motion_fd_pooled", "paired_fd_pooled")


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def rows(generated, true) -> dict[str, tuple[float, str]]:
    found = {row.part: (row.value, row.status) for row in estimate("m", "all", generated, true)}
    assert set(found) == {"all", "all_count", "all_extrapolated"}
    return found


def clip(seed: int, frames: int = 60) -> Clip:
    arrays = noise(seed, 3, frames, len(COEFFICIENTS))
    return Clip(
        f"c{seed}", frames, OK, np.zeros(0, bool), names=COEFFICIENTS, motion_generated=arrays[0],
        motion_true=arrays[1], motion_user=arrays[2], image_generated=noise(seed + 50, frames, 64),
        image_true=noise(seed + 99, frames, 64),
    )  # fmt: skip


def test_the_extrapolation_takes_out_most_of_the_bias_of_the_count():
    """Both sides from one distribution: the true distance is 0."""
    distances, extrapolations = [], []
    for seed in range(5):
        found = rows(list(noise(seed, 20, 30, 12)), list(noise(seed + 50, 20, 30, 12)))
        assert found["all_count"] == (600, OK)
        distances.append(found["all"][0])
        extrapolations.append(found["all_extrapolated"][0])
    assert np.mean(distances) > 0.05 and abs(np.mean(extrapolations)) < np.mean(distances) / 4


def test_every_method_is_extrapolated_through_the_same_subsets():
    true, generated = list(noise(0, 12, 30, 4)), list(noise(1, 12, 30, 4))
    assert rows(generated, true) == rows(generated, true)
    far = [samples + 3 for samples in generated]
    moved = rows(far, true)["all_extrapolated"][0] - rows(generated, true)["all_extrapolated"][0]
    assert moved == pytest.approx(rows(far, true)["all"][0] - rows(generated, true)["all"][0], rel=0.05)


def test_few_clips_have_a_distance_but_no_extrapolation():
    few = list(noise(0, MINIMUM_UNITS - 1, 30, 4))
    found = rows(few, list(noise(1, MINIMUM_UNITS - 1, 30, 4)))
    assert found["all"][1] == found["all_count"][1] == OK
    assert math.isnan(found["all_extrapolated"][0]) and found["all_extrapolated"][1] == "too_few_clips"


def test_no_more_clips_than_dimensions_have_no_extrapolation():
    """Of 64 dimensions and 32 clips it was 0.72 where the truth is 0.46: the bias is no straight line there."""
    for clips, status in ((12, "too_few_clips"), (13, OK)):
        found = rows(list(noise(0, clips, 30, 12)), list(noise(1, clips, 30, 12)))
        assert found["all_extrapolated"][1] == status and found["all"][1] == OK


def test_without_a_distance_there_is_no_extrapolation_but_a_count():
    broken = list(noise(0, 12, 30, 4))
    broken[3][5] = np.nan
    found = rows(broken, list(noise(1, 12, 30, 4)))
    assert found["all_count"] == (360, OK)
    assert found["all"][1] == found["all_extrapolated"][1] == "not_finite"


@pytest.mark.parametrize("module, metric", [(fid_small, "fid_small"), (motion_fd, None), (paired_fd, None)])
def test_set_metrics_write_all_three(module, metric):
    enough = 66  # more clips than any of them has dimensions
    clips = [clip(seed) for seed in range(enough)]
    found = {(row.metric, row.part): row for row in module.set_values(clips, None)}
    metric = metric or next(card.name for card in module.CARDS if card.per == "set")
    assert set(found) == {(metric, part) for part in cards()[metric].all_parts}
    assert all(row.status == OK for row in found.values())
    for part in cards()[metric].parts:
        assert found[metric, count_part(part)].value == 60 * enough
        assert found[metric, extrapolated_part(part)].value < found[metric, part].value


def test_a_part_without_names_has_none_of_them():
    clips = [clip(seed) for seed in range(2)]
    for one in clips:
        one.names = ()
    found = {row.part: row.status for row in motion_fd.set_values(clips, None)}
    for part in MOTION_PARTS:
        wanted = OK if part == "all" else "no_truth"
        assert found[part] == found[count_part(part)] == wanted


def test_all_frechet_distances_of_the_set_are_estimates():
    assert {name for name, card in cards().items() if card.estimate} >= set(ESTIMATES)


# Tables


def text_of(tmp_path, counts: dict[str, float]) -> tuple[str, list]:
    values = map(constant, (0.2, 0.3, 0.4))
    files = [
        write_result(tmp_path, name, 0, value, count=n)
        for value, (name, n) in zip(values, counts.items(), strict=False)
    ]
    write_tables(files, ROWS, TableOptions(columns=("fid_small/frame",)), tmp_path / "tables")
    return (tmp_path / "tables/main_table.md").read_text(), files


def test_tables_tell_count_and_extrapolation(tmp_path):
    text, _ = text_of(tmp_path, {"echo": 3200, "other": 3200})
    assert "FID (small probe): 3,200 samples a side; extrapolated to infinitely many: echo 0.200, other 0.300." in text
    assert "**0.200**" in text
    full = (tmp_path / "tables/full_table.csv").read_text()
    assert "fid_small,frame_count,sample,," in full and "fid_small,frame_extrapolated,feature²,↓" in full


def test_unequal_counts_are_not_compared(tmp_path):
    text, files = text_of(tmp_path, {"echo": 3200, "other": 3100})
    assert "so no row is best and none compared with one of another count: echo 3,200, other 3,100." in text
    assert "**0.200**" not in text
    measured = read_rows(files)
    for metric, status in (("fid_small", "unequal_counts"), ("var_flat", OK)):
        part = cards()[metric].parts[0]
        assert compare(measured, metric, part, ("echo", "other"), Readings(), resample=False).status == status


def test_note_and_marks_rest_on_the_rows_that_compete(tmp_path):
    """A control of another count takes nothing from rows of equal counts; the note names it."""
    text, _ = text_of(tmp_path, {"echo": 3200, "other": 3200, "truth": 3100})
    assert "**0.200**" in text and "<u>0.300</u>" in text and "no row is best" not in text
    assert "3,200 samples a side (other counts bias it differently: truth 3,100); extrapolated" in text
    alone, _ = text_of(tmp_path / "alone", {"truth": 3100, "vae": 3100, "frozen": 3200})
    assert "3,100 samples a side (other counts bias it differently: frozen 3,200)" in alone
