"""What an edit runs again, on a study whose stages were replaced by one that writes empty files at once."""

import os
from pathlib import Path

import pytest
import yaml
from checkout import Checkout, Result, copy_repository

pytestmark = pytest.mark.slow

PROFILE = ["--config", "profile=trained_tiny"]  # every stage there is: one with shipped backbones trains fewer
# What follows every measurement anew.
REPORTING = {"tables", "claims", "inspect", "run_notebook", "report_page", "all"}
# Stands in for `python`: makes the files that a stage would write, from its arguments.
STAGE = """#!/bin/sh
taking= names=
previous=
for word in "$@"; do
    case "$word" in --take) taking=1 ;; --*) taking= ;; *) [ -z "$taking" ] || names="$names $word" ;; esac
    case "$previous" in
        --out) out=$word ;;
        --shard) shard=$word ;;
        paper_figures) notebook=$word ;;
        --results) [ -z "$notebook" ] || { mkdir -p "$word/reports"
            touch "$word/reports/$notebook.ipynb" "$word/reports/$notebook.html"; } ;;
    esac
    previous=$word
done
for name in $names; do mkdir -p "$out"; touch "$out/$name.safetensors" "$out/$name.json"; done
case "$out" in
    *.safetensors) touch "$out" "${out%.safetensors}.json" ;;
    *.csv) touch "$out" "${out%.csv}.json" "${out%.csv}.features.safetensors" ;;
    */tables) for name in main_table ablations_table talking_table listening_table efficiency_table controls claims \\
            values summary metrics comparisons ranks; do
        touch "$out/$name.csv" "$out/$name.md" "$out/$name.tex"; done ;;
    */report) mkdir -p "$out"; touch "$out/index.html" ;;
    ?*) mkdir -p "$out/shards"; touch "$out/manifest.csv" "$out/index.csv" "$out/shards/$shard.csv" ;;
esac
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Checkout:
    """A whole tiny study of empty files, which Snakemake recorded as made with these options and code."""
    checkout = copy_repository(tmp_path_factory.mktemp("finished"))
    stage = tmp_path_factory.mktemp("bin") / "python"
    stage.write_text(STAGE)
    stage.chmod(0o755)
    path = f"{stage.parent}{os.pathsep}{os.environ['PATH']}"
    done = checkout.snakemake("--cores", "2", *PROFILE, PATH=path)
    assert done.code == 0, done.text
    return checkout


def plan(checkout: Checkout, folder: Path, changes: dict) -> Result:
    """Jobs of a dry run with `changes` to the configuration."""
    file = folder / "changes.yaml"
    file.write_text(yaml.safe_dump(changes))
    result = checkout.snakemake("--dry-run", *PROFILE, "--configfile", str(file))
    assert result.code == 0, result.text
    return result


def test_without_a_change_nothing_is_to_be_done(finished):
    result = finished.snakemake("--dry-run", *PROFILE)
    assert "Nothing to be done" in result.text
    assert not result.jobs


def test_an_ablations_option_runs_its_own_jobs_again(finished, tmp_path):
    result = plan(finished, tmp_path, {"methods": {"no_lcu": {"options": {"stage": {"pose_weight": 2.0}}}}})
    own = ("fit", "generate", "evaluate")
    assert {rule: result.jobs[rule] for rule in own} == dict.fromkeys(own, 1)
    assert set(result.jobs) - set(own) <= REPORTING
    for rule in own:
        assert result.wildcards(rule) == {"method=no_lcu, seed=0"}


def test_sampling_options_train_nothing_again(finished, tmp_path):
    result = plan(finished, tmp_path, {"sampling": {"guide_user": 1.75}})
    assert not {"fit", "fit_start", "train_vae", "train_probe", "train_phi"} & set(result.jobs)
    methods = {line.split(",")[0].removeprefix("method=") for line in result.wildcards("generate")}
    study = yaml.safe_load((finished.folder / "workflow/config/default.yaml").read_text())["methods"]
    assert methods == {name for name, row in study.items() if row.get("stage") and row["group"] != "none"}


def test_one_probes_options_leave_the_other_and_all_methods_alone(finished, tmp_path):
    result = plan(finished, tmp_path, {"probes": {"image": {"videos": 4}}})
    assert result.wildcards("train_probe") == {"probe=image"}
    assert not {"fit", "generate"} & set(result.jobs)


def test_a_new_label_remakes_only_tables_and_card(finished, tmp_path):
    result = plan(finished, tmp_path, {"methods": {"echo": {"label": "ECHO (ours)"}}})
    assert set(result.jobs) == {"tables", "run_notebook", "report_page", "package", "all"}  # the card names the row


def test_a_new_method_runs_only_its_own_jobs(finished, tmp_path):
    options = {"model": {"use_lau": False}}
    row = {"class": "echo_model.method:Echo", "stage": 2, "start": "talking", "options": options}
    result = plan(finished, tmp_path, {"methods": {"no_lau": row}})
    assert result.wildcards("fit") == result.wildcards("evaluate") == {"method=no_lau, seed=0"}
    assert "fit_start" not in result.jobs


def test_an_edited_probe_is_trained_again_and_the_others_are_not(finished):
    for probe in ("identity", "video"):
        path = finished.folder / f"evaluation/probes/{probe}.py"
        before, times = path.read_text(), path.stat()
        path.write_text(before + "\n# edited\n")
        try:
            result = finished.snakemake("--dry-run", *PROFILE)
        finally:
            path.write_text(before)
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        assert result.code == 0, result.text
        assert result.wildcards("train_probe") == {f"probe={probe}"} and "fit" not in result.jobs


@pytest.mark.parametrize(
    ("file", "runs", "spared"),
    [
        ("baselines/controls.py", {"generate"}, {"fit", "fit_start", "train_vae", "train_probe"}),
        ("evaluation/metrics/motion/rpcc.py", {"evaluate"}, {"generate", "fit", "train_probe"}),
        ("evaluation/networks/i3d.py", {"evaluate"}, {"generate", "fit", "train_probe"}),
        ("echo_model/model/sdcm.py", {"fit", "fit_start"}, {"train_vae", "encode", "train_phi", "train_probe"}),
    ],
)
def test_an_edited_file_runs_the_stages_that_execute_it(finished, file, runs, spared):
    path = finished.folder / file
    before, times = path.read_text(), path.stat()
    path.write_text(before + "\n# edited\n")
    try:
        result = finished.snakemake("--dry-run", *PROFILE)
    finally:
        path.write_text(before)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert result.code == 0, result.text
    assert runs <= set(result.jobs)
    assert not spared & set(result.jobs)
