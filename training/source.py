"""A hash of the code that a training runs: nothing is resumed after an edit that may change the result.

It follows the project's own modules by their import statements. Comments, docstrings and layout do not count.
"""

import ast
import hashlib
import inspect
from collections.abc import Iterable
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
ENGINE = ("engine/loop", "engine/optim", "engine/batches", "device")  # of this package only what decides a result


def source_hash(classes: Iterable[type]) -> str:
    """Twelve hexadecimal digits of the code behind `classes` and of all project modules it imports."""
    todo = [PROJECT / "training" / f"{name}.py" for name in ENGINE] + [_file_of(cls) for cls in classes]
    todo = [file for file in todo if file is not None]
    texts: dict[str, str] = {}
    while todo:
        file = todo.pop()
        key = _key(file)
        if key in texts:
            continue
        try:
            tree = ast.parse(file.read_text(encoding="utf-8"))
        except (OSError, SyntaxError, UnicodeDecodeError):
            continue
        todo += _imported(tree, file)
        _drop_docstrings(tree)
        texts[key] = ast.unparse(tree)
    digest = hashlib.sha256()
    for key in sorted(texts):
        digest.update(f"{key}\n{texts[key]}\n".encode())
    return digest.hexdigest()[:12]


def _file_of(cls: type) -> Path | None:
    """The project file that defines `cls`; None for installed packages and code without a file."""
    try:
        file = Path(inspect.getfile(cls)).resolve()
    except (TypeError, OSError):
        return None
    return None if "site-packages" in file.parts or "torch" in cls.__module__.split(".")[:1] else file


def _key(file: Path) -> str:
    return str(file.relative_to(PROJECT)) if file.is_relative_to(PROJECT) else file.name


def _imported(tree: ast.AST, file: Path) -> list[Path]:
    """Project files that `file` imports, without those of the engine that cannot change a result."""
    names: list[str] = []
    package = list(file.relative_to(PROJECT).parts[:-1]) if file.is_relative_to(PROJECT) else []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            start = ".".join([*base, *([node.module] if node.module else [])])
            names += [start, *(f"{start}.{alias.name}" for alias in node.names)]
    files = []
    for name in names:
        parts = name.split(".")
        if parts[0] == "training":
            continue
        place = PROJECT.joinpath(*parts)
        files += [path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()]
    return files


def _drop_docstrings(tree: ast.AST) -> None:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                if isinstance(first.value.value, str):
                    node.body = node.body[1:] or [ast.Pass()]
