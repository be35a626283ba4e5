"""A configuration that is wrong across keys is one sentence, before anything runs."""

import json
import sys
from dataclasses import fields
from typing import get_args, get_type_hints

import check_options
import checks
import pytest
from checks import class_problem, needs_problem, options_problem, rows_problem

from analysis.claims import Claim
from dyads.errors import ConfigError
from reporting.claims import main as show_claims

ECHO = {"class": "echo_model.method:Echo", "start": None, "weights": None, "options": {}, "seeds": None}


def problem(methods=None, controls=None, seeds=(0,), given=None):
    methods = {name: ECHO | row for name, row in (methods or {"echo": {}}).items()}
    controls = {name: ECHO | row for name, row in (controls or {}).items()}
    config = {"methods": methods, "controls": controls, "seeds": list(seeds)}
    return rows_problem(config, given or {})


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"methods": {"a": {"start": "b"}}}, ["methods.a.start names 'b'", "no method"]),
        ({"methods": {"a": {"start": "a"}}}, ["methods.a.start names the row itself"]),
        ({"methods": {"a": {"start": "b"}, "b": {"start": "a"}}}, ["circle", "a -> b -> a"]),
        ({"methods": {"a": {"weights": "t"}}, "controls": {"t": {}}}, ["names 't', a control"]),
        ({"methods": {"a": {"start": "b"}, "b": {"weights": "c"}, "c": {}}}, ["borrows the weights of 'c'"]),
        ({"methods": {"a": {"start": "b", "weights": "b"}, "b": {}}}, ["both start and weights"]),
        ({"methods": {"a": {}}, "controls": {"a": {}}}, ["'a' is a row of methods and of controls"]),
        ({"methods": {"a": {}}, "controls": {"t": {"weights": "none"}}}, ["controls.t.weights names 'none'"]),
        ({"methods": {"a": {"class": "echo_model.metod:Echo"}}}, ["methods.a.class", "no module echo_model.metod"]),
        ({"methods": {"a": {"class": "echo_model.method:Eco"}}}, ["has no class Eco", "Echo", "Talking"]),
        ({"given": {"methods": None}}, ["'methods' is an empty heading"]),
        ({"seeds": [1.0]}, ["seed 1.0 is no whole number"]),
        ({"methods": {"a": {"seeds": [0, 2.0]}}}, ["seed 2.0 is no whole number"]),
    ],
)
def test_rows_that_lean_on_what_is_not_there(arguments, words):
    told = problem(**arguments)
    assert told and told.endswith(".") and "\n" not in told
    assert all(word in told for word in words), told


def test_a_rule_that_is_not_there_asks_for_nothing():
    told = needs_problem({"resources": {"rules": {"fit": {"cpus": 2}, "fitt": {"cpus": 2}}}})
    assert "resources.rules names 'fitt'" in told and "fit," in told and "\n" not in told
    assert needs_problem({"resources": {"rules": {"fit": {}, "fit_start": {}, "adapt_shard": {}}}}) is None


def test_rows_that_are_sound():
    assert problem({"a": {"start": "b"}, "b": {"start": "c"}, "c": {}, "d": {"weights": "a"}}) is None


def test_a_class_of_an_installed_package_is_left_to_its_import():
    assert class_problem("yaml:SafeLoader", "methods.a.class") is None
    assert "no module nowhere.here" in class_problem("nowhere.here:A", "methods.a.class")


def test_a_file_of_claims_is_checked_before_anything_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checks, "STAGES", ())
    told = options_problem({"claims": "mine.yaml"}, {}, [])
    assert told.startswith("configuration: claims is mine.yaml, which is no file; name one") and "--help" in told
    claim = {"text": "t", "source": "s", "metric": "rpcc", "part": "pose", "methods": ["a", "b"], "family": "f"}
    for content, words in (
        ({"claims": [claim | {"kind": "more"}]}, "claims[0].kind"),
        ({"claims": [claim | {"kind": "less", "metrik": "rpcc"}]}, "'metrik'"),
        ({"claims": [claim | {"kind": "less", "part": "nose"}]}, "rpcc has no part 'nose'"),
        ({"a": 1}, "holds no list under the key 'claims'"),
    ):
        (tmp_path / "mine.yaml").write_text(json.dumps(content))
        with pytest.raises(ConfigError) as error:
            check_options.claims(json.loads(checks._claims("mine.yaml")))
        told = str(error.value)
        assert words in told and told.startswith("claims is mine.yaml: ") and "\n" not in told, told
    (tmp_path / "mine.yaml").write_text(json.dumps({"claims": [claim | {"kind": "less"}]}))
    check_options.claims(json.loads(checks._claims("mine.yaml")))


def test_help_names_every_key_of_a_claim(capsys):
    with pytest.raises(SystemExit):
        show_claims(["--help"])
    told = capsys.readouterr().out
    assert all(f"\n  {field.name} " in told for field in fields(Claim))
    kinds = (*get_args(get_type_hints(Claim)["kind"]), *filter(None, get_args(get_type_hints(Claim)["state"])))
    assert all(kind in told for kind in kinds) and all(len(line) <= 120 for line in told.splitlines())


def test_options_are_held_against_the_stages_dataclasses_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = {"echo": ("echo_model.method:Echo", json.dumps({"model": {"d": 30}}))}
    assert "model.d is 30, but must be a multiple of" in options_problem({}, rows, [])
    wrong = {"vae": {"train": {"steps": -5, "batch_size": 1, "learning_rate": 0.1}}}
    assert options_problem(wrong, {}, []) == "configuration: vae.train: steps is -5, but must be at least 1."
    sound = {"world": {"train": 3}, "report": {"note": "x"}}
    assert options_problem(sound, {"echo": (rows["echo"][0], "{}")}, []) is None
    monkeypatch.setattr(sys, "executable", "/bin/false")  # what passed is not asked again
    assert options_problem(sound, {"echo": (rows["echo"][0], "{}")}, []) is None
