"""Dry runs: every profile plans its jobs, however it is selected, and mistakes get one sentence."""

import shlex
import shutil
import sys
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


def config(profile: str) -> dict:
    return yaml.safe_load((ROOT / f"workflow/config/{profile}.yaml").read_text())


@pytest.fixture(scope="module")
def default(checkout):
    return checkout.snakemake("--dry-run")


def test_default_plans_every_method_control_and_seed(default):
    assert default.code == 0, default.text
    study = config("default")
    seeds = len(study["seeds"])
    rows = [row for row in study["methods"].values() if row["group"] != "none"]
    starts = [row for row in study["methods"].values() if row["group"] == "none"]
    trained = [row for row in rows if not row.get("weights")]
    controls = sum(len(row.get("seeds", study["seeds"])) for row in study["controls"].values())
    assert default.jobs["fit"] == len(trained) * seeds
    assert default.jobs["fit_start"] == len(starts) * seeds
    assert default.jobs["generate"] == default.jobs["evaluate"] == len(rows) * seeds + controls
    assert {default.jobs[rule] for rule in ("make_world", "take_backbones", "take_readers", "tables")} == {1}
    assert not {"train_vae", "train_renderer", "train_phi", "train_probe"} & set(default.jobs)


@pytest.mark.parametrize("profile", ["real_clips", "full", "gpu"])
def test_other_profiles_plan_too(checkout, profile):
    result = checkout.snakemake("--dry-run", "--config", f"profile={profile}")
    assert result.code == 0, result.text
    assert f"results/{profile}/tables/main_table.csv" in result.text
    assert ("adapt_videos" in result.jobs) == (profile == "real_clips")


def test_backbones_per_seed_and_replicates_train_everything_anew(checkout):
    """On the dialogues and with the readers of the study itself, which a replicate neither makes nor trains again."""
    plain = ["--dry-run", "--config", "profile=trained_tiny", "seeds=[0,1]"]
    apart = checkout.snakemake(*plain, "backbones_per_seed=true")
    assert apart.code == 0, apart.text
    for rule in ("train_vae", "encode", "train_phi", "understand", "train_renderer", "encode_motion"):
        assert apart.jobs[rule] == 2, rule
    assert apart.jobs["train_probe"] == 5 and apart.jobs["make_world"] == 1
    commands = [line for line in apart.text.splitlines() if "train_vae" in line and "--seed" in line]
    assert (
        len(commands) == 2 and "backbones/seed1/vae.safetensors" in apart.text and "--backbones-per-seed" in apart.text
    )
    again = checkout.snakemake(*plain, "replicate=2")
    assert again.code == 0, again.text
    assert again.jobs["train_vae"] == 1 and "--seed 200" in again.text and "models/echo/seed201" in again.text
    assert "results/trained_tiny/replicate2/tables/claims.csv" in again.text
    assert "results/trained_tiny/probes/motion.safetensors" in again.text and "replicate2/probes" not in again.text
    assert "results/trained_tiny/data/synthetic" in again.text and "replicate2/data" not in again.text


@pytest.mark.parametrize(
    ("changes", "trains"),
    [
        (["backbones=train"], False),
        (["profile=full"], False),
        (["backbones=train", "readers=train"], True),
        (["probes={test_videos: 3}"], True),
        (["backbones=train", "world={size: 128}"], True),
        (["profile=real_clips"], True),
    ],
)
def test_readers_are_the_shipped_ones_wherever_these_can_read(checkout, changes, trains):
    result = checkout.snakemake("--dry-run", "--config", *changes)
    assert result.code == 0, result.text
    assert (result.jobs["train_probe"], result.jobs["take_readers"]) == ((5, 0) if trains else (0, 1))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("vae={train: {steps: 3}}", "'vae' says how a training is done, but backbones is shipped"),
        ("backbones_per_seed=true", "backbones_per_seed trains a set for each seed, but backbones is shipped"),
        ("world={size: 128}", "world.size is 128, but shipped backbones know faces of 64 pixels"),
        ("world={seed: 1901}", "world.seed is 1901, whose people shipped backbones"),
        (
            "dataset={kind: folder, pairs: workflow/config/real_clips_pairs.csv}",
            "know the synthetic world's faces alone",
        ),
    ],
)
def test_what_shipped_backbones_cannot_do_is_one_sentence(checkout, change, words):
    result = checkout.snakemake("--dry-run", "--config", change)
    assert result.code and words in result.text and "Traceback" not in result.text


