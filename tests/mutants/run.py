"""Do the tests bite? Plants small faults in a copy of the code and runs the tests that should see them: `make mutants`.

Two kinds: the faults of listed.yaml, each of which once went unseen, and ones made by rule (comparisons turned or
loosened, plus and minus, times and over, numbers, and/or) in the files of targets.yaml, `--number` of each, drawn by
`--seed`. A mutant that no test kills survives; survivors.yaml explains those that may. Exit code 1: an unexplained one.
"""

import argparse
import ast
import copy
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
COPIED = ("analysis", "dyads", "evaluation", "faces", "reporting", "training", "user_study", "workflow", "tests")
SWAPS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.And: ast.Or, ast.Or: ast.And,
    ast.USub: ast.UAdd,
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """A file with a fault: its whole text, the tests that should see it, and how it is called in survivors.yaml."""

    file: str
    name: str
    text: str
    tests: tuple[str, ...]


def listed() -> list[Mutant]:
    """The faults of listed.yaml; one whose text is gone from the file is an error."""
    found = []
    for entry in yaml.safe_load((HERE / "listed.yaml").read_text()):
        text = (ROOT / entry["file"]).read_text()
        if text.count(entry["old"]) != 1:
            raise SystemExit(
                f"error: {entry['name']}: {entry['file']} holds the text {text.count(entry['old'])} times."
            )
        mutated = text.replace(entry["old"], entry["new"])
        found.append(Mutant(entry["file"], entry["name"], mutated, tuple(entry["tests"])))
    return found


def places(tree: ast.AST) -> list[ast.AST]:
    """Nodes that a rule can change, outside of docstrings, annotations and cards of metrics."""
    cards = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and getattr(n.func, "id", "") == "MetricCard"]
    left_out = {id(inner) for card in cards for inner in ast.walk(card)}
    found = []
    for node in ast.walk(tree):
        operator = getattr(node, "op", None) or (getattr(node, "ops", [None]) or [None])[0]
        number = isinstance(node, ast.Constant) and type(node.value) in (int, float) and node.value not in (1e300,)
        if id(node) not in left_out and (type(operator) in SWAPS or number):
            found.append(node)
    return found


def by_rule(file: str, tests: tuple[str, ...], number: int, seed: int) -> list[Mutant]:
    """`number` mutants of a file, each with one node changed."""
    source = (ROOT / file).read_text()
    tree = ast.parse(source)
    chosen = np.random.default_rng([seed, len(source)]).permutation(len(places(tree)))[:number]
    found = []
    for index in sorted(chosen):
        changed = copy.deepcopy(tree)
        node = places(changed)[index]
        before = ast.unparse(node)
        if isinstance(node, ast.Constant):
            node.value = node.value + 1 if isinstance(node.value, int) else node.value * 2 + 0.01
        elif isinstance(node, ast.Compare):
            node.ops[0] = SWAPS[type(node.ops[0])]()
        else:
            node.op = SWAPS[type(node.op)]()
        line = source.splitlines()[node.lineno - 1].strip()
        found.append(Mutant(file, f"{file}: {before} -> {ast.unparse(node)} in `{line}`", ast.unparse(changed), tests))
    return found


def survives(mutant: Mutant, place: Path, limit: float) -> bool:
    """Whether the tests pass with the mutant in its file of the copy at `place`; beyond `limit` seconds: killed."""
    file = place / mutant.file
    whole = file.read_text()
    file.write_text(mutant.text)
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *mutant.tests]
    try:
        done = subprocess.run(command, cwd=place, capture_output=True, timeout=limit, env=environment())
    except subprocess.TimeoutExpired:
        return False
    finally:
        file.write_text(whole)
    if done.returncode not in (0, 1, 2):
        raise SystemExit(f"error: {mutant.name}: pytest ended with {done.returncode}: {done.stdout.decode()[-500:]}")
    return done.returncode == 0


def environment() -> dict[str, str]:
    single = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    return {**os.environ, **single, "PYTHONDONTWRITEBYTECODE": "1"}


def main() -> int:
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("--number", type=int, default=5, help="mutants by rule of each file; 0: the listed ones alone")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="of names that hold this text")
    parser.add_argument("--limit", type=float, default=600.0, help="seconds of one mutant's tests")
    args = parser.parse_args()
    mutants = listed()
    for entry in yaml.safe_load((HERE / "targets.yaml").read_text()):
        mutants += by_rule(entry["file"], tuple(entry["tests"]), args.number, args.seed)
    mutants = [mutant for mutant in mutants if args.only in mutant.name]
    explained = yaml.safe_load((HERE / "survivors.yaml").read_text()) or {}
    survivors = []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "code"
        for name in COPIED:
            shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", place)
        shutil.copytree(ROOT / "results/reference", place / "results/reference")
        for mutant in mutants:
            alive = survives(mutant, place, args.limit)
            said = "killed" if not alive else "survives, explained" if mutant.name in explained else "SURVIVES"
            print(f"{said}: {mutant.name}", flush=True)
            survivors += [mutant.name] * alive
    unexplained = [name for name in survivors if name not in explained]
    print(f"{len(mutants) - len(survivors)} of {len(mutants)} killed, {len(unexplained)} unexplained survivors.")
    return int(bool(unexplained))


if __name__ == "__main__":
    sys.exit(main())
