"""Figures of claims, differences, ranks, costs and of where a model looks: to scale, and what is missing is named."""

import json

import numpy as np
import pandas as pd
import pytest
from study_rows import write_result

from reporting.plots import (
    claim_intervals,
    cost_points,
    gate_maps,
    look_back,
    loss_curves,
    metric_points,
    mouth_audio,
    quality_over_speed,
    rank_points,
    row_differences,
)
from reporting.plots.attention import lags
from reporting.plots.study_files import GROUP_COLOURS, LINES, read_study
from reporting.plots.sweeps import history_needed
from reporting.tables import TableOptions, write_tables

ROWS = {
    "echo": {"label": "ECHO", "group": "main", "seeds": [0, 1, 2]},
    "dim": {"label": "DIM", "group": "baseline", "seeds": [0, 1, 2]},
    "arig": {"label": "ARIG", "group": "baseline", "seeds": [0, 1, 2]},
    "broken": {"label": "Broken", "group": "baseline", "seeds": [0, 1, 2]},
}
LEVELS = {"echo": 0.7, "dim": 0.4, "arig": 0.5}


def texts(figure) -> str:
    """Everything that is written on a figure: in panels, beside them, and below."""
    found = [text.get_text() for axes in figure.axes for text in (*axes.texts, axes.title, *axes.get_yticklabels())]
    found += [axes.get_title(loc="left") for axes in figure.axes]
    return "\n".join([*found, below(figure), figure.get_suptitle()])


def below(figure) -> str:
    """What stands below a figure, without its line breaks."""
    return " ".join(figure.get_supxlabel().split())


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Three rows of three seeds, one row that was not run; rPCC of DIM's seed 1 is undefined, LSE of every row."""
    results = tmp_path_factory.mktemp("figures")

    def value(method, seed):
        def of(metric, part, clip):
            if metric.startswith("lse") or (metric == "rpcc" and (method, seed) == ("dim", 1)):
                return "weights_missing" if metric.startswith("lse") else "constant_series"
            noise = np.random.default_rng([seed, *f"{method}{metric}{clip}".encode()]).standard_normal()
            return 0.5 if part.endswith("_truth") else LEVELS[method] + 0.01 * noise

        return of

    clips = tuple(f"c{index}" for index in range(8))
    files = [
        write_result(results / "metrics", method, seed, value(method, seed), clips)
        for method in LEVELS
        for seed in range(3)
    ]
    for method in LEVELS:
        made = {"frames": 100, "generate_seconds": 2.0, "generate_cpu_seconds": 1.0}
        for seed in range(3):
            path = results / f"videos/{method}/seed{seed}/provenance.json"
            path.parent.mkdir(parents=True)
            path.write_text(json.dumps(made if (method, seed) != ("arig", 2) else {}))
    write_tables(files, ROWS, TableOptions(), results / "tables")
    (results / "data/none").mkdir(parents=True)
    (results / "data/none/manifest.csv").write_text("dyad_id\n")
    return read_study(results)


def test_points_name_the_seed_and_the_metric_they_lack(study):
    figure = metric_points(study, ["ssim/frame", "rpcc/expression", "lse_d/speech"])
    said = below(figure)
    assert "Broken (not_run)" in said and "DIM: rPCC, expression ↓, seed 1 (constant_series)" in said
    assert "LSE-D ↓ of every row (weights_missing)" in said and len(figure.axes) == 2
    nothing = metric_points(study, ["lse_d/speech"])
    assert "no metric was measured" in texts(nothing) and "LSE-D" in below(nothing)


def test_differences_stand_at_their_estimates(study):
    figure = row_differences(study, "main_table", ["ssim/frame", "lse_c/speech"])
    lines = study.table("comparisons").query("table == 'main_table' and metric == 'ssim' and method == 'dim'")
    drawn = [tuple(line.get_xdata()) for line in figure.axes[0].lines]
    assert (lines["estimate"].iloc[0],) in drawn and tuple(lines[["low", "high"]].iloc[0]) in drawn
    assert "not_run: broken" in texts(figure) and "Broken (not_run)" in texts(figure)
    assert "LSE-C ↑ of every row (weights_missing)" in texts(figure)


def test_ranks_show_friedman_and_who_takes_no_part(study):
    figure = rank_points(study, "main_table", ["ssim/frame", "fid_small/frame"])
    said = texts(figure)
    assert "8 dialogues, Friedman p = " in said and "Broken: SSIM ↑ (too_few_values)" in said
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["ECHO", "ARIG", "DIM"]


def test_costs_name_the_seed_without_a_record(study):
    assert "ARIG (seed 2: frames/s, frames/CPU s" in below(cost_points(study))
    figure = quality_over_speed(study, ["ssim/frame", "lse_d/speech"])
    said = below(figure)
    assert "speed of Broken (seed 0, 1, 2: frames/s" in said and "LSE-D ↓, seed 0, 1, 2 (weights_missing)" in said
    marks = [line.get_xdata()[0] for line in figure.axes[0].lines]
    assert marks == [100.0, 100.0, 100.0] and "no row has both" in texts(figure)


