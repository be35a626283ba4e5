"""The smoke study, really run: every stage, row, table and the report; and again, with nothing to do."""

import csv
import json
import os
import re
import shutil
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml
from bs4 import BeautifulSoup
from checkout import Checkout, copy_repository

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROFILE = ["--workflow-profile", "profiles/smoke"]
STUDY = yaml.safe_load((ROOT / "workflow/config/default.yaml").read_text())
GROUPS = {name: row["group"] for name, row in (STUDY["methods"] | STUDY["controls"]).items()}
ROWS = [name for name, group in GROUPS.items() if group != "none"]


@pytest.fixture(scope="module")
def smoke(tmp_path_factory) -> Checkout:
    checkout = copy_repository(tmp_path_factory.mktemp("smoke"))
    result = checkout.snakemake("--cores", "all", *PROFILE, timeout=3000)
    assert result.code == 0, result.text[-20_000:]
    shutil.copytree(checkout.folder / "results/smoke/tables", checkout.folder / "first_tables")  # tests add rows
    return checkout


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def test_every_row_is_measured_on_every_test_dialogue(smoke):
    results = smoke.folder / "results/smoke"
    manifest = rows(results / "data/synthetic/manifest.csv")
    clips = {row["dyad_id"] for row in manifest if row["split"] == "test"}
    for name in ROWS:
        measured = rows(results / f"metrics/{name}/seed0.csv")
        assert {row["method"] for row in measured} == {name}
        assert {row["clip"] for row in measured} == clips | {"*"}
        assert any(row["status"] == "ok" for row in measured)
        assert json.loads((results / f"metrics/{name}/seed0.json").read_text())["seed"] == 0


def test_two_independent_runs_give_identical_tables(smoke, tmp_path_factory):
    """Another checkout, from nothing: every byte of every table, but for times and memory."""
    other = copy_repository(tmp_path_factory.mktemp("again"))
    wanted = [f"results/smoke/tables/{name}.csv" for name in ("main_table", "claims")]
    result = other.snakemake("--cores", "all", *PROFILE, *wanted, timeout=3000)
    assert result.code == 0, result.text[-20_000:]
    first, second = smoke.folder / "first_tables", other.folder / "results/smoke/tables"
    names = {path.name for path in first.iterdir()}
    assert names == {path.name for path in second.iterdir()}
    timed = {f"{name}.{kind}" for name in ("efficiency_table", "full_table") for kind in ("csv", "md", "tex")}
    timed |= {"values.csv", "summary.csv"}  # they hold the speed of generation
    assert {"main_table.csv", "ablations_table.md", "claims.csv", "ranks.csv"} <= names - timed
    for name in sorted(names - timed):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name
    compared = other.folder / "compared"
    shutil.copytree(first, compared / "tables")
    command = ["-m", "analysis.diff", str(compared), "results/smoke", "--only", "tables"]
    result = other.run(sys.executable, *command)
    assert result.code == 0, result.text


def test_the_report_shows_its_pictures_and_no_error(smoke):
    page = (smoke.folder / "results/smoke/reports/main_results.html").read_text()
    assert "image/png" in page or "data:image/png" in page
    assert "Traceback" not in page
    for path in (smoke.folder / "results/smoke/reports").glob("*.html"):  # no script or style from a network
        assert not re.search(r"<(script|link)\b[^>]*https?://", path.read_text(encoding="utf-8")), path


def test_a_notebook_runs_alone_with_parameters(smoke):
    command = ["-m", "paper_figures", "qualitative", "--results", "results/smoke", "--out", "alone"]
    parameters = ["-p", "dialogues", "1", "-p", "methods", '["echo", "dim"]']
    whole = (smoke.folder / "results/smoke/figures/filmstrip.png").read_bytes()
    result = smoke.run(sys.executable, *command, *parameters)
    assert result.code == 0, result.text
    notebook = json.loads((smoke.folder / "alone/qualitative.ipynb").read_text())
    assert any("dialogues = 1" in "".join(cell["source"]) for cell in notebook["cells"])
    assert "data:image/png" in (smoke.folder / "alone/qualitative.html").read_text()
    assert len((smoke.folder / "alone/figures/filmstrip.png").read_bytes()) < len(whole)
    assert (smoke.folder / "results/smoke/figures/filmstrip.png").read_bytes() == whole  # the study's own stay


def test_running_again_does_nothing(smoke):
    again = smoke.snakemake("--cores", "all", *PROFILE)
    assert again.code == 0
    assert "Nothing to be done" in again.text


def test_a_replicate_runs_to_its_report_on_the_same_data(smoke):
    """Everything anew by seeds of its own; only the data are there already, and nothing of the study is touched."""
    study = smoke.folder / "results/smoke"
    before = {path: path.stat().st_mtime_ns for path in (study / "tables").iterdir()}
    result = smoke.snakemake("--cores", "all", *PROFILE, "--config", "replicate=1", timeout=3000)
    assert result.code == 0 and "make_world" not in result.jobs, result.text[-20_000:]
    made = study / "replicate1"
    assert {row["seed"] for row in rows(made / "tables/values.csv")} == {"100"}
    page = BeautifulSoup((made / "report/index.html").read_text(), "html.parser")
    assert page.select_one("aside.missing") is None and list(made.glob("report/videos/*/*/*.mp4"))
    assert {path: path.stat().st_mtime_ns for path in (study / "tables").iterdir()} == before


