"""Helpers of the rules: check a configuration in one sentence, list the code a stage runs, merge options."""

import ast
import atexit
import copy
import hashlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

# jsonschema would compile the 38 grammars of rfc3987-syntax, for formats that no schema here names: two seconds in
# every run and, on a cluster, twice in every job (findings/jsonschema_import.sh).
_absent = "rfc3987_syntax" not in sys.modules
if _absent:
    sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]
from jsonschema import Draft202012Validator  # noqa: E402

if _absent:
    del sys.modules["rfc3987_syntax"]

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

KINDS = {
    **{"array": "a list", "object": "a mapping of keys", "string": "text", "boolean": "true or false"},
    **{"integer": "a whole number", "number": "a number", "null": "null"},
}


def config_problem(config: Mapping[str, Any], schema: Mapping[str, Any]) -> str | None:
    """One sentence on the first thing wrong in `config`, naming the key; None if nothing is."""
    if odd := next(_odd_keys(config), None):
        return f"configuration key '{odd}' is not text; give it a name with a letter."
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
    if error.validator == "type":
        kinds = error.validator_value if isinstance(error.validator_value, list) else [error.validator_value]
        remedy = f"; write [{error.instance}]" if "array" in kinds and not isinstance(error.instance, Mapping) else ""
        wanted = " or ".join(KINDS[kind] for kind in kinds)
        return f"configuration key '{where}' is {error.instance!r}, but must be {wanted}{remedy}."
    return f"configuration key '{where}' is not valid: {error.message}."


def _odd_keys(value: Any, where: str = "") -> Iterator[str]:
    """Keys that YAML reads as something else than text (7, null, yes), anywhere inside."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            name = f"{where}.{key}" if where else str(key)
            if not isinstance(key, str):
                yield name
            yield from _odd_keys(inner, name)


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


@cache
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


STAMPS = Path(".snakemake/code")


@cache
def code_of(*modules: str) -> list[str]:
    """One small file that stands for `code_files(*modules)` as a rule's input; the files where none can be written.

    Its name changes with their contents, and it is as old as the youngest of them, so it reruns what the files would.
    A plan of thousands of jobs with seventy files each takes four times as long.
    """
    if not modules:
        return []
    files = code_files(*modules)
    digests = [f"{hashlib.sha256((ROOT / file).read_bytes()).hexdigest()}  {file}" for file in files]
    text = "\n".join(digests) + "\n"
    name = modules[0].partition(":")[0].removesuffix(".*")
    stamp = STAMPS / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}.sha256"
    youngest = max((ROOT / file).stat().st_mtime_ns for file in files)
    try:
        if not stamp.is_file() or stamp.stat().st_mtime_ns != youngest:
            STAMPS.mkdir(parents=True, exist_ok=True)
            temporary = stamp.with_name(f"{stamp.name}.{os.getpid()}")
            temporary.write_text(text, encoding="utf-8")
            os.utime(temporary, ns=(youngest, youngest))
            os.replace(temporary, stamp)
    except OSError:
        return files
    return [str(stamp)]


def _named(module: str) -> list[Path]:
    place = ROOT.joinpath(*module.removesuffix(".*").split("."))
    if not (place.is_dir() or place.with_suffix(".py").is_file()):
        raise FileNotFoundError(f"module {module} has no file in this repository; check its name.")
    return sorted(place.rglob("*.py")) if module.endswith(".*") else list(_files_of(module))


IMPORTS = Path(".snakemake/imports.json")  # what each file imports, by its time and size: parsing all takes a second


@cache
def _imported(file: Path) -> tuple[Path, ...]:
    """Files of the project's modules that `file` names in an import statement, at any depth of the code."""
    return tuple(path for name in _import_names(file) if name.split(".")[0] in PACKAGES for path in _files_of(name))


def _import_names(file: Path) -> list[str]:
    """Dotted names in the import statements of a file, sorted."""
    key, stat = str(file.relative_to(ROOT)), file.stat()
    version = [stat.st_mtime_ns, stat.st_size]
    known = _known_imports()
    if key not in known or known[key][:2] != version:
        known[key] = [*version, _parsed_imports(file)]
    return known[key][2]


@cache
def _known_imports() -> dict[str, list[Any]]:
    """What former runs read; what this one reads is added, and written when it ends."""
    try:
        known = json.loads(IMPORTS.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}
    atexit.register(_keep_imports, json.dumps(known), known)
    return known


def _keep_imports(before: str, known: dict[str, list[Any]]) -> None:
    text = json.dumps(known)
    if text == before or not IMPORTS.parent.is_dir():
        return
    temporary = IMPORTS.with_name(f"{IMPORTS.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, IMPORTS)
    except OSError:  # a read-only place: the next run parses again
        temporary.unlink(missing_ok=True)


def _parsed_imports(file: Path) -> list[str]:
    package = file.relative_to(ROOT).parts[:-1]
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"), filename=str(file))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join((*start, *filter(None, [node.module])))
            names |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    return sorted(names)


@cache
def _files_of(module: str) -> tuple[Path, ...]:
    """The file of a module and the `__init__.py` of every package above it; none where there is no module."""
    parts, found = module.split("."), []
    for end in range(1, len(parts) + 1):
        place = ROOT.joinpath(*parts[:end])
        found += [path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()]
    if ROOT.joinpath(*parts, "__main__.py").is_file():
        found.append(ROOT.joinpath(*parts, "__main__.py"))
    return tuple(found)
