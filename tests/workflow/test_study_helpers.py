"""The rules' helpers: sentences about a configuration, merging, and which files a stage executes."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plan import shard_names
from study import code_files, config_problem, load_schema, merge, typed

from dyads.shards import Shard, parse_shard

ROOT = Path(__file__).resolve().parents[2]
VALID = {"seeds": [0], "methods": {"echo": {"class": "echo_model.method:Echo"}}}


def test_a_valid_configuration_has_no_problem():
    assert config_problem(VALID, load_schema()) is None


def test_text_of_the_command_line_gets_its_type():
    given = {"seeds": ["0", "1"], "world": {"train": "320", "noise": "0.5"}, "methods": {"a": "null", "b": {"c": "no"}}}
    read = {"seeds": [0, 1], "world": {"train": 320, "noise": 0.5}, "methods": {"a": None, "b": {"c": False}}}
    assert typed(given) == typed(read) == read
    kept = ["smoke", "a: b", "[1]", "{x", "2026-01-02", "workflow/config/a.csv"]
    assert typed(kept) == kept


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"stepz": 3}, ["unknown configuration key 'stepz'", "stage2"]),
        ({"methods": {"echo": {"class": "a.b:C", "lable": "x"}}}, ["'methods.echo.lable'", "label"]),
        ({"methods": {"echo": {"label": "ECHO"}}}, ["'methods.echo.class' is missing"]),
        ({"methods": {"echo": {"class": "Echo"}}}, ["'methods.echo.class' is not valid", "Echo"]),
        ({"seeds": ["4"]}, ["'seeds.0' is '4', but must be a whole number."]),
        ({"seeds": 0}, ["'seeds' is 0, but must be a list; write [0]."]),
        ({"seeds": []}, ["'seeds' is not valid"]),
        ({"dataset": {"kind": "video"}}, ["'dataset.kind' is not valid", "synthetic", "folder"]),
    ],
)
def test_a_problem_is_one_sentence_naming_the_key(change, words):
    problem = config_problem(VALID | change, load_schema())
    assert "\n" not in problem and problem.endswith(".")
    for word in words:
        assert word in problem


def mappings_of(values):
    return st.dictionaries(st.sampled_from("abc"), values, max_size=3)


mappings = mappings_of(st.recursive(st.integers(), mappings_of, max_leaves=8))


def leaves(tree, path=()):
    if not isinstance(tree, dict):
        return {path: tree}
    return {key: value for name, inner in tree.items() for key, value in leaves(inner, (*path, name)).items()}


@given(mappings, mappings)
def test_merge_keeps_the_later_layer_and_changes_neither(first, second):
    before = repr((first, second))
    merged = leaves(merge(first, second))
    assert repr((first, second)) == before
    assert leaves(second).items() <= merged.items()
    assert set(merged) <= set(leaves(first)) | set(leaves(second))
    assert merge(first, {}) == first == merge({}, first)


def test_code_files_follow_imports_and_nothing_else():
    files = code_files("training.fit")
    assert {"training/fit.py", "training/command.py", "dyads/errors.py", "dyads/__init__.py"} <= set(files)
    assert not [file for file in files if file.startswith(("echo_model", "baselines", "evaluation"))]
    assert files == sorted(set(files)) and all((ROOT / file).is_file() for file in files)


def test_code_files_of_a_class_a_package_and_a_main_module():
    assert "echo_model/model/sdcm.py" in code_files("echo_model.method:Echo")
    assert {"evaluation/metrics/motion/rpcc.py", "evaluation/cards.py"} <= set(code_files("evaluation.metrics.*"))
    assert "dyads/synthetic/__main__.py" in code_files("dyads.synthetic")


def test_code_files_of_an_unknown_module_is_an_error_naming_it():
    with pytest.raises(FileNotFoundError, match="training.fitt"):
        code_files("training.fitt")


@pytest.mark.parametrize("name", ["a b", "a/b", "..", "a'b", 'a"b', "$(x)", ""])
@pytest.mark.parametrize("section", ["methods", "controls", "external"])
def test_names_of_rows_are_plain_words(section, name):
    row = "videos" if section == "external" else {"class": "a.b:C"}
    assert config_problem(VALID | {section: {name: row}}, load_schema())


@pytest.mark.parametrize("key", [7, None, True, 1.5])
def test_names_that_yaml_reads_as_something_else_are_told(key):
    told = config_problem(VALID | {"methods": {key: {"class": "a.b:C"}}}, load_schema())
    assert told == f"configuration key 'methods.{key}' is not text; give it a name with a letter."


@pytest.mark.parametrize(
    "change",
    [
        {"dataset": {"name": "../../victim"}},
        {"dataset": {"name": "a b"}},
        {"dataset": {"name": ".."}},
        {"results": "a{b}"},
        {"seeds": [2**80]},
        {"shards": {"dialogues": 0}},
        {"gpus_per_job": -1},
    ],
)
def test_values_that_lead_outside_or_beyond_are_refused(change):
    assert config_problem(VALID | change, load_schema())


def test_shards_are_cut_alike_everywhere():
    assert shard_names(9, None) == shard_names(9, 9) == shard_names(0, 4) == []
    assert shard_names(9, 4) == ["1-of-3", "2-of-3", "3-of-3"]
    whole = list(range(9))
    parts = [list(parse_shard(name).of(whole)) for name in shard_names(9, 4)]
    assert [item for part in parts for item in part] == whole and [len(part) for part in parts] == [3, 3, 3]
    assert [len(Shard(k, 4).of(whole[:2])) for k in (1, 2, 3, 4)] == [0, 1, 0, 1]


@given(st.integers(0, 60), st.integers(1, 70))
def test_shards_are_a_partition_into_nearly_equal_runs(count, shards):
    parts = [list(Shard(k, shards).of(range(count))) for k in range(1, shards + 1)]
    assert [item for part in parts for item in part] == list(range(count))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
