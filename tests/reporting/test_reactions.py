"""Gains and leads of released systems as figures; published numbers stand beside ours on their own corpus alone."""

import json

import pandas as pd
import pytest

from dyads.errors import DataError
from reporting.page.study_tables import read_sheet
from reporting.plots import published_beside, reaction_gains, reaction_leads
from reporting.plots.study_files import Study

PART = "audio_given_motion"


@pytest.fixture
def study(tmp_path):
    (tmp_path / "metrics/truth").mkdir(parents=True)
    (tmp_path / "tables").mkdir()
    (tmp_path / "data/si184").mkdir(parents=True)
    lines = [(name, "", PART, net) for name, net in (("AVTR-1", 6e-5), ("truth", 7e-5))]
    lines.append(("truth", "AVTR-1", PART, 1e-5))
    made = pd.DataFrame(lines, columns=["row", "against", "part", "net"])
    made = made.assign(low=made["net"] - 2e-5, high=made["net"] + 2e-5, p=0.01, people=13)
    made.assign(boot_low=made["low"], boot_high=made["high"]).to_csv(tmp_path / "metrics/reactions.csv", index=False)
    kind = {"probes": {"motion": {"kind": "coefficients of emoca"}}}
    (tmp_path / "metrics/truth/seed0.json").write_text(json.dumps(kind))
    values = [("AVTR-1", 0.15), ("AVTR-1_dropped", 0.14)]
    rows = pd.DataFrame([(m, 0, "rpcc_clip", "pose", v, "") for m, v in values])
    rows.columns = ["method", "seed", "metric", "part", "value", "reason"]
    rows.to_csv(tmp_path / "tables/values.csv", index=False)
    known = [("AVTR-1", "AVTR-1", "main", "ok"), ("truth", "Ground truth", "control", "ok"),
             ("frozen", "Still face", "control", "ok")]  # fmt: skip
    return Study(tmp_path, tmp_path / "data/si184", pd.DataFrame(known, columns=["method", "label", "group", "status"]))


def corpus(study: Study, name: str) -> Study:
    (study.data / "manifest.csv").write_text(f"dataset,dyad_id\n{name},a\n")
    return study


def texts(figure) -> str:
    return "\n".join(text.get_text() for axes in figure.axes for text in axes.texts)


def test_gains_and_leads_are_drawn_with_their_doubt(study):
    corpus(study, "made up")
    gains, leads = reaction_gains(study), reaction_leads(study)
    assert "+0.60, p 0.01, 13 people" in texts(gains) and "Still face (no gain)" in gains.get_supxlabel()
    assert texts(leads).splitlines() == ["+0.10", "-0.10"]
    assert not any(line.get_marker() == "D" for line in gains.axes[0].lines)
    corpus(study, "SI-184")
    said = [line.get_xdata()[0] for line in reaction_gains(study).axes[0].lines if line.get_marker() == "D"]
    assert said == pytest.approx([0.57, 0.72])  # AVTR-1 and ground truth as published


def test_published_numbers_need_their_corpus(study):
    assert published_beside(corpus(study, "made up")).empty
    beside = published_beside(corpus(study, "SI-184")).set_index(["system", "metric", "part"])
    line = beside.loc[("AVTR-1", "rPCC", "pose")]
    assert line.tolist() == [0.136, 0.14, 0.15]


def test_nothing_measured_is_one_sentence(study):
    (study.results / "metrics/reactions.csv").unlink()
    with pytest.raises(DataError, match="measure first"):
        reaction_gains(corpus(study, "made up"))


def test_the_page_tells_a_gain_with_its_interval(study):
    name = f"rdgg/{PART}"
    table = pd.DataFrame([{"method": "AVTR-1", "group": "main", "label": "AVTR-1", "status": "ok", "seeds": 1}])
    for what, value in (("mean", 6e-5), ("sd", None), ("undefined", 0), ("total", 1), ("status", "ok")):
        table[f"{name}_{what}"] = value
    table.to_csv(study.results / "tables/main_table.csv", index=False)
    parts = {PART: 6e-5, f"{PART}_low": 4e-5, f"{PART}_high": 8e-5, f"{PART}_p": 0.01}
    lines = [("AVTR-1", "rdgg", part, value) for part, value in parts.items()]
    summary = pd.DataFrame(lines, columns=["method", "metric", "part", "mean"]).set_index(["method", "metric", "part"])
    sheet = read_sheet(study.results / "tables/main_table.csv", study, summary, {})
    (cell,) = [cell for cell in sheet.lines[0].cells if cell.key == name]
    assert cell.text == "0.000060 [0.000040, 0.000080], p 0.010" and cell.sort == 6e-5
