"""Notebooks from the command line: their parameters, one sentence for a mistake, and pages that stand alone."""

import json
import os
import shutil

import pytest

from dyads.errors import ConfigError, DataError
from paper_figures import __main__ as command
from paper_figures.__main__ import FOLDER, main, notebooks, parameters_of

ROOT = FOLDER.parent
NAMES = ["ablations", "claims", "context_length", "efficiency", "main_results", "qualitative", "reactions", "training"]


def test_there_are_eight_and_each_takes_its_results_folder():
    assert notebooks() == NAMES
    assert all(parameters_of(name)[:2] == ["results", "figures"] for name in NAMES)
    assert parameters_of("qualitative") == ["results", "figures", "seed", "dialogues", "methods"]


def test_each_is_given_its_own_parameters(tmp_path, monkeypatch, capsys):
    ran = {}
    monkeypatch.setattr(command, "run", lambda name, out, parameters: ran.update({name: (out, parameters)}))
    arguments = ["--results", str(tmp_path), "-p", "seed", "2", "-p", "methods", '["echo"]', "-p", "columns", "[]"]
    pages = tmp_path / "pages"
    main(["qualitative", "efficiency", *arguments, "--out", str(pages)])
    assert {out for out, _ in ran.values()} == {pages}
    found = {name: parameters for name, (_, parameters) in ran.items()}
    assert (ROOT / found["efficiency"].pop("results")).samefile(tmp_path)
    assert found["qualitative"].pop("results")
    assert {parameters.pop("figures") for parameters in found.values()} == {os.path.relpath(pages / "figures", ROOT)}
    assert found == {"qualitative": {"seed": 2, "methods": ["echo"]}, "efficiency": {"columns": []}}
    assert "efficiency.html" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "there is no notebook 'nothing'"),
        (["claims", "-p", "dialoges", "1"], "-p dialoges: no notebook"),
    ],
)
def test_a_mistake_is_named(tmp_path, arguments, message):
    with pytest.raises(ConfigError, match=message):
        main([*arguments, "--results", str(tmp_path)])
    with pytest.raises(ConfigError, match="is no folder"):
        main(["claims", "--results", str(tmp_path / "none")])


def test_one_that_fails_does_not_keep_the_others_from_running(tmp_path, monkeypatch):
    def run(name, out, parameters):
        if name == "claims":
            raise DataError("notebook claims: cell 3 failed with DataError: no claims")
        (tmp_path / name).touch()

    monkeypatch.setattr(command, "run", run)
    with pytest.raises(DataError, match="cell 3 failed"):
        main(["claims", "training", "--results", str(tmp_path)])
    assert (tmp_path / "training").exists()


def test_a_page_is_called_as_its_notebook(tmp_path, monkeypatch):
    """Not as the unfinished file that it is made from."""
    monkeypatch.setattr("papermill.execute_notebook", lambda source, target, *_, **__: shutil.copy(source, target))
    command.run("claims", tmp_path, {})
    assert "<title>claims</title>" in (tmp_path / "claims.html").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["claims.html", "claims.ipynb"]


@pytest.mark.slow
def test_a_notebook_really_fails_in_one_sentence_and_leaves_nothing(tmp_path, monkeypatch):
    folder = tmp_path / "paper_figures"
    folder.mkdir()
    cells = [
        {"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": 'results = ""'},
        {"cell_type": "code", "metadata": {}, "source": "print(1 / 0)"},
    ]
    cells = [cell | {"id": f"c{place}", "outputs": [], "execution_count": None} for place, cell in enumerate(cells)]
    known = json.loads((FOLDER / "claims.ipynb").read_text())
    (folder / "odd.ipynb").write_text(json.dumps(known | {"cells": cells}))
    monkeypatch.setattr(command, "FOLDER", folder)
    with pytest.raises(DataError, match="notebook odd: cell 3 failed with ZeroDivisionError: division by zero"):
        main(["odd", "--results", str(tmp_path), "--out", str(tmp_path / "pages")])
    assert list((tmp_path / "pages").iterdir()) == []
    shutil.rmtree(folder)
