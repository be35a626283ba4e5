"""Helpers of the rules: check a configuration in one sentence, list the code a stage runs, merge options."""

import ast
import copy
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = (
    "dyads",
    "faces",
    "training",
    "echo_model",
    "baselines",
    "evaluation",
    "analysis",
    "reporting",
    "user_study",
)


def config_problem(config: Mapping[str, Any], schema: Mapping[str, Any]) -> str | None:
    """One sentence on the first thing wrong in `config`, naming the key; None if nothing is."""
    errors = sorted(Draft202012Validator(schema).iter_errors(config), key=lambda error: list(error.path))
    if not errors:
        return None
    error = errors[0]
    where = ".".join(map(str, error.path))
    if error.validator == "additionalProperties":
        known = error.schema["properties"]
        unknown = sorted(set(error.instance) - set(known))[0]
        key = f"{where}.{unknown}" if where else unknown
        return f"unknown configuration key '{key}'; allowed here: {', '.join(sorted(known))}."
    if error.validator == "required":
        missing = next(key for key in error.validator_value if key not in error.instance)
        return f"configuration key '{f'{where}.{missing}' if where else missing}' is missing."
    return f"configuration key '{where}' is not valid: {error.message}."


def load_schema() -> dict[str, Any]:
    """The configuration schema, workflow/schemas/config.schema.yaml."""
    return yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text(encoding="utf-8"))


def merge(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Later layers over earlier ones; mappings inside are merged too, anything else is replaced."""
    merged: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
            merged[key] = merge(merged[key], value) if both else copy.deepcopy(value)
    return merged


def typed(value: Any) -> Any:
    """`value` with the numbers, truths and nulls that are still text anywhere in it, read as YAML reads them."""
    if isinstance(value, Mapping):
        return {key: typed(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [typed(inner) for inner in value]
    if not isinstance(value, str):
        return value
    try:
        read = yaml.safe_load(value)
    except yaml.YAMLError:
        return value
    return read if read is None or isinstance(read, bool | int | float) else value


def code_files(*modules: str) -> list[str]:
    """The project's files behind `modules`: their own, and those they import, directly or not.

    Stages run by `python -m`, which Snakemake cannot look into; as inputs, these files make an edit rerun
    exactly the stages that execute it. `package.*` names every module of a package (for modules found at run
    time), and `module:Class` is read as `module`. Paths are relative to the repository.
    """
    found: set[Path] = set()
    waiting = [file for module in modules for file in _named(module.partition(":")[0])]
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            waiting += _imported(file)
    return sorted(str(file.relative_to(ROOT)) for file in found)


def _named(module: str) -> list[Path]:
    place = ROOT.joinpath(*module.removesuffix(".*").split("."))
    if not (place.is_dir() or place.with_suffix(".py").is_file()):
        raise FileNotFoundError(f"module {module} has no file in this repository; check its name.")
    return sorted(place.rglob("*.py")) if module.endswith(".*") else list(_files_of(module))


@cache
def _imported(file: Path) -> tuple[Path, ...]:
    """Files of the project's modules that `file` names in an import statement, at any depth of the code."""
    package = file.relative_to(ROOT).parts[:-1]
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"), filename=str(file))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join((*start, *filter(None, [node.module])))
            names |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    return tuple(path for name in sorted(names) if name.split(".")[0] in PACKAGES for path in _files_of(name))


def _files_of(module: str) -> Iterable[Path]:
    """The file of a module and the `__init__.py` of every package above it; none where there is no module."""
    parts = module.split(".")
    for end in range(1, len(parts) + 1):
        place = ROOT.joinpath(*parts[:end])
        yield from (path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file())
    if ROOT.joinpath(*parts, "__main__.py").is_file():
        yield ROOT.joinpath(*parts, "__main__.py")
