"""Which metric sees which fault: what is done to videos, and what is said of the values that come out."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dyads.errors import DataError
from evaluation.registry import cards
from evaluation.rows import COLUMNS
from reporting.score.trust import BASE, degraded, late, recorded, table, verdicts

PAGE = Path(__file__).parents[2] / "docs" / "trust.md"


def rows(metric: str, part: str, values: dict[str, list[float]], clip: str = "c{}") -> pd.DataFrame:
    lines = [
        (label, 0, "folder", "all", clip.format(k), metric, part, value, "ok" if np.isfinite(value) else "no_face")
        for label, own in values.items()
        for k, value in enumerate(own)
    ]
    return pd.DataFrame(lines, columns=list(COLUMNS))


def test_worse_better_and_still_follow_the_metric_s_direction():
    found = verdicts(
        pd.concat(
            [
                rows("psnr", "frame", {BASE: [40, 40, 40, 40], "blur": [30, 31, 32, 41], "noise": [40, 40, 40, 40]}),
                rows("m_lmd", "mouth", {BASE: [1, 1, 1, 1], "blur": [0.5, 0.5, 0.5, 0.5], "noise": [2, 2, 0, 0]}),
                rows("cpbd", "frame", {BASE: [0.5] * 4, "blur": [0.1] * 4, "noise": [0.5, 0.5, 0.6, 0.4]}),
                rows("cpbd", "frame_truth", {BASE: [0.5] * 4, "blur": [0.5] * 4, "noise": [0.5] * 4}),
                rows("lve", "lips", {BASE: [1.0] * 4, "blur": [np.nan] * 4, "noise": [2.0] * 4}),
                rows("sid", "expression", {BASE: [3.0], "blur": [2.0], "noise": [3.0]}, "*"),
                rows("sid", "expression_truth", {BASE: [3.0], "blur": [3.0], "noise": [3.0]}, "*"),
            ]
        )
    )
    assert found.loc[("psnr", "frame"), ["blur", "noise"]].tolist() == ["worse", "still"]
    assert found.loc[("m_lmd", "mouth"), ["blur", "noise"]].tolist() == ["better", "still"]
    assert found.loc[("cpbd", "frame"), ["blur", "noise"]].tolist() == ["worse", "still"]
    assert found.loc[("lve", "lips"), "noise"] == "worse" and found.loc[("lve", "lips"), "blur"] in ("", None)
    assert found.loc[("sid", "expression"), ["blur", "noise"]].tolist() == ["worse", "still"]
    text = table(found, "Made up")
    assert "| [PSNR](metrics.md#psnr) | ✓ | · |" in text and "## Made up" in text


def test_faults_are_what_their_names_say():
    draw = np.random.default_rng(0)
    videos = {name: draw.integers(0, 255, (20, 160, 160, 3), np.uint8) for name in "ab"}
    found = degraded(videos)
    assert all(len(frames) == 20 for made in found.values() for frames in made.values())
    assert (found[BASE]["a"] == videos["a"]).all() and (found["another person"]["a"] == videos["b"]).all()
    assert (found["late 200 ms"]["a"][5:] == videos["a"][:-5]).all()
    assert (late(videos["a"], 5)[:5] == videos["a"][0]).all()
    assert np.ptp(found["frozen"]["a"], 0).max() == 0
    assert found["blur"]["a"].std() < videos["a"].std() and (found["jitter"]["a"] != videos["a"]).any()


def test_too_few_recordings_are_refused(tmp_path: Path):
    with pytest.raises(DataError, match="holds 0 videos"):
        recorded(tmp_path, 4.0, 64)


def test_the_page_speaks_of_metrics_that_exist():
    named = set(re.findall(r"metrics\.md#(\w+)", PAGE.read_text(encoding="utf-8")))
    assert named and named <= set(cards())
