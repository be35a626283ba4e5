"""The probes: sampling, augmentation, the motion probe's warp, a tiny training, PCA, image features, files."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dyads.contract import file_sha256, read_manifest
from dyads.errors import ConfigError, DataError
from dyads.synthetic.coefficients import COEFFICIENTS, neutral
from evaluation.fits import __main__ as train_probes
from evaluation.probes.frames import FrameSet, relight, sample_frames, scaled, soften
from evaluation.probes.image import FEATURES, ImageProbe
from evaluation.probes.motion import MotionProbe, MotionTask, _composed, _sample, r_squared, warp_grid
from evaluation.probes.pca import PcaProbe
from evaluation.probes.store import PROBES, load_probe, probe_files, save_probe
from training.shipped import shipped

generator = torch.Generator().manual_seed


def drawn(count: int, seed: int = 0, size: int = 32) -> FrameSet:
    """Pictures of two people whose only motion is a dark bar (jaw_open) that opens in a light square."""
    rng = np.random.default_rng(seed)
    targets = np.repeat(neutral(1), count, axis=0)
    targets[:, 0] = rng.uniform(0, 1, count)
    owner = np.arange(count) % 2
    frames = np.full((count, 3, size, size), 60, np.uint8)
    frames[:, :, 4:28, 6:26] = np.where(owner, 200, 140)[:, None, None, None]
    references = frames[:2].copy()
    for picture, jaw in zip(frames, targets[:, 0], strict=True):
        picture[:, 18 : 18 + round(8 * jaw), 11:21] = 10
    index = torch.from_numpy(owner)
    return FrameSet(
        torch.from_numpy(frames), torch.from_numpy(references), index, index, ("a", "b"), torch.from_numpy(targets),
        torch.from_numpy(neutral(2)),
    )  # fmt: skip


def test_sampling_spreads_over_subjects_and_repeats(world):
    dyads = read_manifest(world, "train")
    one = sample_frames(dyads, size=32, videos=4, per_video=5, seed=0)
    two = sample_frames(list(reversed(dyads)), size=32, videos=4, per_video=5, seed=0)
    assert len(one) == 20 and one.references.shape == (4, 3, 32, 32) and one.targets.shape == (20, 17)
    assert one.starts.shape == (4, 17)
    assert len(set(one.subject.tolist())) == min(4, len(one.subjects))
    assert {f.numpy().tobytes() for f in one.frames} == {f.numpy().tobytes() for f in two.frames}
    other = sample_frames(dyads, size=32, videos=4, per_video=5, seed=1)
    assert not torch.equal(one.frames, other.frames)


def test_sampled_coefficients_belong_to_their_frames(world):
    dyads = read_manifest(world, "train")
    everything = sample_frames(dyads[:1], size=32, videos=2, per_video=10_000, seed=0)
    same = (everything.frames == everything.references[everything.reference]).flatten(1).all(1)
    assert same.sum() >= 2 and torch.equal(everything.targets[same], everything.starts[everything.reference[same]])


def test_recorded_data_has_no_targets(recorded):
    data = sample_frames(read_manifest(recorded, "train"), size=32, videos=2, per_video=3, seed=0)
    assert data.targets is None and data.starts is None


def test_augmentation_repeats_and_relights_alike():
    pictures = torch.rand(4, 3, 32, 32) * 2 - 1
    assert torch.equal(soften(pictures, generator(3)), soften(pictures, generator(3)))
    assert not torch.equal(soften(pictures, generator(3)), soften(pictures, generator(4)))
    one, two = relight((pictures, pictures), generator(3))
    assert torch.equal(one, two) and not torch.equal(one, pictures)


def test_scaling_is_antialiased_and_bounded():
    stripes = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    stripes[..., ::2] = 255
    assert scaled(stripes, 32).abs().max() < 0.3  # without antialiasing it would be all black or all white
    assert torch.equal(scaled(stripes, 64), stripes.float() / 127.5 - 1)


def test_no_motion_samples_the_picture_itself():
    picture = torch.rand(2, 3, 32, 32)
    assert torch.allclose(_sample(picture, warp_grid(torch.zeros(2, 6), 32, 1.0)), picture, atol=1e-5)
    shift = torch.zeros(2, 6)
    shift[:, 0] = 2 * 4 / 32  # four pixels to the right
    moved = _sample(picture, warp_grid(shift, 32, 1.0))
    assert torch.allclose(moved[..., :-4], picture[..., 4:], atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-0.3, 0.3), min_size=12, max_size=12))
def test_composed_motion_is_one_motion_after_the_other(values):
    motion, zoom = torch.tensor(values).reshape(2, 1, 6)
    points = torch.tensor([[0.3, -0.5], [-0.2, 0.8], [0.0, 0.0]])

    def apply(m, p):
        matrix = torch.stack([m[0, 1:3], m[0, 4:6]]) + torch.eye(2)
        return p @ matrix.T + m[0, [0, 3]]

    expected = apply(motion, apply(zoom, points))
    assert torch.allclose(apply(_composed(motion, zoom), points), expected, atol=1e-5)


def test_motion_probe_reads_any_size_and_any_batching():
    probe = MotionProbe(size=32, width=4).eval()
    frames = np.random.default_rng(0).integers(0, 256, (150, 48, 48, 3), dtype=np.uint8)
    readings = probe.read(frames, frames[0])
    assert readings.shape == (150, len(COEFFICIENTS)) and readings.dtype == np.float32
    np.testing.assert_allclose(probe.read(frames[140:], frames[0]), readings[140:], atol=1e-5)
    with pytest.raises(ValueError, match="multiple of 32"):
        MotionProbe(size=48)


def test_motion_probe_learns_an_opening_mouth():
    torch.manual_seed(0)
    task = MotionTask(MotionProbe(size=32, width=4), drawn(400), batch_size=32)
    optimizer = torch.optim.AdamW(task.module.parameters(), lr=5e-3)
    for step in range(120):
        loss, _ = task.loss(task.batch(step, generator(step)), generator(step))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    scores = r_squared(task.module.eval(), drawn(100, seed=9))
    assert scores["jaw_open"] > 0.8
    assert scores["smile"] is None  # it never varies


def test_mirrored_batches_keep_their_meaning():
    data = drawn(64)
    task = MotionTask(MotionProbe(size=32, width=4), data, batch_size=64)
    batch = task.batch(0, generator(0))
    again = task.batch(0, generator(0))
    assert all(torch.equal(batch[key], again[key]) for key in batch)
    still = round(64 / 12)
    assert torch.equal(batch["targets"][:still], torch.from_numpy(neutral(still)))
    assert torch.equal(data.targets, drawn(64).targets)  # mirroring must not change the data itself


def test_pca_probe_finds_the_moving_direction():
    data = drawn(60)
    probe = PcaProbe(size=16, dimensions=4)
    probe.fit(data)
    frames = data.frames[::2].permute(0, 2, 3, 1).numpy()  # of the first person
    reference = data.references[0].permute(1, 2, 0).numpy()
    scores = probe.read(frames, reference)
    assert scores.shape == (30, 4) and probe.names == ()
    assert abs(np.corrcoef(scores[:, 0], data.targets[::2, 0])[0, 1]) > 0.95
    whole = np.concatenate([probe.read(frames, reference), probe.read(data.frames[1::2].permute(0, 2, 3, 1).numpy(),
                            data.references[1].permute(1, 2, 0).numpy())])  # fmt: skip
    np.testing.assert_allclose(whole.mean(0), 0, atol=1e-3)
    assert whole[:, 0].std(ddof=1) == pytest.approx(1, abs=0.05)


def test_pca_probe_of_still_pictures_reads_nothing():
    data = drawn(6)
    data.frames.copy_(data.references[data.reference])
    probe = PcaProbe(size=16, dimensions=4)
    probe.fit(data)
    assert not probe.components.any()


def test_image_probe_gives_features_and_three_maps():
    probe = ImageProbe(size=32, subjects=3).eval()
    features, maps = probe.look(torch.randint(0, 256, (2, 3, 40, 40), dtype=torch.uint8))
    assert features.shape == (2, FEATURES)
    assert [tuple(m.shape[1:]) for m in maps] == [(16, 16, 16), (32, 8, 8), (64, 4, 4)]


def test_probe_files_keep_kind_and_weights(tmp_path):
    probe = MotionProbe(size=32, width=4).eval()
    save_probe(tmp_path / "p.safetensors", probe, "motion", {"size": 32, "width": 4}, {"data_manifest_sha256": "x"})
    loaded, meta = load_probe(tmp_path / "p.safetensors", ("motion", "pca"))
    assert meta["kind"] == "motion" and meta["data_manifest_sha256"] == "x" and not loaded.training
    frames = np.zeros((2, 32, 32, 3), np.uint8)
    np.testing.assert_array_equal(loaded.read(frames, frames[0]), probe.read(frames, frames[0]))
    with pytest.raises(DataError, match="kind 'motion', but image is needed"):
        load_probe(tmp_path / "p.safetensors", ("image",))
    save_probe(tmp_path / "old.safetensors", probe, "motion", {"size": 32, "layers": 4}, {})
    with pytest.raises(DataError, match="is a probe of another version, which is built otherwise .*layers"):
        load_probe(tmp_path / "old.safetensors", ("motion",))


TINY = {
    "identity": {"size": 32, "width": 4, "videos": 4, "per_video": 4, "train": {"steps": 3, "warmup_steps": 1}},
    "video": {
        "size": 16,
        "width": 2,
        "videos": 4,
        "per_video": 2,
        "train": {"steps": 3, "warmup_steps": 1, "batch_size": 4},
    },
    "sync": {"size": 51, "width": 1 / 64, "videos": 4, "train": {"steps": 3, "warmup_steps": 1, "batch_size": 2}},
    "motion": {"size": 32, "width": 4, "videos": 4, "per_video": 10, "train": {"steps": 4, "warmup_steps": 1}},
    "image": {"size": 32, "videos": 4, "per_video": 10, "train": {"steps": 4, "warmup_steps": 1}},
    "test_videos": 2,
}


def train(data, out, options=TINY, probe="motion"):
    train_probes.main([
        "--data", str(data), "--checkpoints", str(out / "checkpoints" / probe), "--options", json.dumps(options),
        "--probe", probe, "--out", str(out / f"{probe}.safetensors"),
    ])  # fmt: skip


def test_command_trains_both_probes_and_says_how_well(world, tmp_path):
    train(world, tmp_path)
    train(world, tmp_path, probe="image")
    said = json.loads((tmp_path / "motion.json").read_text())
    assert set(said["test_r2"]) == set(COEFFICIENTS) and said["kind"] == "motion"
    assert said["train_frames"] == 40 and len(said["data_manifest_sha256"]) == 64
    first = (tmp_path / "motion.safetensors").read_bytes()
    train(world, tmp_path)  # finished training is loaded, not repeated
    assert (tmp_path / "motion.safetensors").read_bytes() == first
    assert load_probe(tmp_path / "image.safetensors", ("image",))[1]["build"]["targets"] == len(COEFFICIENTS)


@pytest.mark.parametrize(
    ("probe", "said"),
    [("identity", "test_verification"), ("video", "test_speed_accuracy"), ("sync", "test_offsets")],
)
def test_command_trains_the_other_probes_on_any_data(world, recorded, tmp_path, probe, said):
    for data in (world, recorded):
        train(data, tmp_path / data.parent.name, probe=probe)
        meta = json.loads((tmp_path / data.parent.name / f"{probe}.json").read_text())
        assert meta["kind"] == probe and said in meta and meta["options"][probe]["train"]["steps"] == 3
    loaded, meta = load_probe(tmp_path / recorded.parent.name / f"{probe}.safetensors", (probe,))
    assert not loaded.training


@pytest.mark.parametrize("probe", ["image", "identity", "video", "sync"])
def test_a_probe_trains_on_from_the_shipped_reader_but_for_its_heads(recorded, tmp_path, probe):
    still = {"steps": 1, "warmup_steps": 0, "batch_size": 2, "learning_rate": 1e-12}
    sampled = {"videos": 4, "train": still} | ({} if probe == "sync" else {"per_video": 2})
    train(recorded, tmp_path, {"start": "shipped", "test_videos": 1, probe: sampled}, probe)
    found, given = (load_probe(path, (probe,)) for path in (tmp_path / f"{probe}.safetensors", shipped(probe)))
    assert found[1]["start"] == file_sha256(shipped(probe))
    assert (
        found[1]["data_manifest_sha256"] == file_sha256(recorded / "manifest.csv") != given[1]["data_manifest_sha256"]
    )
    own, theirs = found[0].state_dict(), given[0].state_dict()
    heads = {name for name in own if name.startswith(("subject", "motion."))}
    assert {name.split(".")[0] for name in heads} == {"image": {"subject"}, "identity": {"subjects"}}.get(probe, set())
    for name in own.keys() - heads:
        if "running_" not in name and "num_batches" not in name:  # of the one batch
            torch.testing.assert_close(own[name], theirs[name], rtol=0, atol=1e-6)
    if probe == "video":
        with pytest.raises(ConfigError, match=r"probes\.video\.width is 2, but the shipped video, .* has 16"):
            train(recorded, tmp_path / "other", {"start": "shipped", probe: {**sampled, "width": 2}}, probe)


def test_videos_too_short_for_a_window_are_refused(world, tmp_path, monkeypatch):
    monkeypatch.setattr("evaluation.fits.video.LONGEST", 10_000)
    with pytest.raises(DataError, match="has no training video of 10000 frames"):
        train(world, tmp_path, probe="video")
    assert not (tmp_path / "video.safetensors").exists()


def test_recorded_data_is_read_by_the_mesh_and_by_pca_where_asked(recorded, tmp_path):
    train(recorded, tmp_path)
    train(recorded, tmp_path, probe="image")
    probe, meta = load_probe(tmp_path / "motion.safetensors", PROBES["motion"])
    assert meta["kind"] == "mesh" and meta["extractor"] == "mesh468-v2" and "test_r2" not in meta
    assert "jaw_open" in probe.names and max(probe.groups["all"]) == len(probe.names) - 1
    (tmp_path / "pca").mkdir()
    train(recorded, tmp_path / "pca", {"motion": {**TINY["motion"], "kind": "pca"}})
    probe, meta = load_probe(tmp_path / "pca" / "motion.safetensors", PROBES["motion"])
    assert meta["kind"] == "pca" and probe.names == () and "test_r2" not in meta
    assert load_probe(tmp_path / "image.safetensors", ("image",))[1]["build"]["targets"] == 0
    with pytest.raises(ConfigError, match="no true coefficients"):
        train(recorded, tmp_path, {"motion": {**TINY["motion"], "kind": "motion"}})


@pytest.mark.parametrize(
    "options, text",
    [
        ({"motion": {"kind": "dct"}}, "auto, motion, mesh or pca"),
        ({"motion": {"colour": 1}}, "unknown option 'colour'"),
        ({"motion": {"train": {"stepz": 1}}}, "unknown option 'stepz'"),
        ({"motoin": {}}, "unknown option 'motoin'"),
        ({"motion": 3}, "must be a mapping"),
    ],
)
def test_wrong_options_are_named(world, tmp_path, options, text):
    with pytest.raises(ConfigError, match=text):
        train(world, tmp_path, options)


def test_probes_are_named_by_folder_or_by_file(probes, tmp_path):
    whole = probe_files([str(probes)])
    assert whole == {name: probes / f"{name}.safetensors" for name in PROBES}
    other = probe_files([str(probes), "image=elsewhere.safetensors"])
    assert other == {**whole, "image": Path("elsewhere.safetensors")}
    for wrong, text in (
        ([str(tmp_path / "nowhere")], "is no folder"),
        ([str(probes), "imaeg=x"], "unknown probe 'imaeg'"),
        ([f"motion={probes / 'motion.safetensors'}"], "no image probe"),
    ):
        with pytest.raises(ConfigError, match=text):
            probe_files(wrong)


def test_every_probe_that_is_trained_can_be_given_to_a_measurement():
    assert set(train_probes.PROBES) == set(PROBES)
