"""Swap tests: what changes is told apart by part, in the truth's own spread."""

import json

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from analysis.swap_table import change, main, shown, swap_rows
from dyads.errors import ConfigError, DataError
from evaluation.clips import GROUPS, columns

NAMES = (*GROUPS["lips"], *GROUPS["expression"], *GROUPS["pose"])


def features(path, shift=(0.0, 0.0), clips=("a", "b"), names=NAMES):
    """Readings whose expression and lips lie `shift` true standard deviations away from the truth."""
    tensors, rng = {}, np.random.default_rng(0)
    true = {clip: rng.standard_normal((200, len(NAMES))).astype(np.float32) for clip in ("a", "b")}
    spread = {
        part: np.concatenate([x[:, columns(NAMES, GROUPS[part])] for x in true.values()]).std(0)
        for part in GROUPS
        if part != "eyes"
    }
    for clip in clips:
        generated = true[clip].copy()
        for part, by in zip(("expression", "lips"), shift, strict=True):
            generated[:, columns(NAMES, GROUPS[part])] += by * spread[part]
        speaking = np.ones(200, np.uint8)
        tensors |= {f"{clip}/generated": generated, f"{clip}/true": true[clip], f"{clip}/speaking": speaking}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path, metadata={"meta": json.dumps({"names": list(names), "method": "x"})})
    return path


def test_a_planted_change_is_found_in_its_part(tmp_path):
    own, swapped = features(tmp_path / "own.safetensors"), features(tmp_path / "swap.safetensors", (2.0, 0.5))
    assert change(swapped, own) == pytest.approx(
        {"expression": 2.0, "lips": 0.5, "opening": 0.5, "pose": 0.0}, abs=1e-4
    )
    assert change(own, own) == pytest.approx({"expression": 0, "lips": 0, "opening": 0, "pose": 0})


def test_other_clips_and_nameless_probes_are_refused(tmp_path):
    own = features(tmp_path / "own.safetensors")
    with pytest.raises(DataError, match="different clips"):
        change(features(tmp_path / "one.safetensors", clips=("a",)), own)
    with pytest.raises(DataError, match="no names"):
        change(features(tmp_path / "pca.safetensors", names=()), own)


def test_the_table_has_mean_and_spread_over_seeds(tmp_path, monkeypatch):
    for seed in (0, 1):
        features(tmp_path / f"m/echo/seed{seed}.features.safetensors")
        features(tmp_path / f"m/other/seed{seed}.features.safetensors", (1.0 + seed, 0.0))
        for row in ("echo", "other"):
            (tmp_path / f"m/{row}/seed{seed}.csv").touch()
    monkeypatch.setattr(
        "sys.argv",
        [
            "x",
            "--metrics",
            str(tmp_path / "m"),
            "--pairs",
            '{"other": "echo"}',
            "--labels",
            '{"other": "Other user"}',
            "--out",
            str(tmp_path / "t/swaps.csv"),
        ],
    )
    main()
    table = pd.read_csv(tmp_path / "t/swaps.csv")
    assert list(table["expression"]) == pytest.approx([1.0, 2.0], abs=1e-4)
    assert "| Other user |" in (text := (tmp_path / "t/swaps.md").read_text()) and "1.500 ± 0.707" in text
    assert "±" not in shown(table[:1], {}).split("\n-")[0]
    with pytest.raises(ConfigError, match="no pair"):
        swap_rows([tmp_path / "m"], {"nobody": "echo"})
