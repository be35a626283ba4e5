"""From a folder of videos to rows, provenance and readings; and the metrics that need weights by path."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from dyads.contract import SAMPLES_PER_FRAME, Turn, load_arrays, read_manifest
from dyads.errors import ConfigError, DataError
from dyads.media.video import write_video
from evaluation import run
from evaluation.clips import avatar_speaking, read_truth
from evaluation.metrics.pictures.perceptual import lpips_distance, map_distance
from evaluation.networks import arcface
from evaluation.networks import lpips as lpips_network
from evaluation.probes.pca import PcaProbe
from evaluation.probes.store import save_probe
from evaluation.readings import clip, stored
from evaluation.readings.clip import refuse_names
from evaluation.readings.gather import gather
from evaluation.registry import cards


@pytest.fixture
def videos(world, tmp_path):
    """The true videos as a method's."""
    for dyad in read_manifest(world, "test"):
        (tmp_path / "videos").mkdir(exist_ok=True)
        shutil.copy(dyad.avatar.video, tmp_path / "videos" / f"{dyad.dyad_id}.mp4")
    return tmp_path / "videos"


def evaluate(data, videos, probes, out, *more):
    run.main([
        "--method", "copy", "--seed", "3", "--videos", str(videos), "--data", str(data), "--out", str(out),
        "--probes", str(probes),
        *more,
    ])  # fmt: skip
    return pd.read_csv(out, keep_default_na=False)


def value(rows, metric, part, clip="*"):
    chosen = rows[(rows["metric"] == metric) & (rows["part"] == part) & (rows["clip"] == clip)]
    assert len(chosen) == 1
    return float(chosen["value"].iloc[0])


def test_the_truth_scores_as_the_truth(world, videos, probes, tmp_path):
    rows = evaluate(world, videos, probes, tmp_path / "out" / "seed3.csv")
    clip = read_manifest(world, "test")[0].dyad_id
    assert tuple(rows.columns) == run.COLUMNS
    assert (rows[["method", "seed", "dataset", "split"]] == ["copy", 3, "synthetic", "test"]).all().all()
    assert value(rows, "ssim", "frame", clip) == 1 and value(rows, "psnr", "frame", clip) == 100
    for metric, part in (("motion_fd_pooled", "all"), ("fid_small", "frame")):
        assert value(rows, metric, part) == pytest.approx(0, abs=1e-6)
    assert value(rows, "motion_mse", "lips", clip) == value(rows, "lpips_small", "frame", clip) == 0
    assert value(rows, "sid", "pose") == value(rows, "sid", "pose_truth")
    assert set(rows.loc[rows["metric"].isin(["lpips", "lse_d"]), "status"]) == {"weights_missing"}

    said = json.loads((tmp_path / "out" / "seed3.json").read_text())
    frames = sum(len(load_arrays(d, ("avatar",)).avatar_frames) for d in read_manifest(world, "test"))
    assert said["clips"] == 2 and said["frames"] == frames and said["failed_clips"] == {}
    assert set(said["protocol"]) == set(cards()) and len(said["weights"]["motion_probe"]) == 64

    clips, meta = stored.read_features(tmp_path / "out" / "seed3.features.safetensors")
    assert meta["method"] == "copy" and meta["seed"] == 3 and "jaw_open" in meta["names"]
    count = len(clips[clip]["speaking"])
    assert clips[clip]["generated"].shape == clips[clip]["expected"].shape == (count, 17)
    np.testing.assert_array_equal(clips[clip]["generated"], clips[clip]["true"])
    assert value(rows, "csim_frame_small", "frame", clip) == pytest.approx(1, abs=1e-6)
    windows = sum(len(clips[dyad.dyad_id]["video_true"]) for dyad in read_manifest(world, "test"))
    assert windows == frames_in_windows(world) == value(rows, "fvd_small", "window_count")
    few = rows[(rows["metric"] == "fvd_small") & (rows["part"] != "window_count")]
    assert set(few["status"]) == {"too_few_frames"}


