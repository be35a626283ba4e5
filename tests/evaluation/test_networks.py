"""The reference networks against the packages they stand for, on the same random weights, to 1e-4 relative."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dyads.errors import ConfigError
from evaluation.frechet import frechet_distance
from evaluation.networks import arcface, i3d, inception, known, lpips, networks, syncnet

NORMS = (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d, torch.nn.BatchNorm3d)


def lively(network: torch.nn.Module) -> torch.nn.Module:
    """Random weights with which no layer is the identity, and features have a size worth comparing."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, NORMS):
            for tensor, low, high in (
                (module.weight.data, 0.8, 1.2), (module.bias.data, -0.1, 0.3),
                (module.running_mean, -0.1, 0.1), (module.running_var, 0.5, 1.0),
            ):  # fmt: skip
                tensor.copy_(torch.rand(tensor.shape, generator=generator) * (high - low) + low)
        elif isinstance(module, torch.nn.Conv2d | torch.nn.Conv3d | torch.nn.Linear):
            fan = module.weight[0].numel()
            module.weight.data.copy_(torch.randn(module.weight.shape, generator=generator) * (2 / fan) ** 0.5)
    return network.eval()


def pictures(count: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """Noise over slopes of brightness, uint8 (count, height, width, 3)."""
    rng = np.random.default_rng(seed)
    slope = np.linspace(0, 120, width)[None, None, :, None] + np.linspace(0, 60, height)[None, :, None, None]
    return (slope + rng.integers(0, 76, (count, height, width, 3))).astype(np.uint8)


def agree(ours: np.ndarray, theirs: np.ndarray) -> None:
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= 1e-4 * np.abs(theirs).max()
    assert theirs.std() > 1e-3 * np.abs(theirs).max(), "features that are all alike would agree with anything"


def saved(network: torch.nn.Module, path: Path) -> Path:
    torch.save(network.state_dict(), path)
    return path


# FID


@pytest.fixture(scope="module")
def inceptions(tmp_path_factory):
    """Ours by path, and pytorch-fid's with the same file where torch.hub would have put it."""
    from pytorch_fid.inception import InceptionV3

    home = tmp_path_factory.mktemp("torch")
    (home / "hub/checkpoints").mkdir(parents=True)
    path = home / "hub/checkpoints" / inception.NETWORK.file
    saved(lively(inception.Inception()).network, path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCH_HOME", str(home))
        theirs = InceptionV3([InceptionV3.BLOCK_INDEX_BY_DIM[2048]]).eval()
    return inception.load(path), theirs


def test_inception_equals_pytorch_fid(inceptions):
    ours, theirs = inceptions
    frames = pictures(2 * inception.STRIDE, 40, 64)
    found = ours.features_of(frames)
    with torch.inference_mode():
        chosen = torch.from_numpy(frames[:: inception.STRIDE]).permute(0, 3, 1, 2) / 255
        wanted = theirs(chosen)[0].flatten(1).numpy()
    agree(found, wanted)
    assert found.shape == (2, inception.FEATURES)


# FVD


@pytest.fixture(scope="module")
def i3d_file(tmp_path_factory):
    return saved(lively(i3d.I3D()), tmp_path_factory.mktemp("i3d") / "i3d_pretrained_400.pt")


def test_i3d_and_fvd_equal_cd_fvd(i3d_file):
    fvd = pytest.importorskip("cdfvd.fvd", reason="cd-fvd is a peer for tests only")
    peer = fvd.cdfvd("i3d", n_fake="full", ckpt_path=str(i3d_file), device="cpu", compute_feats=True)
    ours, count = i3d.load(i3d_file), 3
    true, fake = (pictures(count * i3d.WINDOW + 5, 24, 32, seed) for seed in (0, 1))
    fake //= 2
    features = [ours.features_of(video) for video in (fake, true)]
    assert features[0].shape == (count, i3d.FEATURES)
    windows = [video[: count * i3d.WINDOW].reshape(count, i3d.WINDOW, 24, 32, 3) for video in (fake, true)]
    theirs = peer.compute_fvd(windows[1], windows[0])
    agree(features[0], peer.fake_stats.get_all())
    # cd-fvd's covariance divides by N
    fake_mean, true_mean = (found.mean(0, dtype=np.float64) for found in features)
    shift = np.square(fake_mean - true_mean).sum()
    biased = shift + (frechet_distance(*features) - shift) * (count - 1) / count
    assert biased == pytest.approx(theirs, rel=1e-4)


def test_a_clip_shorter_than_a_window_has_no_features(i3d_file):
    assert i3d.load(i3d_file).features_of(pictures(i3d.WINDOW - 1, 8, 8)).shape == (0, i3d.FEATURES)


# CSIM


def normalised(x: torch.Tensor, state: dict, name: str) -> torch.Tensor:
    """Batch normalisation written out."""
    shape = (1, -1) + (1,) * (x.ndim - 2)
    mean, variance, weight, bias = (
        state[f"{name}.{key}"].reshape(shape) for key in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / torch.sqrt(variance + 1e-5) * weight + bias


def rectified(x: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
    return torch.maximum(x, torch.zeros_like(x)) + slope[:, None, None] * torch.minimum(x, torch.zeros_like(x))


def iresnet(x: torch.Tensor, s: dict, blocks: tuple[int, ...]) -> torch.Tensor:
    """The network of arcface_torch written from its description, on names and tensors alone."""
    x = rectified(normalised(F.conv2d(x, s["conv1.weight"], padding=1), s, "bn1"), s["prelu.weight"])
    for stage, count in enumerate(blocks, 1):
        for block in range(count):
            n, stride = f"layer{stage}.{block}", 1 if block else 2
            y = F.conv2d(normalised(x, s, f"{n}.bn1"), s[f"{n}.conv1.weight"], padding=1)
            y = rectified(normalised(y, s, f"{n}.bn2"), s[f"{n}.prelu.weight"])
            y = normalised(F.conv2d(y, s[f"{n}.conv2.weight"], stride=stride, padding=1), s, f"{n}.bn3")
            if not block:
                x = normalised(F.conv2d(x, s[f"{n}.downsample.0.weight"], stride=2), s, f"{n}.downsample.1")
            x = x + y
    return normalised(normalised(x, s, "bn2").flatten(1) @ s["fc.weight"].T + s["fc.bias"], s, "features")


def test_arcface_is_an_iresnet():
    blocks = (1, 2, 1, 1)
    network = lively(arcface.ArcFace(blocks))
    frames = pictures(arcface.STRIDE + 1, 112, 112)
    faces = torch.from_numpy(frames[:: arcface.STRIDE]).permute(0, 3, 1, 2) / 127.5 - 1
    with torch.inference_mode():
        wanted = iresnet(faces, network.state_dict(), blocks).numpy()
    agree(network.features_of(frames), wanted)


def test_arcface_has_the_layout_of_the_hundred_layers(tmp_path):
    network = arcface.load(saved(arcface.ArcFace(), tmp_path / "backbone.pth"))
    state = network.state_dict()
    convolutions = sum(value.ndim == 4 and ".downsample." not in name for name, value in state.items())
    assert convolutions + 1 == 100  # 99 and a linear one
    assert state["layer3.29.conv2.weight"].shape == (256, 256, 3, 3) and "layer3.30.bn1.weight" not in state
    assert state["fc.weight"].shape == (512, 25088) and state["layer4.0.downsample.0.weight"].shape == (512, 256, 1, 1)


def test_arcface_resizes_whole_pictures_and_keeps_no_colour_order():
    network = lively(arcface.ArcFace((1, 1, 1, 1)))
    frames = pictures(1, 56, 84)
    big = F.interpolate(torch.from_numpy(frames).permute(0, 3, 1, 2).float(), (112, 112), mode="bilinear")
    with torch.inference_mode():
        agree(network.features_of(frames), network(big / 127.5 - 1).numpy())
    turned = network.features_of(frames[..., ::-1].copy())
    assert np.abs(turned - network.features_of(frames)).max() > 1e-2 * np.abs(turned).max()


# Files


@pytest.mark.parametrize("slot", ["arcface", "i3d", "inception"])
def test_unfit_files_are_refused_in_a_sentence(slot, tmp_path):
    load = known(slot).load
    (tmp_path / "page.pth").write_text("<!DOCTYPE html>")
    torch.save({"features.0.weight": torch.zeros(2)}, tmp_path / "other.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    for name, text in (
        ("nowhere.pth", "do not exist"), ("page.pth", "cannot be read"), ("list.pth", "no named tensors"),
        ("other.pth", "lack '"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=text) as caught:
            load(tmp_path / name)
        assert str(caught.value).count("\n") == 0


def test_another_shape_and_another_layer_are_refused(tmp_path):
    state = i3d.I3D().state_dict()
    torch.save({**state, "logits.conv3d.bias": torch.zeros(7)}, tmp_path / "seven.pt")
    torch.save({**state, "extra.weight": torch.zeros(7)}, tmp_path / "extra.pt")
    with pytest.raises(ConfigError, match=r"shape \(7,\) instead of \(400,\)"):
        i3d.load(tmp_path / "seven.pt")
    with pytest.raises(ConfigError, match="have 'extra.weight', which the network has not"):
        i3d.load(tmp_path / "extra.pt")


def test_no_weights_run_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return Path.touch, (tmp_path / "touched",)

    torch.save({"x": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(ConfigError, match="cannot be read"):
        arcface.load(tmp_path / "evil.pth")
    assert not (tmp_path / "touched").exists()


def test_every_network_has_its_facts():
    assert {"inception", "i3d", "arcface", "lpips", "syncnet"} <= set(networks())
    for slot, network in networks().items():
        assert slot == network.slot and network.file and network.licence and network.page.startswith("https://")
        assert network.megabytes > 0 and callable(network.load)
    assert (lpips.NETWORK.load, syncnet.NETWORK.load) == (lpips.load, syncnet.load)
    with pytest.raises(ConfigError, match="unknown key 'vgg'"):
        known("vgg")


@pytest.mark.parametrize("network", [inception.Inception, i3d.I3D, arcface.ArcFace])
def test_the_stated_size_is_that_of_the_tensors(network):
    slot = {inception.Inception: "inception", i3d.I3D: "i3d", arcface.ArcFace: "arcface"}[network]
    with torch.device("meta"):
        state = network().state_dict()
    size = sum(value.numel() * value.element_size() for value in state.values()) / 1e6
    assert size == pytest.approx(known(slot).megabytes, rel=0.005)
