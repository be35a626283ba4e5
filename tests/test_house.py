"""The house plan as a test: which package may import which, no circles between files, folders one can look over."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# Wing -> wings it may import; the longest name that a module begins with is its wing.
MAY_IMPORT = {
    "dyads": (),
    "faces": ("dyads",),
    "dyads.adapters": ("dyads", "faces"),
    "training": ("dyads", "faces"),
    "echo_model": ("dyads", "faces", "dyads.adapters", "training"),
    "baselines": ("dyads", "faces", "dyads.adapters", "training", "echo_model"),
    "evaluation": ("dyads", "faces", "dyads.adapters", "training"),
    "analysis": ("dyads", "faces", "dyads.adapters", "training", "evaluation"),
    "reporting": ("dyads", "faces", "dyads.adapters", "training", "evaluation", "analysis"),
    "user_study": ("dyads", "faces", "dyads.adapters", "training", "evaluation"),
    "paper_figures": ("dyads", "faces", "dyads.adapters", "training", "evaluation", "analysis", "reporting"),
}
MOST_FILES = 14
LARGEST_SHARE = 1 / 3


def module_of(file: Path, root: Path) -> str:
    parts = file.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def wing_of(module: str) -> str:
    return max((wing for wing in MAY_IMPORT if f"{module}.".startswith(f"{wing}.")), key=len)


def modules(root: Path, *others: str) -> dict[str, Path]:
    """Module -> file, of all wings and of other top folders."""
    tops = sorted({wing.partition(".")[0] for wing in MAY_IMPORT} | set(others))
    return {module_of(file, root): file for top in tops for file in (root / top).rglob("*.py")}


def imports(root: Path) -> dict[str, set[str]]:
    """Module -> modules of the project that it imports, anywhere in its code; its own package's `__init__` aside."""
    files = modules(root)
    found: dict[str, set[str]] = {}
    for module, file in files.items():
        names: set[str] = set()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{module} imports by dots; say the whole name"
                submodules = {f"{node.module}.{alias.name}" for alias in node.names} & set(files)
                names |= submodules or {node.module}
        found[module] = (names & set(files)) - {module}
    return found


def upward(graph: dict[str, set[str]]) -> list[str]:
    """'a imports b' for every import against the order."""
    return sorted(
        f"{module} imports {other}"
        for module, others in graph.items()
        for other in others
        if wing_of(other) not in (wing_of(module), *MAY_IMPORT[wing_of(module)])
    )


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Modules that reach themselves again: what is left when all that import nothing left are taken away."""
    left = {module: set(others) for module, others in graph.items()}
    while free := [module for module, others in left.items() if not others & set(left)]:
        for module in free:
            del left[module]
    # What only imports a circle stands outside of it: take away what nobody left imports.
    while outer := set(left) - set().union(*left.values(), set()):
        for module in outer:
            del left[module]
    return [sorted(left)] if left else []


def test_imports_run_one_way():
    assert upward(imports(ROOT)) == []


def test_there_are_no_circles_between_files():
    assert circles(imports(ROOT)) == []


@pytest.mark.parametrize(
    "file, line",
    [
        ("evaluation/cards.py", "from analysis import stats"),
        ("analysis/stats.py", "import reporting.tables"),
        ("dyads/contract.py", "from training.options import from_dict"),
        ("baselines/floors.py", "def late():\n    from evaluation.cards import OK"),
        ("dyads/masks.py", "from dyads.adapters import folder"),
    ],
)
def test_an_import_against_the_order_is_named(tmp_path, file, line):
    for wing in MAY_IMPORT:
        folder = tmp_path / wing.replace(".", "/")
        folder.mkdir(parents=True, exist_ok=True)
    target = line.split("import")[0].split()[-1] if line.startswith(("from", "def")) else line.split()[-1]
    names = {
        "evaluation/cards.py": "", "analysis/stats.py": "", "dyads/contract.py": "", "baselines/floors.py": "",
        "dyads/masks.py": "", "dyads/adapters/folder.py": "", "reporting/tables.py": "", "training/options.py": "",
    }  # fmt: skip
    for name, text in (names | {file: line + "\n"}).items():
        (tmp_path / name).write_text(text)
    (found,) = upward(imports(tmp_path))
    assert found.startswith(module_of(tmp_path / file, tmp_path) + " imports ") and target.split(".")[0] in found


def test_a_circle_is_named():
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set()}
    assert circles(graph) == [["b", "c"]]


def test_no_folder_is_too_full_and_no_package_too_large():
    tops = sorted({wing.partition(".")[0] for wing in MAY_IMPORT})
    lines = {top: sum(len(f.read_text("utf-8").splitlines()) for f in (ROOT / top).rglob("*.py")) for top in tops}
    assert max(lines.values()) <= LARGEST_SHARE * sum(lines.values()), lines
    folders = {file.parent for top in tops for file in (ROOT / top).rglob("*.py")}
    full = {str(f.relative_to(ROOT)): n for f in folders if (n := len(list(f.glob("*.py")))) > MOST_FILES}
    assert not full, full


def test_arrays_are_written_by_one_function():
    """safetensors.numpy scrambles views; `dyads.files.write_arrays` copies them first."""
    tops = sorted({wing.partition(".")[0] for wing in MAY_IMPORT})
    own = [
        str(file.relative_to(ROOT))
        for top in tops
        for file in (ROOT / top).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module == "safetensors.numpy"
        if "save_file" in {alias.name for alias in node.names}
    ]
    assert own == ["dyads/files.py"]


def defined(file: Path) -> set[str]:
    """Names that a module has at its top, also inside `if` and `try`."""
    names: set[str] = set()
    todo = list(ast.parse(file.read_text(encoding="utf-8")).body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
        else:
            names |= {
                part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)
            }
            todo += [part for part in ast.iter_child_nodes(node) if isinstance(part, ast.stmt | ast.ExceptHandler)]
    return names


def test_every_name_imported_from_a_file_of_ours_is_there():
    """Also inside functions, where nothing fails before they are called: a benchmark, or a command seldom used."""
    files = modules(ROOT, "benchmarks")
    files |= {file.stem: file for file in (ROOT / "workflow/scripts").glob("*.py")}
    known = {module: defined(file) for module, file in files.items()}
    missing = []
    for module, file in files.items():
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module in files:
                for alias in node.names:
                    if alias.name not in known[node.module] and f"{node.module}.{alias.name}" not in files:
                        missing.append(f"{module}: {node.module} has no {alias.name}")
    assert not missing