def frames_in_windows(world):
    return sum(len(load_arrays(d, ("avatar",)).avatar_frames) // 16 for d in read_manifest(world, "test"))


def test_networks_by_path_read_from_end_to_end(world, videos, probes, tmp_path, monkeypatch):
    """Random weights of two networks without published digest; what they find in the truth is kept and not redone."""
    torch.manual_seed(0)
    network = arcface.ArcFace((1, 1, 1, 1))
    torch.save(network.state_dict(), tmp_path / "backbone.pth")
    monkeypatch.setattr(arcface, "BLOCKS", (1, 1, 1, 1))
    monkeypatch.setattr(arcface.ArcFace.__init__, "__defaults__", ((1, 1, 1, 1),))
    weights = ["--weights", json.dumps({"arcface": str(tmp_path / "backbone.pth")})]
    options = ["--options", '{"metrics": ["csim"]}']
    first = evaluate(world, videos, probes, tmp_path / "one" / "seed3.csv", *weights, *options)
    dyad = read_manifest(world, "test")[0]
    assert value(first, "csim_frame", "frame", dyad.dyad_id) == pytest.approx(1, abs=1e-6)
    arrays = load_arrays(dyad, ("avatar",))
    pictures = np.concatenate([arrays.reference[None], arrays.avatar_frames[:: arcface.STRIDE]])
    with torch.inference_mode():
        tensor = torch.from_numpy(pictures).permute(0, 3, 1, 2).float()
        faces = torch.nn.functional.interpolate(tensor, (112, 112), mode="bilinear") / 127.5 - 1
        found = network.eval()(faces)
    wanted = torch.nn.functional.cosine_similarity(found[:1], found[1:]).mean().item()
    assert value(first, "csim", "frame", dyad.dyad_id) == pytest.approx(wanted, rel=1e-4)

    calls = []
    real = arcface.ArcFace.features_of
    monkeypatch.setattr(arcface.ArcFace, "features_of", lambda self, frames: calls.append(1) or real(self, frames))
    again = evaluate(world, videos, probes, tmp_path / "two" / "seed3.csv", *weights, *options)
    pd.testing.assert_frame_equal(first, again)
    assert len(calls) == len(read_manifest(world, "test"))  # the generated videos alone


def test_true_readings_are_kept_for_the_next_method(world, videos, probes, tmp_path, monkeypatch):
    first = evaluate(world, videos, probes, tmp_path / "one" / "seed3.csv")
    kept = list((probes / "readings").glob("*.safetensors"))
    assert len(kept) == 4  # of the motion, identity, video and sync probes

    def only_generated(dyad, frames):
        assert frames == ("avatar",), "the user's video must not be decoded again"
        return load_arrays(dyad, frames)

    monkeypatch.setattr(clip, "load_arrays", only_generated)
    again = evaluate(world, videos, probes, tmp_path / "two" / "seed3.csv")
    pd.testing.assert_frame_equal(first, again)
    for path in kept:
        path.write_bytes(b"broken")
    with pytest.raises(DataError, match="delete it"):
        evaluate(world, videos, probes, tmp_path / "three" / "seed3.csv")


@pytest.mark.parametrize(("said", "status"), [("no_truth", "no_truth"), ("ok", "missing_video")])
def test_a_video_that_could_not_be_made_says_why(world, videos, probes, tmp_path, said, status):
    """The oracle of recordings: there is no truth; not that somebody lost its video."""
    entries = [{"dyad_id": dyad.dyad_id, "status": said} for dyad in read_manifest(world, "test")]
    (videos / "generate.jsonl").write_text("\n".join(json.dumps(entry) for entry in entries))
    for video in videos.glob("*.mp4"):
        video.unlink()
    rows = evaluate(world, videos, probes, tmp_path / "out" / "seed3.csv")
    assert set(rows["status"]) == {status} and set(rows["value"]) == {""}


def test_bad_videos_become_statuses(world, videos, probes, tmp_path, capsys):
    one, two = read_manifest(world, "test")
    (videos / f"{one.dyad_id}.mp4").write_bytes(b"no video")
    write_video(videos / f"{two.dyad_id}.mp4", np.zeros((7, 32, 32, 3), np.uint8), None)
    rows = evaluate(world, videos, probes, tmp_path / "out" / "seed3.csv")
    assert set(rows.loc[rows["clip"] == one.dyad_id, "status"]) == {"missing_video"}
    assert set(rows.loc[rows["clip"] == two.dyad_id, "status"]) == {"length_mismatch"}
    assert set(rows.loc[rows["clip"] == "*", "status"]) == {"missing_video"}
    assert set(rows["value"]) == {""}
    assert "7 frames" in capsys.readouterr().out
    said = json.loads((tmp_path / "out" / "seed3.json").read_text())
    assert said["failed_clips"] == {one.dyad_id: "missing_video", two.dyad_id: "length_mismatch"}
    (videos / f"{one.dyad_id}.mp4").unlink()
    rows = evaluate(world, videos, probes, tmp_path / "out" / "seed3.csv")
    assert set(rows.loc[rows["clip"] == one.dyad_id, "status"]) == {"missing_video"}


def test_other_sizes_are_scaled_to_the_truth(world, videos, probes, tmp_path):
    for dyad in read_manifest(world, "test"):
        frames = load_arrays(dyad, ("avatar",)).avatar_frames.repeat(2, axis=1).repeat(2, axis=2)
        write_video(videos / f"{dyad.dyad_id}.mp4", frames, None)
    rows = evaluate(world, videos, probes, tmp_path / "out" / "seed3.csv", "--options", '{"metrics": ["ssim"]}')
    assert set(rows["metric"]) == {"ssim"} and (rows["value"].astype(float) > 0.85).all()
    assert json.loads((tmp_path / "out" / "seed3.json").read_text())["resized_clips"] == 2


def test_recorded_data_without_names_or_oracle(recorded, videos, probes, tmp_path):
    save_probe(probes / "motion.safetensors", PcaProbe(16, 3), "pca", {"size": 16, "dimensions": 3}, {})
    rows = evaluate(recorded, videos, probes, tmp_path / "out" / "seed3.csv")
    clip = read_manifest(recorded, "test")[0].dyad_id
    statuses = rows.set_index(["clip", "metric", "part"])["status"]
    assert statuses[clip, "motion_mse", "all"] == "ok" and statuses[clip, "motion_mse", "pose"] == "no_truth"
    assert statuses["*", "expression_correlation", "all"] == "no_truth"
    clips, meta = stored.read_features(tmp_path / "out" / "seed3.features.safetensors")
    assert meta["names"] == [] and "expected" not in clips[clip]


@pytest.mark.parametrize(
    "more, text",
    [
        (["--options", '{"metrics": ["ssin"]}'], "names 'ssin'"),
        (["--weights", '{"alexnet": "x"}'], "unknown key 'alexnet'"),
        (["--weights", '{"lpips": "nowhere.pth"}'], "lpips weights nowhere.pth do not exist"),
        (["--weights", '{"lpips": "pyproject.toml"}'], "pyproject.toml are not the published alexnet"),
    ],
)
def test_wrong_arguments_are_named(world, videos, probes, tmp_path, more, text):
    with pytest.raises(ConfigError, match=text):
        evaluate(world, videos, probes, tmp_path / "seed3.csv", *more)
    assert not (tmp_path / "seed3.csv").exists()


def test_a_missing_folder_of_videos_is_named(world, probes, tmp_path):
    with pytest.raises(ConfigError, match="is no folder"):
        evaluate(world, tmp_path / "nowhere", probes, tmp_path / "seed3.csv")


def test_features_of_another_kind_are_refused(probes):
    with pytest.raises(DataError, match="no probe readings"):
        stored.read_features(probes / "motion.safetensors")


# Who speaks


def test_speech_from_truth_transcript_or_level(world, recorded):
    dyad = read_manifest(world, "test")[0]
    truth = read_truth(dyad)
    frames = len(truth.speaking)
    audio = load_arrays(dyad, ()).avatar_audio
    np.testing.assert_array_equal(avatar_speaking(dyad, frames, audio, truth), truth.speaking)

    class Told:
        turns = (Turn(0.4, 1.0, "avatar", "yes"), Turn(1.2, 2.0, "user", "no"))

    heard = avatar_speaking(Told, 50, np.zeros(50 * SAMPLES_PER_FRAME, np.float32), None)
    assert heard.sum() == 15 and heard[10:25].all()

    class Listens:  # the user's turns alone: the avatar says nothing
        turns = (Turn(0.4, 1.0, "user", "yes"),)

    assert not avatar_speaking(Listens, frames, audio, None).any()

    class Silent:
        turns = ()
        avatar = SimpleNamespace(mixed_audio=False)

    guessed = avatar_speaking(Silent, frames, audio, None)
    assert (guessed == truth.speaking).mean() > 0.85
    assert not avatar_speaking(Silent, 50, np.zeros(50 * SAMPLES_PER_FRAME, np.float32), None).any()
    noise = np.random.default_rng(0).normal(0, 0.002, 50 * SAMPLES_PER_FRAME).astype(np.float32)  # -54 dBFS
    assert not avatar_speaking(Silent, 50, noise, None).any()

    class Shared:  # both voices on one track: lips must tell, and nobody can without them
        turns = ()
        avatar = SimpleNamespace(mixed_audio=True)

    assert avatar_speaking(Shared, frames, audio, None) is None
    still, moves = np.zeros(frames), 0.5 + 0.5 * np.sin(np.arange(frames))
    assert not avatar_speaking(Shared, frames, audio, None, (still, moves)).any()
    np.testing.assert_array_equal(avatar_speaking(Shared, frames, audio, None, (moves, still)), guessed)


def test_a_probe_of_another_data_set_reads_no_names(capsys):
    probe = SimpleNamespace(names=("jaw_open",))
    refuse_names(probe, {"kind": "motion", "data_manifest_sha256": "here"}, "here")
    refuse_names(probe, {"kind": "mesh", "data_manifest_sha256": "there"}, "here")
    refuse_names(probe, {"kind": "motion"}, "here")
    other_world = {"kind": "motion", "data_manifest_sha256": "there", "datasets": ["synthetic"]}
    refuse_names(probe, other_world, "here", ("synthetic",))
    assert probe.names == ("jaw_open",) and not capsys.readouterr().out
    refuse_names(probe, {"kind": "motion", "data_manifest_sha256": "there"}, "here")
    assert probe.names == () and "trained on other data" in capsys.readouterr().out
    probe.names = ("jaw_open",)
    refuse_names(probe, other_world, "here", ("synthetic", "vico"))
    assert probe.names == ()


# Weights by path: random ones here, to test the way and not the value


def test_lpips_with_weights_from_a_file(tmp_path):
    import torchvision

    state = {k: v for k, v in torchvision.models.alexnet(weights=None).state_dict().items()}
    torch.save(state, tmp_path / "alexnet.pth")
    network = lpips_network.load(tmp_path / "alexnet.pth")
    first = next(iter(network.net.state_dict().values()))
    assert torch.equal(first, state["features.0.weight"])
    frames = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    np.testing.assert_array_equal(lpips_distance(network, frames, frames), np.zeros(3))
    scores = lpips_distance(network, frames, frames[::-1].copy())
    assert scores.shape == (3,) and scores[0] > 0 and scores[0] == pytest.approx(scores[2], rel=1e-4)
    tensor = torch.from_numpy(frames[:1]).permute(0, 3, 1, 2) / 127.5 - 1
    other = torch.from_numpy(frames[2:]).permute(0, 3, 1, 2) / 127.5 - 1
    assert network(tensor, other).item() == pytest.approx(float(scores[0]), rel=1e-4)  # [-1, 1] reached the network
    torch.save({"features.0.weight": state["features.0.weight"]}, tmp_path / "half.pth")
    with pytest.raises(ConfigError, match="lack"):
        lpips_network.load(tmp_path / "half.pth")


def test_map_distance_is_the_packages_baseline_form():
    import lpips

    a, b = torch.rand(2, 5, 4, 4), torch.rand(2, 5, 4, 4)
    a[1, :, 0, 0] = 0
    assert torch.equal(map_distance([a], [a]), torch.zeros(2))
    wanted = lpips.spatial_average(
        (lpips.normalize_tensor(a) - lpips.normalize_tensor(b)).square().sum(1, keepdim=True), keepdim=False
    )
    torch.testing.assert_close(map_distance([a, a], [b, b]), wanted.flatten(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(map_distance([3 * a], [b]), map_distance([a], [b]), rtol=1e-4, atol=1e-5)


def test_two_shards_gathered_are_one_job_byte_for_byte(world, videos, probes, tmp_path):
    """Values, set metrics and readings; and one that is missing is named."""
    evaluate(world, videos, probes, tmp_path / "whole.csv")
    parts = [tmp_path / f"{k}-of-2.csv" for k in (1, 2)]
    for part in parts:
        evaluate(world, videos, probes, part, "--shard", part.stem)
    assert "*" not in set(pd.read_csv(parts[0])["clip"])
    assert gather(parts, tmp_path / "all.csv") == 2
    for suffix in (".csv", ".features.safetensors"):
        whole, made = (tmp_path / f"{name}{suffix}" for name in ("whole", "all"))
        assert whole.read_bytes() == made.read_bytes(), suffix
    said = json.loads((tmp_path / "all.json").read_text())
    assert said["clips"] == 2 and said["shards"] == 2 and len(said["machine_kinds"]) == 1
    parts[1].unlink()
    with pytest.raises(DataError, match="shard .*2-of-2.csv is missing"):
        gather(parts, tmp_path / "all.csv")
