"""A study's reference: its values with where each row comes from; earlier rows are kept on request only."""

import json

import pandas as pd
import pytest
from study_folders import write_study

from dyads.errors import DataError
from reporting.reference_tables import main


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Two rows of two seeds; the videos of each name the weights that the models' cards have."""
    folder = write_study(tmp_path_factory.mktemp("results"))
    for path in folder.glob("videos/*/seed*/provenance.json"):
        made = json.loads(path.read_text())
        path.write_text(json.dumps(made | {"weights": {"weights": "00ff"}}))
    return folder


def test_every_row_has_its_values_and_its_origin(results, tmp_path):
    main(["--results", str(results), "--out", str(tmp_path)])
    values = pd.read_csv(tmp_path / "values.csv")
    rows = json.loads((tmp_path / "provenance.json").read_text())["rows"]
    assert set(values["method"]) == set(rows) == {"echo", "no_lcu"}
    assert set(rows["echo"]) == {"seed0", "seed1"}
    echo = rows["echo"]["seed1"]
    assert echo["trained_by"] == echo["measured_by"] == "abc"
    assert (echo["weights_sha256"], echo["parameters"], echo["train_seconds"]) == ("00ff", 10, 0.2)


def test_rows_of_an_earlier_reference_stay_only_when_asked(results, tmp_path):
    old = pd.DataFrame(
        [{"method": m, "seed": 0, "metric": "psnr", "part": "frame", "value": -1.0} for m in ("a", "echo")]
    )
    old.to_csv(tmp_path / "values.csv", index=False)
    (tmp_path / "provenance.json").write_text(json.dumps({"rows": {"a": {"seed0": {"commit": "old"}}, "echo": {}}}))
    main(["--results", str(results), "--out", str(tmp_path), "--keep"])
    values = pd.read_csv(tmp_path / "values.csv")
    assert values.loc[values["method"] == "a", "value"].tolist() == [-1.0]
    assert (values.loc[values["method"] == "echo", "value"] != -1.0).all()
    rows = json.loads((tmp_path / "provenance.json").read_text())["rows"]
    assert rows["a"]["seed0"] == {"commit": "old"} and set(rows["echo"]) == {"seed0", "seed1"}
    main(["--results", str(results), "--out", str(tmp_path)])
    assert "a" not in set(pd.read_csv(tmp_path / "values.csv")["method"])


def test_a_study_without_tables_is_refused(tmp_path):
    with pytest.raises(DataError, match="finish the study first"):
        main(["--results", str(tmp_path), "--out", str(tmp_path / "out")])
