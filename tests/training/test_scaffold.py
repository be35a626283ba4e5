"""The scaffold writes a method that runs and a row that the workflow takes, and overwrites nothing."""

import importlib.util
import shutil
from pathlib import Path

import pytest
import yaml

from dyads.errors import ConfigError
from training.method import Method
from training.scaffold import scaffold

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def repository(tmp_path):
    for folder in ("baselines", "workflow/config"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy(ROOT / "workflow/config/default.yaml", tmp_path / "workflow/config")
    return tmp_path


def test_the_file_holds_a_method_and_the_row_names_it(repository):
    code, config = scaffold("mean_face", repository)
    row = yaml.safe_load(config.read_text())["methods"]["mean_face"]
    assert row["class"] == "baselines.mean_face:MeanFace" and row["group"] == "baseline"
    spec = importlib.util.spec_from_file_location("mean_face", code)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert issubclass(module.MeanFace, Method) and not module.MeanFace.__abstractmethods__


@pytest.mark.parametrize("name", ["Mean", "mean-face", "class", "../mean", ""])
def test_a_name_that_is_no_module_is_refused(repository, name):
    with pytest.raises(ConfigError, match="cannot name a module"):
        scaffold(name, repository)


def test_nothing_is_overwritten_and_another_folder_is_refused(repository, tmp_path_factory):
    scaffold("mine", repository)
    with pytest.raises(ConfigError, match=r"mine\.py exists"):
        scaffold("mine", repository)
    with pytest.raises(ConfigError, match="repository's root"):
        scaffold("mine", tmp_path_factory.mktemp("elsewhere"))
