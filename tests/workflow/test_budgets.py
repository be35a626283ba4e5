"""Every trained row of a profile sees as many steps and samples as ECHO, whatever it leaves out; one asks for more."""

from pathlib import Path

import pytest
import yaml
from study import merge

ROOT = Path(__file__).resolve().parents[2]
LONGER = "echo_longer"  # no ablation: as many steps of stage 2 as the single stage has


def budget(config, name):
    """(steps, samples) of a row, its stage 1 included."""
    row = config["methods"][name]
    own = merge(config[f"stage{row['stage']}"], row.get("options", {}))["train"]
    total = own["steps"], own["steps"] * own["batch_size"] * own.get("accumulate", 1)
    return tuple(map(sum, zip(total, budget(config, row["start"]), strict=True))) if row.get("start") else total


@pytest.mark.parametrize("profile", sorted(path.stem for path in (ROOT / "workflow/config").glob("*.yaml")))
def test_every_ablation_has_echos_budget(profile):
    layers = (yaml.safe_load((ROOT / f"workflow/config/{name}.yaml").read_text()) for name in ("default", profile))
    config = merge(*layers)
    trained = [
        name
        for name, row in config["methods"].items()
        if row and row["group"] in ("main", "ablation") and not row.get("weights") and name != LONGER
    ]
    assert trained and {name: budget(config, name) for name in trained} == {
        name: budget(config, "echo") for name in trained
    }


def test_the_longer_row_sees_the_user_as_often_as_the_single_stage():
    layers = (yaml.safe_load((ROOT / f"workflow/config/{name}.yaml").read_text()) for name in ("default", "full"))
    rows = merge(*layers)["methods"]
    assert rows[LONGER]["options"] == {"train": {"steps": rows["single_stage"]["options"]["train"]["steps"]}}
    assert {key: rows[LONGER][key] for key in ("class", "stage", "start")} == {
        key: rows["echo"][key] for key in ("class", "stage", "start")
    }
