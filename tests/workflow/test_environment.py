"""The lists of packages agree with each other and with the code, the configuration with its schema."""

import ast
import importlib.metadata
import re
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
OWN = {
    *("dyads", "faces", "training", "echo_model", "baselines", "evaluation", "analysis", "reporting", "user_study"),
    *("paper_figures", "benchmarks"),
}
OPTIONAL = {"mamba_ssm"}  # used where it is installed


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(lines: list[str]) -> dict[str, str]:
    """Package -> version, of lines such as `torch==2.15.0; marker  # why`; an absent version is empty."""
    found = {}
    for line in lines:
        if match := re.match(r"\s*([A-Za-z0-9][\w.-]*)\s*(?:==([^\s;#]+))?", line):
            found[normal(match[1])] = match[2] or ""
    return found


def read(name: str) -> list[str]:
    return (ROOT / name).read_text(encoding="utf-8").splitlines()


LOCK = pins(read("requirements.lock"))
WANTED = pins([line for line in read("requirements.in") if not line.startswith("#")])
CONDA = yaml.safe_load("\n".join(read("environment.yml")))
CONDA_PIP = pins(next(entry["pip"] for entry in CONDA["dependencies"] if isinstance(entry, dict)))


def test_the_lock_pins_every_line_exactly_and_names_no_place():
    lines = [line for line in read("requirements.lock") if line and not line.startswith("#")]
    assert len(lines) == len(LOCK) > 100
    for line in lines:
        assert re.fullmatch(r'[A-Za-z0-9][\w.-]*==[\w.]+(; sys_platform == "linux")?', line), line


def test_conda_and_lock_agree_on_every_package_both_name():
    assert {name: LOCK.get(name) for name in CONDA_PIP} == CONDA_PIP
    assert "python=3.11" in CONDA["dependencies"]


def test_conda_names_what_the_lock_was_made_from():
    assert set(CONDA_PIP) == set(WANTED) <= set(LOCK)


def test_this_environment_is_the_lock():
    wrong = {}
    for name, version in LOCK.items():
        try:
            installed = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            installed = None
        if installed is None or installed.partition("+")[0] != version:
            wrong[name] = (version, installed)
    if sys.platform != "linux":
        wrong = {name: pair for name, pair in wrong.items() if not re.match(r"nvidia|cuda|triton", name)}
    assert not wrong, f"package: (locked, installed) {wrong}; run `make environment`"


def imported() -> dict[str, str]:
    """Top-level module -> a file that imports it, over the project's code."""
    found = {}
    files = [file for package in sorted(OWN) for file in (ROOT / package).rglob("*.py")]
    for file in [*files, *(ROOT / "tests").rglob("*.py"), *(ROOT / "workflow").rglob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            else:
                continue
            found.update({name.split(".")[0]: str(file.relative_to(ROOT)) for name in names})
    return found


def test_every_imported_package_is_in_environment_yml():
    local = OWN | {file.stem for file in (ROOT / "tests").rglob("*.py")} | {"tests"}
    local |= {file.stem for file in (ROOT / "workflow" / "scripts").glob("*.py")}
    owners = importlib.metadata.packages_distributions()
    missing = {}
    for module, file in imported().items():
        if module in sys.stdlib_module_names or module in local | OPTIONAL:
            continue
        distributions = {normal(name) for name in owners.get(module, [module])}
        if not distributions & set(CONDA_PIP):
            missing[module] = file
    assert not missing, f"module: file {missing}; add its package to requirements.in and environment.yml"


def test_schema_describes_every_key_and_gives_it_a_default():
    schema = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
    row, dataset = schema["$defs"]["row"], schema["properties"]["dataset"]
    required = {"methods", "class"}  # nothing sensible to assume
    for section in (schema, row, dataset):
        assert section["additionalProperties"] is False
        for key, entry in section["properties"].items():
            assert entry.get("description"), key
            assert "default" in entry or key in required, key


def profiles() -> list[Path]:
    return sorted((ROOT / "workflow/config").glob("*.yaml"))


@pytest.mark.parametrize("file", profiles(), ids=lambda file: file.stem)
def test_every_key_of_a_profile_is_in_the_schema_and_names_itself(file):
    schema = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
    config = yaml.safe_load(file.read_text())
    assert config["profile"] == file.stem
    assert set(config) <= set(schema["properties"])
    for row in [*config.get("methods", {}).values(), *config.get("controls", {}).values()]:
        assert set(row) <= set(schema["$defs"]["row"]["properties"])


def leaves(tree, path=()) -> dict:
    if not isinstance(tree, dict):
        return {path: tree}
    return {key: value for name, inner in tree.items() for key, value in leaves(inner, (*path, name)).items()}


@pytest.mark.parametrize("file", [f for f in profiles() if f.stem != "default"], ids=lambda file: file.stem)
def test_profiles_hold_only_differences(file):
    default = leaves(yaml.safe_load((ROOT / "workflow/config/default.yaml").read_text()))
    own = leaves(yaml.safe_load(file.read_text()))
    assert [key for key, value in own.items() if default.get(key, object()) == value] == []


@pytest.mark.parametrize("file", profiles(), ids=lambda file: file.stem)
def test_single_stage_gets_the_steps_of_both_stages(file):
    default = yaml.safe_load((ROOT / "workflow/config/default.yaml").read_text())
    config = leaves(default) | leaves(yaml.safe_load(file.read_text()))
    both = config["stage1", "train", "steps"] + config["stage2", "train", "steps"]
    assert config.get(("methods", "single_stage", "options", "train", "steps"), both) == both
    assert config["stage1", "train", "batch_size"] == config["stage2", "train", "batch_size"]
