"""Dataclasses from configuration: every key and type is checked, and the message names it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dyads.errors import ConfigError
from training.options import TrainOptions, from_dict, options_hash, parse_json, plain


@dataclass(frozen=True)
class Inner:
    depth: int = 2


@dataclass(frozen=True)
class Outer:
    name: str
    rate: float = 0.5
    on: bool = False
    kind: Literal["a", "b"] = "a"
    sizes: tuple[int, ...] = (1,)
    pair: tuple[int, str] = (1, "x")
    items: list[float] = field(default_factory=list)
    weights: dict[str, float] = field(default_factory=dict)
    place: Path | None = None
    inner: Inner = Inner()


def test_builds_nested_values():
    values = {
        "name": "n",
        "rate": 2,
        "on": True,
        "kind": "b",
        "sizes": [3, 4],
        "pair": [2, "y"],
        "items": [1, 2.5],
        "weights": {"pose": 3},
        "place": "folder/file",
        "inner": {"depth": 7},
    }
    built = from_dict(Outer, values, "here")
    assert built == Outer(
        "n", 2.0, True, "b", (3, 4), (2, "y"), [1.0, 2.5], {"pose": 3.0}, Path("folder/file"), Inner(7)
    )
    assert isinstance(built.rate, float)
    assert from_dict(Outer, plain(built), "here") == built
    assert from_dict(Outer, {"name": "n", "place": None}, "here") == Outer("n")


@pytest.mark.parametrize(
    "values, message",
    [
        ({}, "here: option 'name' is missing"),
        (
            {"name": "n", "stepz": 1},
            "here: unknown option 'stepz'; the allowed ones are inner, items, kind, name",
        ),
        ({"name": 1}, "here.name is 1, but must be of type str"),
        ({"name": "n", "rate": "fast"}, "here.rate is 'fast', but must be of type float."),
        (
            {"name": "n", "rate": "1e-3"},
            r"here.rate is '1e-3'.*YAML reads 1e-3 as text and 1.0e-3 as a number",
        ),
        ({"name": "n", "rate": True}, "here.rate is True, but must be of type float"),
        ({"name": "n", "on": 1}, "here.on is 1, but must be of type bool"),
        ({"name": "n", "kind": "c"}, "here.kind is 'c', but must be one of 'a', 'b'"),
        ({"name": "n", "sizes": [1, "2"]}, r"here.sizes\[1\] is '2', but must be of type int"),
        ({"name": "n", "sizes": 3}, "here.sizes is 3, but must be of type tuple"),
        ({"name": "n", "sizes": [True]}, r"here.sizes\[0\] is True, but must be of type int"),
        ({"name": "n", "pair": [1]}, "here.pair has 1 entries, but needs 2"),
        ({"name": "n", "weights": {"pose": "x"}}, "here.weights.pose is 'x'"),
        (
            {"name": "n", "inner": {"dept": 1}},
            "here.inner: unknown option 'dept'; the allowed ones are depth",
        ),
        ({"name": "n", "inner": 3}, "here.inner is 3, but must be a mapping"),
        ([("name", "n")], "here is .*, but must be a mapping"),
    ],
)
def test_messages_name_the_key(values, message):
    with pytest.raises(ConfigError, match=message):
        from_dict(Outer, values, "here")


def test_a_value_out_of_range_names_its_section():
    with pytest.raises(ConfigError, match=r"train.stage1: steps is 0, but must be at least 1"):
        from_dict(TrainOptions, {"steps": 0, "batch_size": 1, "learning_rate": 0.1}, "train.stage1")


@given(st.dictionaries(st.text(), st.integers() | st.floats(allow_nan=False) | st.text() | st.booleans()))
def test_hash_ignores_order_and_sees_every_change(values):
    assert options_hash(values) == options_hash(dict(reversed(values.items())))
    assert options_hash({**values, "another key": 1}) != options_hash({**values, "another key": 2})


def test_json_arguments(tmp_path):
    (tmp_path / "o.json").write_text('{"a": 1}')
    assert parse_json('{"a": 1}', "--options") == parse_json(f"@{tmp_path / 'o.json'}", "--options") == {"a": 1}
    for text, message in {
        "{a: 1}": "--options is not valid JSON",
        "[1]": "--options is .*must be a JSON object",
        f"@{tmp_path / 'none.json'}": "none.json cannot be read",
    }.items():
        with pytest.raises(ConfigError, match=message):
            parse_json(text, "--options")
