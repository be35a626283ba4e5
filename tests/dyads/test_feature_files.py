"""Feature files come back bit for bit; NaN, wrong shapes and broken files are refused by name."""

import tempfile
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from dyads.errors import DataError
from dyads.features import read_features, shape_fault, write_features


@settings(max_examples=25, deadline=None)
@given(
    shape=st.lists(st.integers(0, 4), min_size=0, max_size=4),
    dtype=st.sampled_from([torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.uint8]),
    meta=st.dictionaries(st.text(max_size=5), st.none() | st.integers() | st.text(max_size=8), max_size=4),
)
def test_round_trip(shape, dtype, meta):
    tensor = (torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 9).to(dtype)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "Merkmale ü.safetensors"
        write_features(path, {"a": tensor, "view": tensor}, meta)
        first = path.read_bytes()
        tensors, read = read_features(path)
        assert torch.equal(tensors["a"], tensor) and tensors["view"].dtype == dtype and read == meta
        write_features(path, {"a": tensor, "view": tensor}, meta)
        assert path.read_bytes() == first


def test_slices_and_gradients_are_stored_as_plain_tensors(tmp_path: Path):
    base = torch.arange(24.0).reshape(4, 6).requires_grad_()
    write_features(tmp_path / "a.safetensors", {"t": base.T, "row": base[1]}, {"fps": 25})
    tensors, meta = read_features(tmp_path / "a.safetensors", {"t": "C T", "row": ("C",)})
    assert torch.equal(tensors["t"], base.detach().T) and not tensors["t"].requires_grad and meta == {"fps": 25}


@pytest.mark.parametrize(
    "tensors, meta, words",
    [
        (
            {"z": torch.tensor([1.0, float("nan")])},
            {},
            "tensor 'z' holds 1 NaN or infinite values of 2; repair",
        ),
        ({"z": torch.tensor([float("inf")]).half()}, {}, "tensor 'z' holds 1 NaN or infinite"),
        ({"z": [1, 2]}, {}, "tensor 'z' is a list, not a tensor; repair"),
        ({}, {}, "no tensors to write; give"),
        ({"z": torch.ones(1)}, {"path": Path("x")}, "metadata is no JSON.*; use plain"),
        ({"z": torch.ones(1)}, {"loss": float("nan")}, "metadata is no JSON.*; use plain"),
    ],
)
def test_what_is_not_sound_is_not_written(tmp_path: Path, tensors, meta, words: str):
    with pytest.raises(DataError, match=f"a.safetensors.*{words}"):
        write_features(tmp_path / "a.safetensors", tensors, meta)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "expect, words",
    [
        ({"z": "T 8 3"}, r"tensor 'z' has shape \(5, 8, 4\), \(T 8 3\) is wanted; delete"),
        ({"z": "T 8"}, r"tensor 'z' has shape"),
        ({"z": "T 8 4", "s": "T"}, r"tensor 's' has shape \(6,\), \(T=5\) is wanted"),
        ({"missing": "T"}, r"tensor 'missing' is missing \(it holds s, z\); delete"),
    ],
)
def test_wrong_shapes_are_named(tmp_path: Path, expect: dict, words: str):
    write_features(tmp_path / "a.safetensors", {"z": torch.zeros(5, 8, 4), "s": torch.zeros(6)}, {})
    with pytest.raises(DataError, match=f"a.safetensors: {words}"):
        read_features(tmp_path / "a.safetensors", expect)


def test_nan_from_elsewhere_is_refused_when_read(tmp_path: Path):
    save_file({"z": torch.tensor([float("nan")])}, tmp_path / "a.safetensors")
    with pytest.raises(DataError, match="a.safetensors: tensor 'z' holds 1 NaN.*delete the file and extract again"):
        read_features(tmp_path / "a.safetensors")


@pytest.mark.parametrize("content", [b"", b"not safetensors at all", None])
def test_broken_files_are_named(tmp_path: Path, content: bytes | None):
    path = tmp_path / "a.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match="a.safetensors.*extract"):
        read_features(path)


def test_a_truncated_file_is_named(tmp_path: Path):
    path = tmp_path / "a.safetensors"
    write_features(path, {"z": torch.zeros(100)}, {})
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(DataError, match="a.safetensors: not a readable feature file.*delete it and extract again"):
        read_features(path)


@pytest.mark.parametrize(
    "shape, pattern, fits",
    [
        ((5, 8), "T 8", True),
        ((5, 8), ("T", 8), True),
        ((5, 8), "T T", False),
        ((8, 8), "T T", True),
        ((2, 3, 4), "... 4", True),
        ((4,), "... 4", True),
        ((), "... 4", False),
        ((2, 3), "_ 3", True),
        ((), "", True),
    ],
)
def test_patterns(shape: tuple, pattern, fits: bool):
    assert (shape_fault(shape, pattern, {}) is None) == fits
