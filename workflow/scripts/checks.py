"""What a schema cannot say of a configuration: rows that lean on each other, classes that exist, options that fit.

Each function gives one sentence that names the key and the remedy, or None. Options of stages are held against their
dataclasses by `check_options.py`, a process of its own, because that imports the stages; what passed once is kept.
"""

import ast
import hashlib
import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CHECKED = Path(".snakemake/checked-options")
STAGES = ("world", "vae", "renderer", "phi", "probes", "evaluation", "tables", "report")  # the others reach the rows


def rows_problem(config: Mapping[str, Any], given: Mapping[str, Any]) -> str | None:
    """The first row that leans on what is not there.

    `config` has every row in full, `given` the sections as the profile and the user wrote them.
    """
    for section in ("methods", "controls"):
        if section in given and given[section] is None:
            return (
                f"configuration key '{section}' is an empty heading, which would take out every row; give rows "
                "below it, or leave the heading out."
            )
    for seed in [*config["seeds"], *(s for row in (*config["methods"].values(), *config["controls"].values())
                                     for s in row.get("seeds") or [])]:  # fmt: skip
        if type(seed) is not int:
            return f"seed {seed!r} is no whole number; write it without a point."
    methods, controls = config["methods"], config["controls"]
    for name in methods:
        if name in controls:
            return f"'{name}' is a row of methods and of controls; give one of them another name."
    for name, row in {**methods, **controls}.items():
        section = "methods" if name in methods else "controls"
        problem = class_problem(row["class"], f"{section}.{name}.class") or _lean_problem(name, row, methods, controls)
        if problem:
            return problem
    return None


def needs_problem(config: Mapping[str, Any]) -> str | None:
    """One sentence on a rule that `resources.rules` names and nobody has."""
    text = "".join(file.read_text(encoding="utf-8") for file in sorted((ROOT / "workflow/rules").glob("*.smk")))
    known = set(re.findall(r"^ *rule (\w+):", text, re.MULTILINE))
    known |= set(re.findall(r"^ *use rule \w+ as (\w+)", text, re.MULTILINE))
    if unknown := sorted(set(config["resources"]["rules"]) - known):
        return f"resources.rules names '{unknown[0]}', which is no rule; there are: {', '.join(sorted(known))}."
    return None


def _lean_problem(name: str, row: Mapping[str, Any], methods: Mapping, controls: Mapping) -> str | None:
    """What is wrong with the rows that one row starts from or takes its weights from."""
    if name in controls:
        if row.get("start"):
            return f"controls.{name}.start is set, but a control learns nothing; take it out."
        other = row.get("weights")
        if other and other not in {**methods, **controls}:
            return f"controls.{name}.weights names '{other}', which is no row; name one, or leave it out."
        return None
    for key in ("start", "weights"):
        other = row.get(key)
        if not other:
            continue
        where = f"methods.{name}.{key}"
        if other == name:
            return f"{where} names the row itself; name another method, or leave it out."
        if other in controls:
            return f"{where} names '{other}', a control, which has no weights; name a method."
        if other not in methods:
            known = ", ".join(sorted(methods))
            return f"{where} names '{other}', which is no method; there are {known}."
        if methods[other].get("weights"):
            return (
                f"{where} names '{other}', which trains nothing and borrows the weights of "
                f"'{methods[other]['weights']}'; name that one."
            )
    if row.get("start") and row.get("weights"):
        return f"methods.{name} has both start and weights; a row that borrows weights trains nothing: keep one."
    seen, here = [name], row.get("start")
    while here:
        if here in seen:
            circle = " -> ".join([*seen, here])
            return f"methods.{name}.start runs in a circle: {circle}; one of them must start afresh."
        seen.append(here)
        here = methods[here].get("start") if here in methods else None
    return None


def class_problem(path: str, where: str) -> str | None:
    """What is wrong with `package.module:Class`: found in the source, without importing it."""
    module, _, name = path.partition(":")
    parts = module.split(".")
    files = [ROOT.joinpath(*parts).with_suffix(".py"), ROOT.joinpath(*parts, "__init__.py")]
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        try:
            known = importlib.util.find_spec(parts[0]) is not None and not (ROOT / parts[0]).is_dir()
        except (ImportError, ValueError):
            known = False
        # An installed package is looked into when the options are checked.
        return None if known else f"{where} is '{path}', but there is no module {module}; check its spelling."
    classes = set(_names(file))
    if name not in classes:
        return f"{where} is '{path}', but {module} has no class {name}; it has {', '.join(sorted(classes)) or 'none'}."
    return None


def _names(file: Path) -> Iterator[str]:
    """Classes that a file defines or imports at its top level."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in node.names if alias.name[:1].isupper())


def options_problem(config: Mapping[str, Any], rows: Mapping[str, tuple[str, str]], code: list[str]) -> str | None:
    """The first option that its stage would refuse.

    Args:
        config: the whole configuration.
        rows: row name -> its class, and the options that its trainings and videos are given, as JSON.
        code: files of the project behind the stages; a changed one checks again.
    """
    version = hashlib.sha256(repr([(file, (ROOT / file).stat().st_mtime_ns) for file in code]).encode()).hexdigest()
    tasks = [["section", name, json.dumps(config.get(name) or {}, sort_keys=True)] for name in STAGES]
    tasks += [["row", name, f"{path} {options}"] for name, (path, options) in rows.items()]
    if config.get("claims"):
        tasks.append(["section", "claims", _claims(config["claims"])])
    marks = {json.dumps(task): _mark(version, task) for task in tasks}
    waiting = [task for task in tasks if not marks[json.dumps(task)].is_file()]
    if not waiting:
        return None
    command = [sys.executable, str(ROOT / "workflow/scripts/check_options.py")]
    done = subprocess.run(command, input=json.dumps(waiting), cwd=ROOT, capture_output=True, text=True)
    if done.returncode == 2:
        return done.stdout.strip()
    if done.returncode == 0:  # otherwise the stages cannot be imported here, and tell so themselves
        CHECKED.mkdir(parents=True, exist_ok=True)
        for task in waiting:
            marks[json.dumps(task)].touch()
    return None


def _claims(given: str) -> str:
    """The file's name as given, its place, and what it holds, so that a changed one is checked again."""
    place = Path(given).absolute()
    text = hashlib.sha256(place.read_bytes()).hexdigest() if place.is_file() else ""
    return json.dumps({"given": given, "place": str(place), "text": text})


def _mark(version: str, task: list[str]) -> Path:
    kind, name, text = task
    key = [version, kind, name if kind == "section" else "", text]
    return CHECKED / hashlib.sha256(json.dumps(key).encode()).hexdigest()[:32]