def test_snakemake_bundles_its_report(smoke):
    result = smoke.snakemake("--report", "report.html", *PROFILE)
    assert result.code == 0, result.text
    page = (smoke.folder / "report.html").read_text()
    assert len(page) > 100_000
    for name in ("main_table", "claims", "efficiency_table", *STUDY["notebooks"]):
        assert f"/{name}." in page, name


def test_a_row_trained_again_by_the_readmes_commands_gives_equal_videos(smoke):
    commands = re.search(r"^R=results/default; cp .*?\n(?=```)", README, re.DOTALL | re.MULTILINE)[0]
    commands = commands.replace("results/default", "results/smoke").replace("seed1", "seed0")
    commands = commands.replace("\nsnakemake", f"\n{sys.executable} -m snakemake {' '.join(PROFILE)}")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    result = smoke.run("bash", "-ec", commands, timeout=1200, PATH=path)
    assert result.code == 0, result.text[-5000:]
    assert "Finished jobid" in result.text and result.text.endswith("equal\n")
    assert len(list((smoke.folder / "before").glob("*.mp4"))) > 1


def test_the_readmes_python_example_makes_a_video(smoke):
    code = re.search(r"```python\n(from dyads.*?)```", README, re.DOTALL)[1]
    code = (
        code.replace("results/default", "results/smoke")
        + "\nprint('made', frames.shape, frames.dtype, (clip == frames[:24]).all())\n"
    )
    result = smoke.run(sys.executable, "-c", code)
    assert re.search(r"made \(\d+, \d+, \d+, 3\) uint8 True", result.text), result.text


def test_the_readmes_command_scores_a_folder_of_videos(smoke):
    command = re.search(r"^python -m evaluation\.score .*$", README, re.MULTILINE)[0]
    truth = "results/smoke/videos/truth/seed0"
    command = command.replace("my_videos", truth).replace("true_videos", truth)
    result = smoke.run("bash", "-c", command.replace("python -m", f"{sys.executable} -m"))
    assert result.code == 0, result.text
    assert (smoke.folder / "mine/page/index.html").is_file() and (smoke.folder / "mine/table.md").is_file()
    found = [float(row["value"]) for row in rows(smoke.folder / "mine/rows.csv") if row["metric"] == "ssim"]
    assert found and min(found) > 0.999  # a video is equal to itself


def test_a_method_added_as_the_readme_says_finds_its_row(smoke):
    commands = re.search(r"^python -m training\.scaffold .*?\n(?=```)", README, re.DOTALL | re.MULTILINE)[0]
    commands = re.sub(r" +#.*", "", commands).replace(
        "--configfile", "main_table --configfile workflow/config/smoke.yaml"
    )
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    result = smoke.run("bash", "-ec", commands, timeout=1200, PATH=path)
    assert result.code == 0, result.text[-5000:]
    ran = Counter(re.findall(r"^(?:local)?rule (\w+):$", result.text, re.MULTILINE))
    assert ran == {"fit": 1, "generate": 1, "evaluate": 1, "tables": 1, "main_table": 1}
    table = rows(smoke.folder / "results/smoke/tables/main_table.csv")
    mine = next(row for row in table if row["method"] == "my_method")
    assert float(mine["ssim/frame_mean"]) > 0 and int(mine["parameters"]) > 0


def test_a_method_that_fails_leaves_its_row_and_everything_else(smoke):
    """Really run: training raises; tables and report of the others stand beside the results, and tell of it."""
    assert smoke.run(sys.executable, "-m", "training.scaffold", "broken").code == 0
    code = smoke.folder / "baselines/broken.py"
    start = '        """`dyads` is the training split.'
    assert start in code.read_text()
    code.write_text(code.read_text().replace(start, '        raise ValueError("this row fails on purpose")\n' + start))
    results = smoke.folder / "results/smoke"
    shown = results / "unfinished"
    (results / "report/index.html").unlink()
    files = ["workflow/config/smoke.yaml", "workflow/config/broken.yaml"]
    result = smoke.snakemake("--cores", "all", "--configfile", *files, timeout=1200)
    assert result.code != 0 and "ValueError: this row fails on purpose" in result.text
    assert "What finished is shown in results/smoke/unfinished/report/index.html." in result.text, result.text[-5000:]
    assert not (results / "report/index.html").exists()  # what is unfinished is not taken for finished
    table = {row["method"]: row for row in rows(shown / "tables/main_table.csv")}
    assert table["broken"]["status"] == "not_run; fit failed: ValueError: this row fails on purpose"
    assert float(table["echo"]["ssim/frame_mean"]) > 0 and table["echo"]["status"] == "ok"
    for name in ("main_table", "talking_table", "listening_table", "efficiency_table"):
        for kind in ("md", "tex"):
            assert "Broken" in (shown / f"tables/{name}.{kind}").read_text(), (name, kind)
    page = BeautifulSoup((shown / "report/index.html").read_text(), "html.parser")
    assert "Broken" in page.select_one("aside.missing").text and "not_run" in page.select_one("#row-broken").text
    assert "this row fails on purpose" in page.select_one("#sheet-main_table tr[data-method=broken]").text
