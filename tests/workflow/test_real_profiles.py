"""Drawn recordings without a truth, really run to their report, as real ones would be."""

import csv
import math
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pytest
import yaml
from checkout import ROOT, copy_repository

pytestmark = pytest.mark.slow
# What the paper's tables need of every trained row: metric -> parts.
WANTED = {
    **dict.fromkeys(("rpcc", "sid", "var", "motion_fd_pooled", "motion_mse"), ("expression", "pose")),
    "mouth_opening_correlation": ("speech",),
    "csim_dlib": ("frame",),
}


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def trained(profile: str) -> set[str]:
    """Rows of a profile that learn."""
    default, own = (
        yaml.safe_load((ROOT / f"workflow/config/{name}.yaml").read_text()) for name in ("default", profile)
    )
    rows = default["methods"] | own["methods"]
    whole = {name: {**default["methods"].get(name, {}), **row} for name, row in rows.items() if row is not None}
    return {name for name, row in whole.items() if row["group"] != "none"}


def run(folder: Path, profile: str) -> Path:
    """A study from nothing; its results."""
    checkout = copy_repository(folder)
    made = checkout.run(sys.executable, "-m", "dyads.synthetic.recordings", "--out", "results/recordings")
    assert made.code == 0, made.text
    result = checkout.snakemake("--cores", "all", "--config", f"profile={profile}", timeout=3000)
    assert result.code == 0, result.text[-20_000:]
    return checkout.folder / "results" / profile


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    return run(tmp_path_factory.mktemp("drawn"), "real_tiny")


def values(results: Path) -> dict[tuple[str, str, str], list[float]]:
    """(row, metric, part) -> its values that are ok."""
    found = defaultdict(list)
    for file in results.glob("metrics/*/seed0.csv"):
        for row in table(file):
            if row["status"] == "ok":
                found[row["method"], row["metric"], row["part"]].append(float(row["value"]))
    return found


def lacking(results: Path, profile: str) -> list[tuple[str, str, str]]:
    """What should have a value and has none."""
    found = values(results)
    asked = [(row, metric, part) for row in trained(profile) for metric, parts in WANTED.items() for part in parts]
    return sorted(key for key in asked if not any(math.isfinite(value) for value in found[key]))


def assert_a_report(results: Path) -> None:
    page = (results / "report/index.html").read_text(encoding="utf-8")
    assert "ECHO" in page and "Traceback" not in page
    main = table(results / "tables/main_table.csv")
    filled = {row["method"]: math.isfinite(float(row["rpcc/expression_mean"] or "nan")) for row in main}
    assert filled == {"echo": True, "dim": True, "truth": True, "oracle": False, "vae": True, "frozen": True}


def test_drawn_recordings_have_every_value_and_a_report(drawn):
    assert lacking(drawn, "real_tiny") == []
    assert_a_report(drawn)


def test_without_a_truth_the_oracle_says_so(drawn):
    """Not that its video is missing."""
    said = Counter(row["status"] for row in table(drawn / "metrics/oracle/seed0.csv"))
    assert set(said) <= {"no_truth", "not_timed", "no_judge", "weights_missing", "no_mesh"} and said["no_truth"], said
