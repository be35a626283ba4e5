"""Every benchmark runs, and ends with one line of JSON that holds its ratios; the ratios themselves are not tested."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.report import alternating, resident_mib
from benchmarks.streaming import untrained
from dyads.media.video import read_video
from dyads.synthetic.world import WorldOptions, write_world
from evaluation.probes.image import ImageProbe
from evaluation.probes.store import save_probe

ROOT = Path(__file__).resolve().parents[2]


def last_line(*command: str) -> dict:
    result = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


def test_scan():
    found = last_line("benchmarks.scan", "--repeats", "1", "--lengths", "64", "256", "--compare", "128")
    assert {"growth_over_length_ratio", "pscan_over_scan", "attention_over_scan"} <= set(found)
    assert all(found[name] > 0 for name in found if name.endswith("_scan"))


def test_sdcm():
    found = last_line("benchmarks.sdcm", "--repeats", "1", "--batch", "2", "--width", "32")
    assert found["step_sdcm_over_entangled"] > 0 and abs(found["parameters_sdcm_over_entangled"] - 1) < 0.05


def test_kv_cache():
    found = last_line("benchmarks.kv_cache", "--repeats", "1", "--lengths", "60", "80")
    assert found["largest_difference"] < 1e-5 and found["uncached_over_cached"]["80"] > 0


def test_arig():
    found = last_line("benchmarks.arig", "--repeats", "1", "--lengths", "20", "40")
    assert min(found[name] for name in ("frames_per_second", "rendered_frames_per_second", "longest_over_shortest")) > 0


def test_nod_limit():
    small = ("--dialogues", "4", "--test", "4", "--steps", "2", "--targets", "quick", "oracle")
    found = last_line("benchmarks.nod_limit", *small)["rows"]
    assert [row["learned from"] for row in found] == ["truth", "quick", "oracle"]
    assert found[0]["nods"] > 0.5 > max(row["nods"] for row in found[1:])


def test_frechet():
    found = last_line("benchmarks.frechet", "--samples", "40", "--dimensions", "16", "--repeats", "1")
    assert found["ratio"] > 0 and found["relative_difference"] < 1e-4


def test_metrics_beside_one_peer():
    size = ("--clips", "2", "--frames", "16", "--frechet", "40", "16")
    found = last_line("benchmarks.metrics", *size, "--peers", "scikit-image")
    assert max(found["relative_difference"].values()) < 1e-4 and set(found["relative_difference"]) == {"ssim", "psnr"}
    for ratio in ("total_ratio", "outside_ratio", "memory_ratio", "frechet_ratio", "cpu_total_ratio"):
        assert found[ratio] > 0
    assert found["network_ratio"] is None and found["samples"] == {}


@pytest.mark.slow
def test_metrics_beside_every_peer():
    """The same weights give the same values; syncnet-python reads JPEG files.

    cd-fvd divides covariances by N, here 3 windows, so that ours may be up to N / (N - 1) of its value.
    """
    found = last_line("benchmarks.metrics", "--clips", "3", "--frames", "20", "--frechet", "40", "16")
    gaps = found["relative_difference"]
    assert max(gaps[name] for name in ("ssim", "psnr", "lpips")) < 1e-4
    assert gaps["fid"] < 1e-3 and gaps["fvd"] < 1 / 2 and gaps["lse_d"] < 1e-2
    seen = found["samples"]
    assert seen["pytorch-fid"]["InceptionV3.forward"] == seen["ours"]["Inception.forward"] == 2 * 3 * 5
    assert seen["cd-fvd"]["InceptionI3d.forward"] == seen["ours"]["I3D.forward"] == 2 * 3
    assert seen["lpips"]["LPIPS.forward"] == seen["ours"]["LPIPS.forward"] == 3 * 20
    assert seen["ours"]["SyncNet.along"] == 3 * 20 and seen["syncnet-python"]["S.forward_lip"] == 3 * (20 - 5)


@pytest.mark.slow
def test_streaming():
    found = last_line("benchmarks.streaming", "--minutes", "0.1")
    assert found["minutes"] == 1 and found["frames_per_second"] > 0 and "resident_growth_mib" in found


@pytest.mark.slow
def test_drift(tmp_path):
    write_world(tmp_path / "data", WorldOptions(train=0, test=2, size=64, seconds=(6.0, 6.5), workers=1))
    untrained(context=48).save_pretrained(tmp_path / "echo")
    save_probe(tmp_path / "image.safetensors", ImageProbe(), "image", {}, {})
    found = last_line(
        *("benchmarks.drift", "--checkpoint", str(tmp_path / "echo"), "--data", str(tmp_path / "data")),
        *("--probe", str(tmp_path / "image.safetensors"), "--seconds", "8", "--every", "2"),
        *("--out", str(tmp_path / "minute.mp4")),
    )
    assert found["seconds"] == 8 and -1 <= found["identity_last"] <= 1 and found["psnr_first"] > 5
    assert len(read_video(tmp_path / "minute.mp4")) == 200


def test_times_are_taken_in_turns():
    calls = []
    alternating({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 2)
    assert calls == ["a", "b"] * 3 and resident_mib() > 1
