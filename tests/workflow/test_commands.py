"""What a user types: make targets, the linters, and their messages."""

import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def make(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(["make", *arguments], cwd=ROOT, text=True, capture_output=True, timeout=60)


def test_help_lists_every_target_that_the_readme_names():
    listed = set(re.findall(r"^make ([a-z-]+)", make("help").stdout, re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", (ROOT / "README.md").read_text(), re.MULTILINE))
    assert {"study", "smoke", "test", "lint"} <= named <= listed


@pytest.mark.parametrize("python", ["", "/no/such/python3.11"])
def test_without_python_the_environment_is_one_sentence(tmp_path, python):
    result = make("environment", f"PYTHON={python}", f"VENV={tmp_path / 'venv'}")
    assert result.returncode != 0
    assert "error: Python 3.11 is needed" in result.stderr
    assert not (tmp_path / "venv").exists()


def test_study_and_smoke_run_what_the_readme_says():
    study, smoke = make("--dry-run", "study").stdout, make("--dry-run", "smoke").stdout
    assert "snakemake --cores all" in study and "results/default/report/index.html" in study
    assert "--workflow-profile profiles/smoke" in smoke


def test_the_environment_is_installed_once_for_each_lock(tmp_path):
    """A stamp named after the lock's checksum makes `make environment` a no-op."""
    checksum = subprocess.check_output(["cksum", "requirements.lock"], cwd=ROOT, text=True).split()[0]
    venv = tmp_path / "venv"
    venv.mkdir()
    assert "pip install" in make("--dry-run", "environment", f"VENV={venv}").stdout
    (venv / f".installed-{checksum}").touch()
    assert "pip install" not in make("--dry-run", "environment", f"VENV={venv}").stdout


def test_the_workflow_passes_its_linters(checkout):
    lint = checkout.snakemake("--lint")
    assert lint.code == 0, lint.text
    formatted = checkout.run(sys.executable, "-m", "snakefmt", "--check", "Snakefile", "workflow/rules")
    assert formatted.code == 0, formatted.text


def test_the_graph_in_the_readme_is_the_workflow(checkout):
    """Arrows that follow from others are left out there, so what is compared is what each rule waits for."""
    drawn = re.search(r"```mermaid\nflowchart LR\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[1]
    chains = [line.strip().split(" --> ") for line in drawn.strip().splitlines()]
    printed = checkout.snakemake("all", "--rulegraph", "mermaid-js").text
    names = dict(re.findall(r"^\s*(id\d+)\[(\w+)\]", printed, re.MULTILINE))
    arrows = re.findall(r"^\s*(id\d+) --> (id\d+)", printed, re.MULTILINE)
    planned = closure({(names[a], names[b]) for a, b in arrows})
    assert planned
    assert closure({pair for chain in chains for pair in pairwise(chain)}) == planned


def closure(pairs: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """All (before, after) pairs that follow from `pairs`."""
    while True:
        more = pairs | {(a, d) for a, b in pairs for c, d in pairs if b == c}
        if more == pairs:
            return pairs
        pairs = more