def test_coefficients_train_nothing(checkout):
    result = checkout.snakemake("--dry-run", "--config", "profile=si184_tiny")
    assert result.code == 0, result.text
    wanted = {"make_corpus", "adapt_coefficients", "evaluate_coefficients", "tables", "claims"}
    assert set(result.jobs) - {"total"} == wanted | {"run_notebook", "report_page", "all"}
    wrong = checkout.snakemake("--dry-run", "--config", "profile=si184_tiny", "dataset={main: nobody}")
    assert wrong.code and "dataset.main is 'nobody', which is none of dataset.systems." in wrong.text


def test_the_papers_profile_reads_with_pretrained_models_and_trains_no_small_one(checkout):
    own = "dataset={pairs: workflow/config/real_clips_pairs.csv}"
    result = checkout.snakemake("--dry-run", "--config", "profile=paper", own)
    assert result.code == 0, result.text
    assert result.jobs["understand"] == result.jobs["adapt_videos"] == 1 and "train_phi" not in result.jobs
    command = next(line for line in result.text.splitlines() if "python -m echo_model.commands.understand" in line)
    assert all(name in command for name in ("qwen_omni", "causal_lm", '"t5"', '"phi_width": 3584'))
    assert "phi.safetensors" not in result.text


def test_four_ways_to_select_a_profile_are_one(checkout):
    ways = (
        ["--config", "profile=smoke"],
        ["--configfile", "workflow/config/smoke.yaml"],
        ["--workflow-profile", "profiles/smoke"],
        ["smoke"],
    )
    results = [checkout.snakemake("--dry-run", *way) for way in ways]
    assert [result.code for result in results] == [0] * len(ways), results
    commands = [
        sorted(line for line in result.text.splitlines() if line.startswith("Shell command: python"))
        for result in results
    ]
    assert commands[0] and all("results/default" not in line for line in commands[0])
    assert all(command == commands[0] for command in commands)


def test_named_targets_need_no_cores(checkout):
    targets = ["main_table", "ablations_table", "figures", "report"]
    result = checkout.snakemake(*targets, "--dry-run")
    assert result.code == 0, result.text
    assert {target: result.jobs[target] for target in targets} == dict.fromkeys(targets, 1)


def test_a_home_that_cannot_be_written_is_no_hindrance_with_a_cache_elsewhere(checkout, tmp_path):
    """As docs/cluster.md says; /proc takes no folder from anybody."""
    told = checkout.snakemake("--dry-run", "encode", HOME="/proc/nobody", XDG_CACHE_HOME=str(tmp_path))
    assert told.code == 0, told.text


def test_stages_of_one_seed_are_shared_by_the_methods_that_start_there(default):
    assert {line.split(", ")[0] for line in default.wildcards("fit_start")} == {
        "method=talking",
        "method=talking_entangled",
    }


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--config", "stepz=3"], "unknown configuration key 'stepz'"),
        (["--config", "profile=smok"], "there is no profile 'smok'; there are default, full, gpu"),
        (["--config", "phi={kind: qwen}"], "configuration key 'phi.kind' is not valid: 'qwen' is not one of"),
        (["--config", "seeds=[4,x]"], "configuration key 'seeds.1' is 'x', but must be a whole number."),
    ],
)
def test_a_mistake_in_the_configuration_is_one_sentence(checkout, arguments, sentence):
    result = checkout.snakemake("--dry-run", *arguments)
    assert result.code == 1
    assert sentence in result.text
    assert "Traceback" not in result.text


def test_lists_and_mappings_on_the_command_line(checkout):
    """As full.yaml says it."""
    result = checkout.snakemake("--dry-run", "--config", "profile=full", "seeds=[4,5]", "world={train: 32, test: 16}")
    assert result.code == 0, result.text
    seeds = {line.split("seed=")[1].split(",")[0] for line in result.wildcards("fit")}
    assert seeds == {"4", "5"}


def test_use_conda_without_conda_is_one_sentence(checkout, tmp_path):
    for tool in ("bash", "which"):  # Snakemake asks for them before it reads a rule
        (tmp_path / tool).symlink_to(shutil.which(tool))
    result = checkout.run(sys.executable, "-m", "snakemake", "--dry-run", "--use-conda", PATH=str(tmp_path))
    assert result.code == 1
    assert "--use-conda was given but there is no conda on PATH" in result.text
    assert "Traceback" not in result.text


