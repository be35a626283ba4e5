"""The lists of packages agree with each other and with the code, the configuration with its schema."""

import ast
import functools
import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

import pytest
import torch
import yaml
from lists import WITHOUT_DEPENDENCIES, environment, normal, pins
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from study import code_files

ROOT = Path(__file__).resolve().parents[2]
OWN = {
    *("dyads", "faces", "training", "echo_model", "baselines", "evaluation", "analysis", "reporting", "user_study"),
    *("paper_figures", "benchmarks"),
}
OPTIONAL = {"mamba_ssm"}  # used where it is installed


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


LOCKED = [Requirement(line) for line in read("requirements.lock").splitlines() if line and not line.startswith("#")]
HERE = {normal(line.name): line for line in LOCKED if line.marker is None or line.marker.evaluate()}
WANTED = {normal(name) for name, _, _ in pins(read("requirements.in"))}
CONDA = yaml.safe_load(read("environment.yml"))
CONDA_LINES = next(entry["pip"] for entry in CONDA["dependencies"] if isinstance(entry, dict))
CONDA_PIP = {normal(name) for name, _, _ in pins("\n".join(CONDA_LINES))}
EXCLUDED = {normal(name) for name in tomllib.loads(read("pyproject.toml"))["tool"]["uv"]["exclude-dependencies"]}


def asked_for(name: str, extras: tuple[str, ...] = ()) -> list[Requirement]:
    """What an installed package asks for, on this machine."""
    lines = [Requirement(line) for line in importlib.metadata.requires(name) or []]
    here = [{"extra": extra} for extra in ("", *extras)]
    return [line for line in lines if line.marker is None or any(line.marker.evaluate(place) for place in here)]


def test_the_lock_pins_every_line_exactly_and_names_no_place():
    lines = [line for line in read("requirements.lock").splitlines() if line and not line.startswith("#")]
    assert len(lines) > 200
    for line in lines:
        assert re.fullmatch(r"[a-z0-9][\w.-]*==[\w.]+( ; [\w' .<>=!()*]+)?", line), line
    assert len(HERE) == len([line for line in LOCKED if line.marker is None or line.marker.evaluate()])


def test_the_lock_is_complete_so_that_it_can_be_installed_without_dependencies():
    """The resolver keeps out what pyproject.toml says; all else that a locked package asks for is locked, and fits."""
    missing = []
    for name, line in HERE.items():
        for wanted in asked_for(name, tuple(line.extras)):
            found = HERE.get(normal(wanted.name))
            pinned = None if found is None else next(iter(found.specifier)).version
            fits = pinned is not None and wanted.specifier.contains(pinned, prereleases=True)
            if not fits and normal(wanted.name) not in EXCLUDED:
                missing.append(f"{name} asks for {wanted}, locked is {pinned}")
    assert not missing


def test_every_locked_package_says_that_it_runs_on_each_python_of_the_lock():
    """pip refuses one that does not, though uv, which looks only at lower bounds, has put it into the lock."""
    refused = []
    for name, line in HERE.items():
        admitted = SpecifierSet(importlib.metadata.metadata(name).get("Requires-Python") or "")
        for python in ("3.11.2", "3.12.1", "3.13.0", "3.14.0"):
            place = {"python_version": python.rpartition(".")[0], "python_full_version": python}
            wanted = line.marker is None or line.marker.evaluate(place)
            if wanted and python not in admitted:
                refused.append(f"{line} is for Python {admitted}, not {python}")
    assert not refused


def test_no_build_of_opencv_that_needs_a_desktop_is_installed():
    builds = [d.name for d in importlib.metadata.distributions() if normal(d.name).startswith("opencv")]
    assert builds == ["opencv-contrib-python-headless"]
    assert EXCLUDED.isdisjoint(normal(line.name) for line in LOCKED)


def test_conda_names_what_the_lock_was_made_from_at_its_versions():
    assert read("environment.yml") == environment(read("requirements.in"), read("requirements.lock"))
    assert (
        CONDA_PIP | {normal(name) for name in WITHOUT_DEPENDENCIES} == WANTED <= {normal(line.name) for line in LOCKED}
    )


def test_pip_under_conda_is_not_asked_for_what_must_stay_out():
    """pip follows what each package asks for, and its list cannot say that one of these is not to be followed."""
    reached, waiting = set(), [(name, ()) for name in CONDA_PIP]
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) not in reached:
            reached.add((name, extras))
            waiting += [(normal(line.name), tuple(sorted(line.extras))) for line in asked_for(name, extras)]
    assert EXCLUDED.isdisjoint(name for name, _ in reached)
    assert all(normal(name) in HERE for name in WITHOUT_DEPENDENCIES)


