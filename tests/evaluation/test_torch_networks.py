"""FID, FVD, LPIPS and CSIM for training loops: the tables' values through any network, merged, and NaN on failure."""

import math
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from dyads.contract import SAMPLES_PER_FRAME
from dyads.errors import DataError
from evaluation.cards import OK
from evaluation.frechet import frechet_distance
from evaluation.metrics.pictures.perceptual import lpips_distance
from evaluation.networks import inception
from evaluation.networks.syncnet import SyncNet
from evaluation.readings.lip_sync import curve, lse, reading, scored
from evaluation.torch_metrics import CSIM, FID, FVD, LPIPS, LSE


class Small(nn.Module):
    """Pictures (B, 3, H, W) in [0, 1] to features (B, 6); uint8 videos to features of windows of four frames."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Conv2d(3, 6, 3), nn.Tanh(), nn.AdaptiveAvgPool2d(1), nn.Flatten())

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.layers(pictures)

    @torch.no_grad()
    def features_of(self, frames: np.ndarray) -> np.ndarray:
        pictures = torch.from_numpy(frames).movedim(-1, 1) / 255
        seen = self(pictures)[: len(frames) // 4 * 4].reshape(-1, 4, 6).mean(1)
        return seen.numpy()


class Perceptual(nn.Module):
    """A distance with the lpips package's call."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, a: torch.Tensor, b: torch.Tensor, normalize: bool = False) -> torch.Tensor:
        a, b = (x * 2 - 1 if normalize else x for x in (a, b))
        return self.weight * (a - b).square().mean((1, 2, 3), keepdim=True)


def pictures(seed: int, *shape: int) -> torch.Tensor:
    """Random ones, darker for an odd seed."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256 - 90 * (seed % 2), shape, dtype=torch.uint8, generator=generator)


def features(frames: torch.Tensor) -> np.ndarray:
    with torch.no_grad():
        return Small()(frames / 255).double().numpy()


def test_fid_is_the_distance_of_every_picture_given():
    generated, true = pictures(0, 40, 3, 9, 8), pictures(1, 40, 3, 9, 8)
    wanted = frechet_distance(features(generated), features(true))
    for last, scale in ((False, False), (True, False), (False, True)):
        metric = FID(Small(), channels_last=last)
        for real, frames in ((False, generated), (True, true)):
            frames = frames.movedim(1, -1) if last else frames
            for batch in (frames / 255 if scale else frames).split(18):  # more than one of the network's batches
                metric.update(batch, real=real)
        assert float(metric.compute()) == pytest.approx(wanted, rel=1e-5) and metric.counts == (40, 40)
    assert FID.higher_is_better is False and wanted > 0.01


def test_fvd_counts_windows():
    generated, true = pictures(0, 6, 10, 3, 8, 8), pictures(1, 6, 10, 3, 8, 8)
    metric, single = FVD(Small()), FVD(Small(), channels_last=True)
    for real, videos in ((False, generated), (True, true)):
        metric.update(videos, real=real)
        for video in videos:
            single.update(video.movedim(1, -1), real=real)
    sides = [np.concatenate([Small().features_of(v.movedim(1, -1).numpy()) for v in x]) for x in (generated, true)]
    assert metric.counts == single.counts == (12, 12)
    assert float(metric.compute()) == pytest.approx(frechet_distance(*sides), rel=1e-5)
    assert float(single.compute()) == pytest.approx(float(metric.compute()), rel=1e-9)
    metric.update(true[:, :3], real=True)  # shorter than a window: nothing to see
    assert metric.counts == (12, 12)
    with pytest.raises(DataError, match="are not \\(T, 3, H, W\\)"):
        metric.update(true[0, 0], real=True)


def test_lpips_is_the_tables_and_gets_the_right_range():
    generated, true = pictures(0, 20, 3, 8, 8), pictures(1, 20, 3, 8, 8)
    wanted = (2 * (generated / 255 - true / 255)).square().mean()
    metric = LPIPS(Perceptual())
    metric.update(generated[:7], true[:7])
    metric.update(generated[7:] / 255, true[7:] / 255)
    assert float(metric.compute()) == pytest.approx(float(wanted), rel=1e-5)
    table = lpips_distance(Perceptual(), *(x.movedim(1, -1).numpy() for x in (generated, true)))
    assert float(metric.compute()) == pytest.approx(float(table.mean()), rel=1e-6)
    assert LPIPS.higher_is_better is False and LPIPS(Perceptual())(true, true) == 0


def test_csim_to_the_true_frame_and_to_a_reference():
    generated, true = pictures(0, 20, 3, 8, 8), pictures(1, 20, 3, 8, 8)
    a, b = features(generated), features(true)
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b)]
    for target, wanted in ((true, (unit[0] * unit[1]).sum(1).mean()), (true[3], (unit[0] @ unit[1][3]).mean())):
        metric = CSIM(Small())
        metric.update(generated[:11], target[:11] if target.ndim == 4 else target)
        metric.update(generated[11:], target[11:] if target.ndim == 4 else target)
        assert float(metric.compute()) == pytest.approx(float(wanted), rel=1e-5)
    assert float(CSIM(Small().forward)(true, true)) == pytest.approx(1)
    with pytest.raises(DataError, match="20 generated pictures do not fit 3"):
        CSIM(Small()).update(generated, true[:3])


def test_csim_of_features_without_length_is_no_score():
    metric = CSIM(lambda frames: frames.flatten(1)[:, :2] - 0.0)
    black, grey = torch.zeros(3, 3, 8, 8), torch.full((5, 3, 8, 8), 0.5)
    metric.update(black, black)
    assert math.isnan(metric.compute()) and metric.status == "not_finite" and metric.undefined == 3
    metric.update(grey, grey)
    assert float(metric.compute()) == pytest.approx(1) and metric.status == OK and metric.undefined == 3


def made(name: str):
    """A metric and the batches of one process."""
    frames = [(pictures(i, 20, 3, 8, 8), pictures(i + 1, 20, 3, 8, 8)) for i in range(2)]
    if name in ("fid", "fvd"):
        kind = {"fid": FID, "fvd": FVD}[name]
        return kind(Small()), [(side, real) for pair in frames for side, real in zip(pair, (False, True), strict=True)]
    return {"lpips": LPIPS(Perceptual()), "csim": CSIM(Small())}[name], frames


@pytest.mark.parametrize("name", ["fid", "fvd", "lpips", "csim"])
def test_networks_metrics_merge_and_reset(name):
    whole, batches = made(name)
    merged = made(name)[0]
    assert math.isnan(whole.compute()) and whole.status == "too_few_frames"
    for batch in batches:
        whole.update(*batch)
        part = made(name)[0]
        part.update(*batch)
        merged.merge(pickle.loads(pickle.dumps(part)))
    assert float(merged.compute()) == pytest.approx(float(whole.compute()), rel=1e-9)
    assert math.isfinite(whole.compute()) and whole.compute().dtype == torch.float64
    whole.reset()
    assert math.isnan(whole.compute())


@pytest.mark.parametrize("name", ["fid", "fvd", "lpips", "csim"])
def test_a_broken_network_is_no_score(name):
    metric, batches = made(name)
    for parameter in metric.network.parameters():
        nn.init.constant_(parameter, math.nan)
    for batch in batches:
        metric.update(*batch)
    assert math.isnan(metric.compute()) and metric.status == "not_finite"


# LSE


@pytest.fixture(scope="module")
def syncnet():
    torch.manual_seed(0)
    return SyncNet(1 / 32, 64).eval()


def clip_of(seed: int, count: int = 70) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Frames at the network's size, sound, and speech in all but the last ten frames."""
    sound = torch.randn(count * SAMPLES_PER_FRAME, generator=torch.Generator().manual_seed(seed)) / 10
    return pictures(seed, count, 3, 64, 64), sound.clamp(-1, 1), torch.arange(count) < count - 10


