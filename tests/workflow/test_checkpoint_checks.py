"""What a run of the paper's profile would miss is told before its first job: checkpoints, recordings, GPUs."""

import copy
import json

import pytest
from checkpoints import fit_problem, missing_problem
from plan import processes_problem

PARTS = {
    "transformer": {"_class_name": "WanTransformer3DModel", "in_channels": 48, "out_channels": 48, "text_dim": 4096},
    "vae": {"_class_name": "AutoencoderKLWan", "z_dim": 48, "scale_factor_spatial": 16, "scale_factor_temporal": 4},
    "voice": {"model_type": "wav2vec2", "hidden_size": 768},
    "look": {"model_type": "clip", "vision_config": {"hidden_size": 1280}, "text_config": {"hidden_size": 1024}},
    "phi": {"model_type": "qwen2_5_omni", "thinker_config": {"text_config": {"hidden_size": 3584}}},
    "psi": {"model_type": "qwen2", "hidden_size": 3584},
    "text": {"model_type": "umt5", "d_model": 4096},
}
KINDS = {"phi": "qwen_omni", "psi": "causal_lm", "text": "t5"}
ALL = ("encode_clips", "understand", "fit", "generate")


@pytest.fixture
def study(tmp_path):
    """The paper's parts as their config.json tell them, with empty weights; the configuration that names them."""
    for part, told in PARTS.items():
        (tmp_path / part).mkdir()
        (tmp_path / part / "config.json").write_text(json.dumps(told))
        (tmp_path / part / "model-00001-of-00002.safetensors").touch()
    generator = {part: {"path": str(tmp_path / part)} for part in ("transformer", "vae", "voice", "look")}
    config = {slot: {"kind": kind, "path": str(tmp_path / slot)} for slot, kind in KINDS.items()}
    model = {"phi_width": 3584, "text_width": 4096, "clip": 48}
    return config | {"generator": {"kind": "wan", "size": 512, **generator}, "model": model}


def test_parts_of_one_model_have_no_problem(study):
    assert fit_problem(study) is None and missing_problem(study, ALL) is None
    small = {"generator": {"kind": "small"}, "model": {}, "phi": {"train": {}}, "psi": {}, "text": {}}
    assert fit_problem(small) is None and missing_problem(small, ALL) is None


@pytest.mark.parametrize(
    ("part", "change", "words"),
    [
        ("vae", {"z_dim": 16}, "latents of 48 channels, but generator.vae.path has 16"),
        ("vae", {"_class_name": "WanTransformer3DModel"}, "a WanTransformer3DModel, but must be a AutoencoderKLWan"),
        ("vae", {"scale_factor_temporal": 8}, "a latent step of generator.vae.path holds 8; set model.patch"),
        ("vae", {"scale_factor_spatial": 48}, "generator.size is 512, but must be a multiple of 96"),
        ("voice", {"model_type": "hubert"}, "a hubert, but must be a wav2vec2"),
        ("look", {"model_type": "siglip"}, "a siglip, but must be a clip or clip_vision_model"),
        (
            "text",
            {"d_model": 1024},
            "reads text tokens 4096 wide, but text.path gives 1024; name the text encoder that",
        ),
        ("text", {"model_type": "bert"}, "a bert, but must be a t5 or mt5 or umt5"),
        ("transformer", {"text_dim": 2048}, "reads text tokens 2048 wide, but text.path gives 4096; name the text"),
        ("transformer", {"image_dim": 1024}, "takes tokens 1024 wide, but generator.look.path gives 1280"),
        ("phi", {"thinker_config": {"text_config": {"hidden_size": 2048}}}, "phi.path gives tokens 2048 wide"),
    ],
)
def test_a_part_that_does_not_fit_is_one_sentence(study, tmp_path, part, change, words):
    (tmp_path / part / "config.json").write_text(json.dumps(PARTS[part] | change))
    told = fit_problem(study)
    assert told and words in told and told.endswith(".") and "\n" not in told


def test_a_width_that_the_model_was_told_wrong_is_one_sentence(study, tmp_path):
    study["model"]["text_width"] = 24
    assert fit_problem(study) == "text.path gives tokens 4096 wide, but model.text_width is 24; set it to 4096."
    (tmp_path / "text/config.json").unlink()  # not downloaded yet
    assert "reads text tokens 4096 wide, but model.text_width is 24; name the text encoder" in fit_problem(study)


