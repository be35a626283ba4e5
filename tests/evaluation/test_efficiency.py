"""The table of costs: sums over stages, means over seeds, and what nothing recorded, by seed."""

import json

import pytest

from analysis.study_rows import Row
from dyads.errors import DataError
from evaluation.efficiency import budgets, efficiency_table, hardware_note, shown

HARDWARE = {"cpu": "a CPU", "threads": 1, "gpus": []}


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def trained(results, method, seed, seconds, gib=None, **card):
    write(
        results / f"models/{method}/seed{seed}.json",
        {"card": {"train_seconds": seconds, "steps": 10, "samples": 80, "parameters": 1234, **card},
         "hardware": HARDWARE},
    )  # fmt: skip
    if gib is not None:
        write(results / f"benchmarks/fit/{method}_seed{seed}.tsv", f"s\tmax_rss\n1.0\t{1024 * gib}\n2.0\t512\n")


def generated(results, method, seed, frames, seconds, cpu, gib=1.5):
    made = {"frames": frames, "generate_seconds": seconds, "generate_cpu_seconds": cpu, "hardware": HARDWARE}
    write(results / f"videos/{method}/seed{seed}/provenance.json", made)
    write(results / f"benchmarks/generate/{method}_seed{seed}.tsv", f"s\tmax_rss\n1.0\t{1024 * gib}\n")


@pytest.fixture
def table(tmp_path):
    for seed in (0, 1):
        trained(tmp_path, "start", seed, 100 + seed, gib=1.0)
        trained(tmp_path, "echo", seed, 200 + seed, gib=0.5, steps=25, samples=200)
        generated(tmp_path, "echo", seed, 1000, 10 * (seed + 1), 5)
    generated(tmp_path, "swap", 0, 300, 3, 2)
    generated(tmp_path, "copy", 0, 100, 1, 1)
    given = {
        "echo": {"seeds": [0, 1], "start": "start"},
        "swap": {"seeds": [0, 1], "weights": "echo"},
        "copy": {"seeds": [0], "fixed": True},
        "failed": {"seeds": [0, 1]},
    }
    groups = {"echo": "main", "swap": "ablation", "copy": "control", "failed": "baseline"}
    rows = [Row(name, name.upper(), groups[name], len(entry["seeds"]), 2, "ok") for name, entry in given.items()]
    budget = budgets(given, tmp_path / "models", given)
    return efficiency_table(rows, given, tmp_path, budget).set_index("method")


def test_costs_hold_the_stage_before_and_are_means_over_seeds(table):
    echo = table.loc["echo"]
    assert echo["train_seconds_mean"] == pytest.approx((300 + 302) / 2) and echo["train_seconds_n"] == 2
    assert echo["train_seconds_sd"] == pytest.approx(2**0.5)
    assert echo["train_gib_mean"] == 1.0  # the larger of both stages
    assert echo["frames_per_second_mean"] == pytest.approx((100 + 50) / 2)
    assert echo["frames_per_cpu_second_mean"] == 200 and echo["generate_gib_mean"] == 1.5
    assert (echo["steps"], echo["samples"], echo["parameters"], echo["missing"]) == (25, 200, 1234, "")


def test_a_row_with_anothers_weights_shows_that_rows_training(table):
    swap = table.loc["swap"]
    assert swap["train_seconds_mean"] == pytest.approx(200.5) and swap["steps"] == 25
    assert swap["frames_per_second_mean"] == 100
    assert swap["missing"] == "seed 1: frames/s, frames/CPU s, generate GiB"


def test_what_learns_nothing_misses_no_training(table):
    assert table.loc["copy", "missing"] == "" and table.loc["copy", "hardware"] == "a CPU, 1 thread"
    assert table.loc["failed", "missing"] == "seed 0, 1: frames/s, frames/CPU s, generate GiB"


def test_what_a_person_reads(table):
    cells = shown(table.reset_index(), lambda text: text).set_index("method")
    assert cells.loc["ECHO", "train s"] == "301 ± 1" and cells.loc["ECHO", "parameters"] == "1,234"
    assert cells.loc["COPY", "train s"] == "–" and cells.loc["COPY", "frames/CPU s"] == "100.0"
    assert cells.loc["SWAP", "missing"].startswith("seed 1")
    assert hardware_note(table.reset_index()) == "a CPU, 1 thread: 3 rows"


def test_a_study_of_given_outputs_says_that_it_knows_no_costs(tmp_path, table):
    (tmp_path / "metrics/released").mkdir(parents=True)
    row = type("Row", (), {"method": "released", "group": "main", "label": "Released"})
    given = efficiency_table([row], {"released": {"seeds": [0]}}, tmp_path, {})
    assert hardware_note(given).startswith("This study trained and generated nothing")
    assert hardware_note(table.reset_index().assign(hardware="")) == "Hardware unknown"


def test_a_damaged_card_is_named(tmp_path):
    write(tmp_path / "models/echo/seed0.json", "{")
    with pytest.raises(DataError, match="seed0.json is not JSON"):
        budgets(["echo"], tmp_path / "models", {})