def test_a_user_configuration_overrides_one_option_and_removes_a_method(checkout, tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text("profile: mine\nseeds: [7]\nmethods: {no_lcu: null}\n")
    result = checkout.snakemake("--dry-run", "--configfile", str(mine))
    assert result.code == 0, result.text
    assert "results/mine/models/echo/seed7.safetensors" in result.text
    assert "no_lcu" not in result.text


def test_every_probe_that_can_be_trained_is_and_is_measured_with(checkout, default):
    probes = {path.stem for path in (ROOT / "evaluation/fits").glob("[a-z]*.py")}
    trained = checkout.snakemake("--dry-run", "--config", "profile=trained_tiny")
    assert trained.wildcards("train_probe") == {f"probe={name}" for name in probes} and "identity" in probes
    assert not {"take_backbones", "take_readers"} & set(trained.jobs)
    assert "check_weights" not in default.jobs
    assert all(f"results/default/probes/{name}.safetensors" in default.text for name in probes)


def test_reference_weights_are_checked_once_and_a_missing_file_is_one_sentence(checkout, default, tmp_path):
    (tmp_path / "alex.pth").write_bytes(b"")
    result = checkout.snakemake("--dry-run", "--config", f"weights={{lpips: '{tmp_path / 'alex.pth'}'}}")
    assert result.code == 0, result.text
    assert result.jobs["check_weights"] == 1 and result.jobs["evaluate"] == default.jobs["evaluate"]
    missing = checkout.snakemake("--dry-run", "--config", f"weights={{lpips: '{tmp_path / 'none.pth'}'}}")
    assert missing.code == 1 and "Traceback" not in missing.text
    assert f"weights.lpips: {tmp_path / 'none.pth'} is no file" in missing.text


def test_videos_made_elsewhere_get_a_row(checkout, default, tmp_path):
    (tmp_path / "my videos").mkdir()
    given = f"external={{mine: '{tmp_path / 'my videos'}'}}"
    result = checkout.snakemake("--dry-run", "--config", given)
    assert result.code == 0, result.text
    assert result.jobs["evaluate"] == default.jobs["evaluate"] + 1
    assert result.jobs["generate"] == default.jobs["generate"]
    wrong = checkout.snakemake("--dry-run", "--config", f"external={{mine: '{tmp_path / 'none'}'}}")
    assert wrong.code != 0 and "is no folder; name one with <dyad_id>.mp4 files" in wrong.text
    taken = checkout.snakemake("--dry-run", "--config", f"external={{echo: '{tmp_path}'}}")
    assert taken.code != 0 and "external.echo is the name of another row too" in taken.text


def test_only_the_studys_own_rows_are_judged(default):
    """The whole folder was: a row that was taken out, and a former seed, stood among the claims."""
    for module in ("reporting.claims", "reporting.tables"):
        command = next(line for line in default.text.splitlines() if f"python -m {module} " in line)
        given = shlex.split(command.split("--metrics ")[1].split(" --")[0])
        assert given and all(path.endswith(".csv") for path in given)


def test_a_folder_with_a_space_stays_one_word_and_no_shell_removes_anything(checkout):
    result = checkout.snakemake(
        "--dry-run", "--configfile", "workflow/config/smoke.yaml", "--config", "results=my results"
    )
    assert result.code == 0, result.text[-2000:]
    commands = [line for line in result.text.splitlines() if line.startswith("Shell command: ")]
    assert commands and not any("rm -rf" in command for command in commands)
    for command in commands:
        words = shlex.split(command)
        assert not any(word in ("my", "results/smoke") or word.startswith("results/smoke/") for word in words), command


def test_shards_are_jobs_and_one_shard_is_one_job(checkout, default):
    result = checkout.snakemake(
        "--dry-run", "--configfile", "workflow/config/smoke.yaml", "--config", "shards={dialogues: 2}"
    )
    assert result.code == 0, result.text[-2000:]
    rows = result.jobs["gather_measurements"]
    assert result.jobs["encode"] == result.jobs["understand"] == 6  # of eleven dialogues
    assert result.jobs["evaluate"] == result.jobs["generate"] == 2 * rows  # of three
    assert not any(name.startswith("gather") for name in default.jobs)


def test_one_row_is_planned_in_a_fresh_checkout(checkout):
    """Files that stand for the code are there before Snakemake looks into their folder, which it does once."""
    shutil.rmtree(checkout.folder / ".snakemake/code", ignore_errors=True)
    result = checkout.snakemake("results/default/metrics/truth/seed0.csv", "--dry-run")
    assert result.code == 0, result.text[-2000:]
    assert result.jobs["generate"] == result.jobs["evaluate"] == 1