def test_lse_is_the_tables(syncnet):
    metric, wanted = LSE(syncnet), []
    for seed in range(2):
        frames, sound, speaking = clip_of(seed)
        metric.update(frames if seed else frames / 255, sound, speaking)
        found = reading(syncnet.look(frames.movedim(1, -1).numpy()), syncnet.listen(sound.numpy()), sound.numpy())
        wanted.append(lse(curve(found, scored(found, speaking.numpy(), 50, "no_speech"))))
    values = (metric.compute(), metric.confidence(), metric.offset())
    assert [float(value) for value in values] == pytest.approx(np.mean(wanted, axis=0), rel=1e-5)
    parts = [LSE(syncnet).merge(metric), LSE(syncnet)]
    parts[1].update(*clip_of(2))
    both = parts[0].merge(parts[1])
    assert float(both.compute()) == pytest.approx((2 * float(values[0]) + float(parts[1].compute())) / 3, rel=1e-9)
    assert LSE.higher_is_better is False and both.state["clips"] == 3


def test_lse_without_speech_sound_or_length_is_no_score(syncnet):
    frames, sound, speaking = clip_of(0)
    for batch, status in (
        ((frames, sound, speaking & False), "no_speech"),
        ((frames[:40], sound[: 40 * SAMPLES_PER_FRAME]), "too_few_frames"),
        ((frames, sound * 0, speaking), "silent"),
        ((frames, sound * math.nan, speaking), "not_finite"),
    ):
        metric = LSE(syncnet)
        with np.errstate(invalid="ignore"):
            metric.update(*batch)
        assert math.isnan(metric.compute()) and metric.status == status and metric.undefined == {status: 1}
        assert math.isnan(metric.confidence()) and math.isnan(metric.offset())
    for wrong in ((frames, sound[:-1], speaking), (frames, sound, speaking[:-1])):
        with pytest.raises(DataError, match="shape"):
            LSE(syncnet).update(*wrong)


def test_the_readmes_loop_runs(monkeypatch):
    page = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
    code = next(block for block in page.split("```python\n") if "torch_metrics" in block).partition("```")[0]
    monkeypatch.setattr(inception, "load", lambda path: Small())
    found = {"batches": [(pictures(i, 12, 3, 16, 16), pictures(i + 1, 12, 3, 16, 16)) for i in range(2)]}
    exec(compile(code, "README.md", "exec"), found)
    assert found["fid"].counts == (24, 24) and found["whole"].status == OK and -1 <= found["ssim"].compute() < 1
