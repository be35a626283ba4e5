"""Coefficients from files: the documented layouts are read, anything else is named."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from dyads.errors import DataError
from faces import read_given

VALUES = np.arange(12, dtype=np.float32).reshape(4, 3)


def test_npz_and_safetensors_give_the_same(tmp_path: Path) -> None:
    names = np.array(["a", "b", "c"])
    np.savez(tmp_path / "x.npz", values=VALUES, names=names, extractor="emoca-2", found=np.array([1, 1, 0, 1], bool))
    save_file({"values": VALUES}, tmp_path / "x.safetensors", {"names": json.dumps(["a", "b", "c"]), "extractor": "e"})
    first, second = read_given(tmp_path / "x.npz"), read_given(tmp_path / "x.safetensors")
    assert first.names == second.names == ("a", "b", "c") and (first.extractor, second.extractor) == ("emoca-2", "e")
    assert np.isnan(first.values[2]).all()
    np.testing.assert_array_equal(second.values, VALUES)


def test_flame_parts_get_names(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", expression=np.zeros((5, 50)), pose=np.zeros((5, 6)), extractor="EMOCA v2")
    found = read_given(tmp_path / "x.npz")
    assert found.values.shape == (5, 56) and found.names[0] == "expression_00" and found.names[-1] == "pose_05"


@pytest.mark.parametrize(
    ("held", "words"),
    [
        ({"values": VALUES, "names": np.array(["a", "b", "c"])}, "`extractor` is missing"),
        ({"values": VALUES, "names": np.array(["a", "b"]), "extractor": "e"}, "3 columns have 2 names"),
        ({"values": VALUES, "names": np.array(["a", "a", "b"]), "extractor": "e"}, "3 columns have 2 names"),
        ({"values": VALUES[0], "names": np.array(["a"]), "extractor": "e"}, "must be numbers"),
        ({"extractor": "e"}, "neither `values`"),
        ({"expression": np.zeros((3, 2)), "pose": np.zeros((4, 2)), "extractor": "e"}, "unequal numbers"),
        ({"values": VALUES + np.inf, "names": np.array(["a", "b", "c"]), "extractor": "e"}, "infinity"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, held: dict, words: str) -> None:
    np.savez(tmp_path / "x.npz", **held)
    with np.errstate(invalid="ignore"), pytest.raises(DataError, match=words):
        read_given(tmp_path / "x.npz")


def test_pickles_and_other_files_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "p.npz", values=np.array([{"a": 1}], object), extractor="e")
    (tmp_path / "q.npz").write_bytes(pickle.dumps({"values": 1}))
    (tmp_path / "r.safetensors").write_bytes(b"nothing")
    for name in ("p.npz", "q.npz", "r.safetensors", "missing.npz"):
        with pytest.raises(DataError):
            read_given(tmp_path / name)
