"""The code hash follows imports and sees what may change a result, and nothing else."""

import importlib.util

import pytest
from torch import nn

from training import source

CODE = '''"""Docstring."""
from shapes import shape
from training.engine.loop import train  # the engine is always in


class Task:
    """Docstring."""

    def loss(self):
        from package.inner import lazily
        return lazily() + 1  # comment
'''


@pytest.fixture
def hash_of(tmp_path, monkeypatch):
    monkeypatch.setattr(source, "PROJECT", tmp_path)
    (tmp_path / "training/engine").mkdir(parents=True)
    (tmp_path / "package").mkdir()

    def write(**edits):
        files = {
            "task.py": CODE,
            "shapes.py": "shape = 3\n",
            "package/__init__.py": "",
            "package/inner.py": "from . import deep\ndef lazily():\n    return deep.VALUE\n",
            "package/deep.py": "VALUE = 1\n",
            "unrelated.py": "x = 1\n",
            "training/engine/loop.py": "rate = 1\n",
            "training/engine/journal.py": "lines = 1\n",
        }
        for name, text in {**files, **edits.get("files", {})}.items():
            (tmp_path / name).write_text(text)
        spec = importlib.util.spec_from_file_location("task", tmp_path / "task.py")
        monkeypatch.setattr(source, "_file_of", lambda cls: tmp_path / "task.py" if cls is None else None)
        assert spec
        return source.source_hash([None])

    return write


def test_sees_code_that_runs(hash_of):
    before = hash_of()
    for name, text in {
        "task.py": CODE.replace("+ 1", "+ 2"),
        "shapes.py": "shape = 4\n",
        "package/__init__.py": "y = 1\n",
        "package/deep.py": "VALUE = 2\n",
        "training/engine/loop.py": "rate = 2\n",
    }.items():
        assert hash_of(files={name: text}) != before, name
    assert hash_of() == before


def test_passes_over_what_cannot_matter(hash_of):
    before = hash_of()
    for name, text in {
        "task.py": CODE.replace("comment", "other").replace("Docstring", "Words").replace("\n\n\n", "\n\n"),
        "unrelated.py": "x = 2\n",
        "training/engine/journal.py": "lines = 2\n",
    }.items():
        assert hash_of(files={name: text}) == before, name


def test_installed_classes_have_no_file():
    assert source._file_of(nn.Linear) is None and source._file_of(int) is None


def test_is_stable_for_real_classes():
    from toy_training import ToyTask

    assert source.source_hash([ToyTask, nn.Linear]) == source.source_hash([nn.Linear, ToyTask])
    assert source.source_hash([ToyTask]) != source.source_hash([nn.Linear])