def claims_of(study, lines):
    columns = {"margin": 0.0, "kind": "greater", "status": "ok", "missing": "", "family": "f", "p_holm": 0.01}
    table = pd.DataFrame([columns | line for line in lines])
    table.to_csv(study.results / "tables/claims.csv", index=False)
    return claim_intervals(study)


def test_claims_point_in_the_claimed_direction_and_say_what_is_missing(study):
    measured = {"low": -0.3, "high": -0.1, "estimate": -0.2, "detectable": 0.1}
    gone = dict.fromkeys(measured, np.nan) | {"verdict": "not_measured", "status": "not_run: x", "p_holm": np.nan}
    figure = claims_of(
        study,
        [
            {"text": "Less is more.", "verdict": "supported", "kind": "less", **measured},
            {"text": "More is more.", "verdict": "contradicted", **measured},
            {"text": "Nobody knows.", "family": "g", **gone, "missing": "no rows of x in this profile"},
        ],
    )
    first, second = figure.axes
    points = [line.get_xdata()[0] for line in first.lines if len(line.get_xdata()) == 1]
    assert points == pytest.approx([2.0, -2.0])
    assert "no rows of x in this profile" in texts(figure) and second.get_title(loc="left") == "g"
    assert [axes.get_title(loc="left") for axes in claim_intervals(study, ["g"]).axes] == ["g"]
    assert "no claim" in texts(claim_intervals(study, []))


def inspected(steps=4, tokens=18):
    rng = np.random.default_rng(0)
    found = {"gate": rng.random((2, steps, tokens)), "scan_audio": rng.random((1, 20, 20))}
    found |= {name: rng.random((2, 20)) for name in ("influence_audio", "influence_video", "influence_phi")}
    meta = {"m_lip": [0.0] * 16 + [1.0] + [0.0], "patch": 1, "fps": 25, "stride": 4, "tubelet": 4, "context": 40}
    return {"c0": found}, meta | {"clip": 8}


def test_where_a_model_looks_says_whose_it_is(study):
    found, meta = inspected()
    assert "ECHO, seed 1, c0, block 2 of 2" in texts(gate_maps(found, meta, {}, "ECHO, seed 1"))
    assert "ECHO, seed 1" in texts(look_back(found, meta, {}, "ECHO, seed 1"))
    for figure in (gate_maps({}, {}, {}, "ECHO, seed 1"), look_back({}, {}, {}, "ECHO, seed 1")):
        assert "ECHO, seed 1: not inspected" in texts(figure)
    del found["c0"]["gate"]
    assert "ECHO: this model has no SDCM" in texts(gate_maps(found, meta, {}, "ECHO"))


def test_influence_is_counted_back_from_each_clips_end():
    meta = inspected()[1]
    influence = np.zeros((2, 14))
    influence[0, 9], influence[1, 9] = 1.0, 1.0  # the last step of the first clip; two steps earlier in the second
    seconds, share = lags(influence, "influence_audio", meta)
    assert seconds[:3] == pytest.approx([0.08, 0.24, 0.40])
    assert share[0] == pytest.approx(0.5 / 0.16) and share[2] == pytest.approx(0.5 / 0.16) and share[1] == 0


def test_losses_name_the_training_without_a_journal(study):
    log = study.results / "checkpoints/echo/seed0/train.jsonl"
    log.parent.mkdir(parents=True)
    log.write_text("".join(json.dumps({"step": k, "loss": 1 / k}) + "\n" for k in range(1, 5)))
    for seed in (0, 1):
        card = study.results / f"models/echo/seed{seed}.json"
        card.parent.mkdir(parents=True, exist_ok=True)
        card.write_text("{}")
    figure = loss_curves(study, ["echo", "dim"])
    assert list(figure.axes[0].lines[0].get_xdata()) == [1, 2, 3, 4]
    assert "ECHO, seed 1 (no journal with loss)" in below(figure)
    assert "DIM, every seed (no journal with loss)" in below(figure)


def test_a_mouth_that_follows_the_voice_correlates(world, tmp_path):
    gone = tmp_path / "seed3.features.safetensors"
    dialogue = next(path.parent.name for path in sorted(world.rglob("turns.jsonl")) if "test" in str(path))
    figure = mouth_audio(world, {"Gone": gone}, [dialogue])
    assert "seed 3: no readings kept" in texts(figure)


def test_the_history_that_is_needed_is_that_of_the_events(world):
    ended, began = history_needed(world)
    assert len(ended) == len(began) and (began >= ended).all() and (ended >= 0).all()


def test_groups_and_lines_can_be_told_apart_without_colour():
    looks = [(line["color"], str(line["linestyle"])) for line in LINES]
    assert len(set(looks)) == len(looks) and len(set(GROUP_COLOURS.values())) == len(GROUP_COLOURS)
