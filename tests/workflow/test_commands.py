"""What a user types: make targets, the linters, and their messages."""

import os
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


def environment(venv, **settings: str) -> subprocess.CompletedProcess:
    return make("environment", f"VENV={venv}", *(f"{name}={value}" for name, value in settings.items()))


@pytest.mark.parametrize("python", ["", "/no/such/python3.13"])
def test_without_python_the_environment_is_one_sentence(tmp_path, python):
    result = environment(tmp_path / "venv", PYTHON=python, UV="")
    assert result.returncode != 0
    assert "error: Python 3.11, 3.12, 3.13 or 3.14 is needed" in result.stderr
    assert not (tmp_path / "venv").exists()


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def fake(tmp_path):
    """Programs that stand for a Python, its venv and uv; each writes down how it was called."""
    log, python = tmp_path / "log", sys.executable
    venv = tmp_path / "venv"
    inner = f'echo "python $@" >> {log}; case "$1" in -m) exit 0;; esac; exec {python} "$@"'
    made = f"mkdir -p {venv}/bin; cp {tmp_path}/inner {venv}/bin/python"
    script(tmp_path / "inner", inner)
    named = script(tmp_path / "python", f'case "$1 $2" in "-m venv") {made}; exit 0;; esac; exec {python} "$@"')
    tool = script(tmp_path / "uv", f'echo "uv $@" >> {log}; case "$1" in venv) {made};; esac')
    return {"venv": venv, "log": log, "PYTHON": str(named), "uv": str(tool)}


def test_pip_installs_the_whole_lock_and_nothing_else(fake):
    result = environment(fake["venv"], PYTHON=fake["PYTHON"], UV="")
    assert result.returncode == 0, result.stderr
    assert "--no-deps --requirement requirements.lock" in fake["log"].read_text()
    assert "Nothing to be done" in environment(fake["venv"], UV="").stdout


def test_uv_installs_where_it_is_to_be_had_and_cpu_alone_where_asked(fake):
    assert environment(fake["venv"], PYTHON=fake["PYTHON"], UV=fake["uv"]).returncode == 0
    first = fake["log"].read_text()
    assert "uv pip install" in first and "--torch-backend" not in first
    result = environment(fake["venv"], UV=fake["uv"], TORCH="cpu")  # the environment keeps its Python
    assert result.returncode == 0, result.stderr
    last = fake["log"].read_text().removeprefix(first)
    assert "--torch-backend=cpu" in last and "uv venv" not in last
    assert "Nothing to be done" in environment(fake["venv"], UV=fake["uv"]).stdout  # and that it has no CUDA


def test_what_another_python_left_is_made_anew(fake, tmp_path):
    """As where a first try failed, and Python was then upgraded or named by hand."""
    (fake["venv"] / "bin").mkdir(parents=True)
    script(fake["venv"] / "bin/python", 'echo "3 10 1"')
    result = environment(fake["venv"], PYTHON=fake["PYTHON"], UV="")
    assert result.returncode == 0 and "made anew" in result.stderr
    assert "pip install" in fake["log"].read_text()


def test_a_full_disk_is_one_sentence_before_anything_is_loaded(fake, tmp_path, monkeypatch):
    script(tmp_path / "df", "echo Filesystem; echo none 1 1 3145728 1% /")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    result = environment(fake["venv"], PYTHON=fake["PYTHON"], UV="")
    assert result.returncode != 0 and "error: 8 GB are needed" in result.stderr and "3 are free" in result.stderr
    assert not fake["venv"].exists()


def test_a_python_without_venv_and_a_failed_download_are_one_sentence(fake, tmp_path):
    bare = script(tmp_path / "bare", f'case "$2" in *ensurepip*) exit 1;; esac; exec {sys.executable} "$@"')
    result = environment(fake["venv"], PYTHON=str(bare), UV="")
    assert result.returncode != 0 and "apt install python3-venv" in result.stderr
    script(tmp_path / "inner", f'case "$1" in -m) exit 1;; esac; exec {sys.executable} "$@"')
    result = environment(fake["venv"], PYTHON=fake["PYTHON"], UV="")
    assert result.returncode != 0 and "the same command again goes on" in result.stderr
    assert not list(fake["venv"].glob(".installed-*"))


def test_study_and_smoke_run_what_the_readme_says():
    study, smoke = make("--dry-run", "study").stdout, make("--dry-run", "smoke").stdout
    assert "snakemake --cores all" in study and "ECHO_TALK=1" in study
    assert "--workflow-profile profiles/smoke" in smoke


def test_the_workflow_passes_its_linters(checkout):
    lint = checkout.snakemake("--lint")
    assert lint.code == 0, lint.text
    files = ("Snakefile", "workflow/rules", "workflow/backbones.smk")
    formatted = checkout.run(sys.executable, "-m", "snakefmt", "--check", *files)
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