@pytest.mark.parametrize("part", PARTS)
def test_a_missing_part_is_told_where_a_job_will_open_it(study, tmp_path, part):
    opens = {"transformer": "fit", "vae": "generate", "voice": "encode_clips", "look": "encode_clips"}
    rule = opens.get(part, "understand")
    other = "understand" if rule != "understand" else "fit"
    (tmp_path / part / "model-00001-of-00002.safetensors").unlink()
    assert f"{part}.path is" in (told := missing_problem(study, [rule])) and "holds no config.json" in told
    assert missing_problem(study, [other]) is None
    gone = copy.deepcopy(study)
    (gone["generator"] if part in gone["generator"] else gone)[part]["path"] = str(tmp_path / "none")
    assert "none, which is no folder; download the checkpoint" in missing_problem(gone, [rule])
    assert fit_problem(gone) is None  # a plan needs no checkpoint
    assert missing_problem(gone, [rule], elsewhere=True) is None  # may lie on a node's own disk
    (gone["generator"] if part in gone["generator"] else gone)[part]["path"] = "none"
    assert f"{part}.path is none, which is no folder" in missing_problem(gone, [rule], elsewhere=True)
    (gone["generator"] if part in gone["generator"] else gone)[part].pop("path")
    assert f"{part}.path is not set" in missing_problem(gone, [rule])


@pytest.mark.parametrize(
    ("processes", "nodes", "gpus", "cores", "words"),
    [
        (16, 2, 8, 64, "on 2 nodes, which Slurm alone can share"),
        (4, 1, 2, 64, "this machine has 2 GPUs; set it to at most 2, and train.accumulate"),
        (16, 1, 0, 2, "this machine has no GPU and 2 cores; set it to at most 2"),
    ],
)
def test_more_processes_than_this_machine_has_are_one_sentence(processes, nodes, gpus, cores, words):
    told = processes_problem(processes, nodes, gpus, cores)
    assert f"gpus_per_job is {processes}" in told and words in told and told.endswith(".") and "\n" not in told


def test_processes_that_find_place_are_no_problem():
    for processes, gpus, cores in ((1, 0, 1), (0, 0, 1), (8, 8, 2), (2, 0, 2)):
        assert processes_problem(processes, 1, gpus, cores) is None


def test_the_papers_rows_on_wan_are_trained_on_sixteen_gpus_and_small_ones_on_one(checkout):
    plan = checkout.snakemake("--dry-run", "--config", "profile=paper")
    assert plan.code == 0, plan.text[-3000:]
    lines = [line for line in plan.text.splitlines() if "-m training.fit --method" in line]
    on_wan = [line for line in lines if "echo_model.wan.method" in line]
    many = "on_gpu.py --gpus 8 python -m training.launch --processes 16 --nodes 2 -m training.fit"
    assert on_wan and all(many in line for line in on_wan) and len(on_wan) < len(lines)
    assert not any("training.launch" in line for line in set(lines) - set(on_wan))
    assert not any("training.launch" in line for line in plan.text.splitlines() if "train_vae" in line)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["dataset={root: nowhere}"], "dataset.root is nowhere, which is no folder; name the data set's there."),
        (
            ["dataset={root: tests}"],
            "generator.transformer.path is checkpoints/tiny/Wan2.2-TI2V/transformer, which is no",
        ),
        (["generator={voice: {reach: 25}}"], "generator.voice.reach is 25 frames, but must be a multiple of"),
    ],
)
def test_a_newcomers_mistake_ends_the_run_before_its_first_job(checkout, arguments, words):
    given = ["--config", "profile=paper_tiny", "results=elsewhere", *arguments]
    done = checkout.snakemake("--cores", "1", *given)
    assert done.code and words in done.text and "Traceback" not in done.text
    assert not (checkout.folder / "elsewhere/paper_tiny/data").exists()


def test_a_corpus_of_coefficients_that_is_not_there_ends_the_run_in_a_sentence(checkout, tmp_path):
    for given, words in (
        ("", "dataset.root is ../si184, which is no folder; name the corpus's folder there, or set the environment"),
        (str(tmp_path), f"variable SI184 is {tmp_path}, which holds no pairs184.txt; name the corpus's folder there ("),
    ):
        done = checkout.snakemake("--cores", "1", "--config", "profile=si184", "results=elsewhere", SI184=given)
        assert done.code and words in done.text and "docs/si184.md" in done.text and "Exception" not in done.text