def test_this_environment_is_the_lock():
    wrong = {}
    for name, line in HERE.items():
        try:
            installed = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            installed = None
        if installed is None or not line.specifier.contains(installed.partition("+")[0], prereleases=True):
            wrong[name] = (str(line), installed)
    if sys.platform != "linux" or torch.version.cuda is None:  # make environment TORCH=cpu
        wrong = {name: pair for name, pair in wrong.items() if not re.match(r"nvidia|cuda|triton", name)}
    assert not wrong, f"package: (locked, installed) {wrong}; run `make environment`"


@functools.cache
def owners() -> dict[str, list[str]]:
    """Top-level module -> the packages that bring it."""
    return importlib.metadata.packages_distributions()


def imported(files: list[Path]) -> dict[str, str]:
    """Top-level module -> a file that imports it, of the project's `files`."""
    found = {}
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            else:
                continue
            found.update({name.split(".")[0]: str(file.relative_to(ROOT)) for name in names})
    return found


def test_every_imported_package_is_named_in_requirements_in():
    local = OWN | {file.stem for file in (ROOT / "tests").rglob("*.py")} | {"tests"}
    local |= {file.stem for file in (ROOT / "workflow" / "scripts").glob("*.py")}
    # Named themselves, the interface packages make resolvers take an old snakemake.
    snakemakes = {normal(line.name) for line in asked_for("snakemake")}
    missing = {}
    files = [file for folder in (*sorted(OWN), "tests", "workflow") for file in (ROOT / folder).rglob("*.py")]
    for module, file in imported(files).items():
        if module in sys.stdlib_module_names or module in local | OPTIONAL:
            continue
        distributions = {normal(name) for name in owners().get(module, [module])}
        if not distributions & (WANTED | snakemakes):
            missing[module] = file
    assert not missing, f"module: file {missing}; add its package to requirements.in and run `make lock`"


# Extra -> the packages that work with it, and what of their imports it leaves to the reader (pyproject.toml says why).
EXTRAS = {
    "": (("dyads",), set()),
    "metrics": (("evaluation",), {"syncnet-python", "dlib-bin"}),
    "score": (("analysis", "reporting"), {"syncnet-python", "dlib-bin", "ipython"}),  # in a notebook there is one
    "model": (("training", "echo_model", "baselines"), {"diffusers", "transformers", "mamba-ssm", "tensorboard"}),
    "pretrained": (("echo_model",), {"mamba-ssm", "tensorboard"}),
    "study": (("user_study",), set()),
}


def extra(name: str, project: dict) -> set[str]:
    """Packages that `pip install .[name]` asks for."""
    found = set()
    for line in map(Requirement, project["optional-dependencies"].get(name, [])):
        found |= set().union(*(extra(inner, project) for inner in line.extras)) if line.extras else {normal(line.name)}
    return found | {normal(Requirement(line).name) for line in project["dependencies"]}


@pytest.mark.parametrize("name", EXTRAS)
def test_an_extra_names_what_its_packages_import(name):
    project = tomllib.loads(read("pyproject.toml"))["project"]
    packages, left = EXTRAS[name]
    files = [ROOT / file for file in code_files(*(f"{package}.*" for package in packages))]  # with what they import
    missing = {}
    for module, file in imported(files).items():
        if module not in sys.stdlib_module_names and module not in OWN | OPTIONAL:
            names = {normal(owner) for owner in owners().get(module, [module])}
            if not names & (extra(name, project) | left):
                missing[module] = file
    assert not missing, f"module: file {missing}; add its package to the extra {name!r} of pyproject.toml"


def test_ranges_of_pyproject_hold_the_locked_versions_and_nothing_of_a_desktop():
    project = tomllib.loads(read("pyproject.toml"))["project"]
    for line in map(Requirement, [*project["dependencies"], *sum(project["optional-dependencies"].values(), [])]):
        if normal(line.name) != "echo-bench":
            pinned = next(iter(HERE[normal(line.name)].specifier)).version
            assert line.specifier.contains(pinned), (str(line), pinned)
    reached = [(name, ()) for name in set().union(*(extra(name, project) for name in EXTRAS))]
    for name, extras in reached:  # grows
        more = [(normal(line.name), tuple(sorted(line.extras))) for line in asked_for(name, extras)]
        reached += [entry for entry in more if entry not in reached]
    assert EXCLUDED.isdisjoint(name for name, _ in reached)


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
        assert set(row or {}) <= set(schema["$defs"]["row"]["properties"])


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
    own = leaves(yaml.safe_load(file.read_text()))
    if ("methods", "single_stage") in own:
        pytest.skip("this profile has no such row")
    config = leaves(default) | own
    both = config["stage1", "train", "steps"] + config["stage2", "train", "steps"]
    assert config.get(("methods", "single_stage", "options", "train", "steps"), both) == both
    assert config["stage1", "train", "batch_size"] == config["stage2", "train", "batch_size"]
