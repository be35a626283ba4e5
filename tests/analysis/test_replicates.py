"""Replicates: what was trained anew, and what only looks so."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.replicates import SHOULD, differences
from analysis.replicates import main as replicates
from dyads.errors import ConfigError, DataError
from evaluation.readings.by_row import trainings_of

ROOT = Path(__file__).resolve().parents[2]


def test_replicates_on_the_same_shipped_backbones_are_no_trainings_of_everything(tmp_path):
    """`--config replicate=1` alone takes the shipped ones again, and its verdicts spoke of everything anew."""
    studies = []
    for number, name in enumerate(["study", "replicate1", "replicate2"]):
        (tmp_path / name / "backbones").mkdir(parents=True)
        record = {"shipped": "vae", "set": "abc"} if number < 2 else {"seed": 200}
        (tmp_path / name / "backbones/vae.json").write_text(json.dumps(record))
        studies.append([tmp_path / name / f"metrics/echo/seed{100 * number}.csv"])
    assert trainings_of(studies[:2], False) == {0: 0, 100: 0}
    assert trainings_of([studies[2]], False) == {200: 0} and trainings_of([[]], False) == {}
    with pytest.raises(DataError, match="study stands on the shipped backbones and .*replicate2 on ones of its own"):
        trainings_of(studies, False)  # other people, other steps, other readers
    with pytest.raises(DataError, match="two replicates have seed 100"):
        trainings_of([studies[0], studies[1], studies[1]], False)
    assert trainings_of([[Path("echo/seed0.csv")], [Path("echo/seed1.csv")]], False) == {0: 0, 1: 1}


def replicate(rng, seeds=3):
    index = [(f"m{k}", "psnr", "frame", seed) for k in range(20) for seed in range(seeds)]
    values = pd.DataFrame(index, columns=["method", "metric", "part", "seed"])
    return values.assign(value=rng.standard_normal(len(values)))


def test_the_same_trainings_twice_are_no_replicates(tmp_path, capsys):
    """Three times one folder: nan % of 0 intervals, with exit code 0; one folder twice: 67 %."""
    rng, folders = np.random.default_rng(8), [tmp_path / name for name in "abcd"]
    for folder in folders:
        folder.mkdir()
        replicate(rng).to_csv(folder / "values.csv", index=False)
    a, b, c, d = map(str, folders)
    replicates([a, b, c])
    text = capsys.readouterr().out
    assert "20 of 20 cells" in text and "93% to 98% should" in text and "unequal" not in text
    assert "By the one left out: a " in text
    for folder in folders[:3]:
        (folder / "backbones").mkdir()
        (folder / "backbones/vae.json").write_text(json.dumps({"shipped": "vae", "set": "abc"}))
    replicates([a, b, c])
    assert "not other trainings of everything" in capsys.readouterr().out
    (folders[0] / "backbones/vae.json").write_text("{}")
    with pytest.raises(DataError, match="no replicates of each other"):
        replicates([a, b, c])
    (folders[0] / "backbones/vae.json").write_text((folders[1] / "backbones/vae.json").read_text())
    replicate(rng, seeds=1).to_csv(folders[3] / "values.csv", index=False)
    replicates([a, b, d])
    assert "unequal numbers of seeds" in capsys.readouterr().out
    for same in ([a, a, a], [a, b, a]):
        with pytest.raises(ConfigError, match="hold the same trainings"):
            replicates(same)
    more = pd.concat([pd.read_csv(folders[0] / "values.csv"), replicate(rng).assign(seed=lambda v: v["seed"] + 3)])
    more.to_csv(folders[3] / "values.csv", index=False)  # two more seeds of one study are no replicate either
    with pytest.raises(ConfigError, match="hold the same trainings"):
        replicates([a, b, d])
    replicate(rng).assign(method=lambda v: "other " + v["method"]).to_csv(folders[3] / "values.csv", index=False)
    with pytest.raises(ConfigError, match="share no cell"):
        replicates([a, b, d])


def test_differences_to_a_row_are_of_one_seed_and_one_cell():
    values = replicate(np.random.default_rng(3))
    row = values["method"].iloc[0]
    found = differences(values, row)
    assert row not in set(found["method"]) and len(found) == (values["method"] != row).sum()
    line = found.iloc[-1]
    same = (values["seed"] == line["seed"]) & (values["metric"] == line["metric"]) & (values["part"] == line["part"])
    one, other = (values.loc[same & (values["method"] == name), "value"].item() for name in (line["method"], row))
    assert line["value"] == one - other
    with pytest.raises(ConfigError, match="--against nobody is no row"):
        differences(values, "nobody")


@pytest.mark.parametrize("against", [[], ["--against", "echo"]])
def test_intervals_of_the_committed_replicates_hold_the_one_left_out(against, capsys):
    """Three trainings of the default study from nothing: 93 to 98 % of the intervals made from two hold the third."""
    folders = sorted((ROOT / "results/reference/default_replicates").iterdir())
    replicates([*map(str, folders), *against])
    share = float(re.search(r"([\d.]+)% of \d+ intervals", capsys.readouterr().out)[1]) / 100
    assert len(folders) == 3 and SHOULD[0] <= share <= SHOULD[1]
