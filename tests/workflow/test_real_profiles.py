"""Recordings without a truth, drawn ones and real ones where they are there, really run to their report."""

import csv
import math
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pytest
import yaml
from checkout import ROOT, Checkout, copy_repository
from clip_factory import REAL_CLIPS, needs_real_clips

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


def config(name: str) -> dict:
    return yaml.safe_load((ROOT / f"workflow/config/{name}.yaml").read_text(encoding="utf-8"))


def trained() -> set[str]:
    """Rows that learn; both runs have those of real_tiny."""
    default, own = config("default"), config("real_tiny")
    rows = default["methods"] | own["methods"]
    whole = {name: {**default["methods"].get(name, {}), **row} for name, row in rows.items() if row is not None}
    return {name for name, row in whole.items() if row["group"] != "none"}


def run(checkout: Checkout, profile: str, **environment: str) -> Path:
    """A study from nothing; its results."""
    result = checkout.snakemake("--cores", "all", "--config", f"profile={profile}", timeout=3000, **environment)
    assert result.code == 0, result.text[-20_000:]
    return checkout.folder / "results" / profile


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    checkout = copy_repository(tmp_path_factory.mktemp("drawn"))
    made = checkout.run(sys.executable, "-m", "dyads.synthetic.recordings", "--out", "results/recordings")
    assert made.code == 0, made.text
    return run(checkout, "real_tiny")


@pytest.fixture(scope="module")
def real(tmp_path_factory) -> Path:
    """The recordings of real_clips with the few rows and steps of real_tiny: all of them take three times as long."""
    checkout = copy_repository(tmp_path_factory.mktemp("real"))
    whole = config("real_clips")
    short = config("real_tiny") | {key: whole[key] for key in ("profile", "dataset")}
    for network in ("vae", "renderer"):  # few steps, from where the whole run starts
        short[network] = {**short.get(network, {}), "start": whole[network]["start"]}
    file = checkout.folder / "workflow/config/real_clips.yaml"
    file.write_text(yaml.safe_dump(short, sort_keys=False), encoding="utf-8")
    return run(checkout, "real_clips", REAL_CLIPS=str(REAL_CLIPS.resolve()))


def values(results: Path) -> dict[tuple[str, str, str], list[float]]:
    """(row, metric, part) -> its values that are ok."""
    found = defaultdict(list)
    for file in results.glob("metrics/*/seed0.csv"):
        for row in table(file):
            if row["status"] == "ok":
                found[row["method"], row["metric"], row["part"]].append(float(row["value"]))
    return found


def lacking(results: Path) -> list[tuple[str, str, str]]:
    """What should have a value and has none."""
    found = values(results)
    asked = [(row, metric, part) for row in trained() for metric, parts in WANTED.items() for part in parts]
    return sorted(key for key in asked if not any(math.isfinite(value) for value in found[key]))


def assert_a_report(results: Path) -> None:
    page = (results / "report/index.html").read_text(encoding="utf-8")
    assert "ECHO" in page and "Traceback" not in page
    main = table(results / "tables/main_table.csv")
    filled = {row["method"]: math.isfinite(float(row["rpcc/expression_mean"] or "nan")) for row in main}
    assert filled == {"echo": True, "dim": True, "truth": True, "oracle": False, "vae": True, "frozen": True}


def test_drawn_recordings_have_every_value_and_a_report(drawn):
    assert lacking(drawn) == []
    assert_a_report(drawn)


@needs_real_clips
def test_real_clips_have_every_value_and_a_report(real):
    assert lacking(real) == []
    assert_a_report(real)
    sides = table(real / "data/real_clips/report.csv")
    assert len(sides) == 12 and all(float(side["inside"] or 1) > 0.85 for side in sides)
    claims = table(real / "tables/claims.csv")
    assert all(claim["status"] for claim in claims if claim["verdict"] == "not_measured")
    people = {dyad["subject_id"] for dyad in table(real / "data/real_clips/manifest.csv")}
    assert people == {"af_user", "af_avatar", "silent_30fps", "odd_fps_22", "syncnet_example", "hdtf_1", "hdtf_2"}


def test_without_a_truth_the_oracle_says_so(drawn):
    """Not that its video is missing."""
    said = Counter(row["status"] for row in table(drawn / "metrics/oracle/seed0.csv"))
    assert set(said) <= {"no_truth", "not_timed", "no_judge", "weights_missing", "no_mesh"} and said["no_truth"], said
