"""The classes for training loops: equal to the tables' functions, mergeable, and never a score for a failure."""

import math
import pickle

import numpy as np
import pytest
import torch

from dyads.errors import DataError
from evaluation.cards import OK, STATUSES
from evaluation.frechet import frechet_distance
from evaluation.metrics.lips import mouth
from evaluation.metrics.motion import motion_fd
from evaluation.metrics.pictures import psnr, ssim
from evaluation.torch_metrics import PSNR, SID, SSIM, FrechetDistance, Metric, MotionFD, PairedCorrelation


def noise(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def pictures(seed: int, *shape: int) -> torch.Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def column_means(images: torch.Tensor) -> torch.Tensor:
    """A feature function: (N, 3, H, W) -> (N, 3 W)."""
    return images.float().mean(2).flatten(1)


def assert_undefined(metric, status: str) -> None:
    assert math.isnan(metric.compute()) and metric.status == status and status in STATUSES


def batches(name: str) -> tuple[type, dict, list[tuple]]:
    """A metric class, its options, and three batches for `update`."""
    if name == "frechet":
        rounds = [(noise(i, 9, 4) + i % 2, i % 2 == 0) for i in range(6)]
        return FrechetDistance, {"features": torch.nn.Flatten()}, rounds
    if name in ("ssim", "psnr"):
        rounds = [(pictures(i, 2, 3, 12, 13), pictures(i + 9, 2, 3, 12, 13)) for i in range(3)]
        return {"ssim": SSIM, "psnr": PSNR}[name], {}, rounds
    if name == "motion":
        return MotionFD, {}, [(noise(i, 20, 5) + 1, noise(i + 9, 20, 5)) for i in range(3)]
    return PairedCorrelation, {}, [(noise(i, 30), noise(i, 30) + noise(i + 9, 30)) for i in range(3)]


NAMES = ("frechet", "ssim", "psnr", "motion", "correlation")


# What all share


@pytest.mark.parametrize("name", NAMES)
def test_before_any_data_there_is_no_score(name):
    kind, options, rounds = batches(name)
    metric = kind(**options)
    assert isinstance(metric.higher_is_better, bool) and metric.status != OK and isinstance(metric, Metric)
    assert_undefined(metric, "too_few_frames")
    for batch in rounds:
        metric.update(*batch)
    assert metric.compute().dtype == torch.float64 and math.isfinite(metric.compute()) and metric.status == OK
    metric.reset()
    assert metric.status != OK
    assert_undefined(metric, "too_few_frames")


@pytest.mark.parametrize("name", NAMES)
def test_merging_equals_one_pass(name):
    kind, options, rounds = batches(name)
    whole, parts = kind(**options), []
    for batch in rounds:
        whole.update(*batch)
        part = kind(**options)
        part.update(*batch)
        parts.append(pickle.loads(pickle.dumps(part)))  # as from another process
    merged = kind(**options)
    for part in reversed(parts):
        assert merged.merge(part) is merged
    assert float(merged.compute()) == pytest.approx(float(whole.compute()), rel=1e-9)
    merged.merge_state(kind(**options))  # an empty one changes nothing
    assert float(merged.compute()) == pytest.approx(float(whole.compute()), rel=1e-9)
    with pytest.raises(DataError, match="cannot be merged"):
        whole.merge((SSIM if name == "psnr" else PSNR)())


@pytest.mark.parametrize("name", ["ssim", "psnr", "motion", "correlation"])
def test_forward_scores_the_batch_and_keeps_the_sum(name):
    kind, options, rounds = batches(name)
    running, plain, single = kind(**options), kind(**options), kind(**options)
    for batch in rounds:
        score = running(*batch)
        plain.update(*batch)
    single.update(*rounds[-1])
    assert score == single.compute()
    assert float(running.compute()) == pytest.approx(float(plain.compute()), rel=1e-12)


def test_an_unfinished_metric_cannot_be_made():
    class Half(Metric):
        higher_is_better = True

        def update(self, batch):
            pass

    with pytest.raises(TypeError, match="abstract"):
        Half()


# What users of torchmetrics expect


@pytest.mark.parametrize("name", NAMES)
def test_a_state_goes_through_a_checkpoint_and_a_copy_goes_on_by_itself(name, tmp_path):
    kind, options, rounds = batches(name)
    metric, resumed = kind(**options), kind(**options)
    for batch in rounds[:-1]:
        metric.update(*batch)
    torch.save(metric.state_dict(), tmp_path / "state.pt")
    resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    copied, gathered = metric.clone(), metric.gathered()
    before = float(metric.compute()) if name != "frechet" else metric.counts
    for one in (metric, resumed):
        one.update(*rounds[-1])
    assert float(resumed.compute()) == float(metric.compute())
    for other in (copied, gathered):
        assert (float(other.compute()) if name != "frechet" else other.counts) == before
    other = kind(**options)
    copied.reset()
    assert gathered.to("cpu") is gathered and gathered.device == torch.device("cpu")
    assert math.isnan(other.compute()) and math.isfinite(metric.compute())
    with pytest.raises(DataError, match="is not one of"):
        metric.load_state_dict({"nothing": torch.zeros(())})


def test_a_copys_moments_are_its_own():
    metric = FrechetDistance(torch.nn.Identity())
    metric.update(noise(0, 9, 4), real=True)
    whole = metric.gathered()
    whole.state["true"].mean.add_(1)
    assert not torch.equal(whole.state["true"].mean, metric.state["true"].mean)


def test_forward_takes_names():
    metric = FrechetDistance(torch.nn.Identity())
    metric.update(noise(0, 9, 4), False)
    assert math.isnan(metric(noise(1, 9, 4), real=True)) and metric.counts == (9, 9)


def test_what_does_not_belong_together_is_refused():
    one, other = torch.nn.Linear(4, 3), torch.nn.Linear(4, 3)
    for a, b, what in (
        (FrechetDistance(one), FrechetDistance(other), "features"),
        (SSIM(channels_last=True), SSIM(), "channels_last"),
        (SID(torch.zeros(3, 2)), SID(torch.ones(3, 2)), "centres"),
        (SID(torch.zeros(3, 2)), SID(torch.zeros(3, 2), normalised=True), "normalised"),
    ):
        with pytest.raises(DataError, match=what):
            a.merge(b)
    same = torch.nn.Linear(4, 3)
    same.load_state_dict(one.state_dict())
    assert FrechetDistance(one).merge(FrechetDistance(same)).counts == (0, 0)


@pytest.mark.parametrize("alike", [True, False])
def test_processes_that_do_not_belong_together_are_refused(monkeypatch, alike):
    """Another process, as this one is told of it: with the same options, or with another network's clusters."""
    own, other = SID(torch.zeros(3, 2)), SID(torch.zeros(3, 2) if alike else torch.ones(3, 2))
    for metric in (own, other):
        metric.update(noise(0, 20, 2))

    def gather(found, mine):
        found[:] = [mine, (type(other).__name__, other.identity(), other.state)]

    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(torch.distributed, "all_gather_object", gather)
    if alike:
        counted = [sum(float(part.sum()) for part in metric.state.values()) for metric in (own, own.gathered())]
        assert counted[1] == 2 * counted[0] > 0
        return
    with pytest.raises(DataError, match="different centres"):
        own.gathered()


def test_a_network_is_asked_in_evaluation_mode_and_left_as_it_was():
    network = torch.nn.Sequential(torch.nn.BatchNorm1d(4), torch.nn.Dropout(0.5)).train()
    network[1].eval()
    samples = noise(0, 20, 4) + 3
    metrics = [FrechetDistance(network) for _ in range(2)]
    for metric in metrics:
        metric.update(samples, real=True)
    assert torch.equal(metrics[0].state["true"].mean, metrics[1].state["true"].mean)
    assert metrics[0].state["true"].mean == pytest.approx(samples.double().mean(0), rel=1e-4)  # not standardised
    assert network.training and network[0].training and not network[1].training
    assert not network[0].num_batches_tracked


def test_a_broken_clip_is_no_mean_of_the_others():
    series = noise(0, 3, 60)
    broken = torch.where(torch.arange(180).reshape(3, 60) == 70, math.nan, series)
    metric = PairedCorrelation()
    metric.update(broken, series)
    assert_undefined(metric, "not_finite")
    assert metric.undefined == {"not_finite": 1}


# Frechet distances


def test_frechet_distance_of_features_in_batches():
    generated, true = pictures(0, 40, 3, 5, 4), pictures(1, 40, 3, 5, 4)
    metric = FrechetDistance(column_means)
    for start in range(0, 40, 7):
        metric.update(generated[start : start + 7], real=False)
        metric.update(true[start : start + 7], real=True)
    wanted = frechet_distance(column_means(generated).numpy(), column_means(true).numpy())
    assert float(metric.compute()) == pytest.approx(wanted, rel=1e-9) and metric.counts == (40, 40)


def test_frechet_distance_is_exact_below_full_rank_and_streams_in_float64():
    generated, true = noise(0, 6, 20) + 1000, 2 * noise(1, 6, 20) + 1000
    metric = FrechetDistance(torch.nn.Identity())
    for row in range(6):
        metric.update(generated[row : row + 1], real=False)
        metric.update(true[row : row + 1], real=True)
    assert metric.state["true"].m2.dtype == torch.float64
    assert float(metric.compute()) == pytest.approx(frechet_distance(generated.numpy(), true.numpy()), rel=1e-6)


def test_frechet_failures():
    metric = FrechetDistance(torch.nn.Identity())
    metric.update(noise(0, 5, 3), real=False)
    assert_undefined(metric, "too_few_frames")
    metric.update(noise(1, 1, 3), real=True)
    assert_undefined(metric, "too_few_frames")
    metric.update(noise(1, 3, 3), real=True)
    assert_undefined(metric, "length_mismatch")
    asked = FrechetDistance(torch.nn.Identity(), unequal_counts=True)
    assert math.isfinite(asked.merge(metric).compute())
    metric.update(torch.full((1, 3), math.nan), real=True)
    assert_undefined(metric, "not_finite")
    with pytest.raises(DataError, match="4 dimensions now, 3 before"):
        metric.update(noise(0, 5, 4), real=False)
    with pytest.raises(DataError, match="not \\(samples, dimensions\\)"):
        metric.update(noise(0, 5), real=False)


def test_fid_is_the_distance_of_a_networks_features():
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 6, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1))
    network = torch.nn.Sequential(network, torch.nn.Flatten()).eval()
    generated, true = noise(0, 30, 3, 8, 8), 2 * noise(1, 30, 3, 8, 8)
    metric = FrechetDistance(network)
    for side, images in ((False, generated), (True, true)):
        for batch in images.split(11):
            metric.update(batch, real=side)
    with torch.no_grad():
        wanted = frechet_distance(network(generated).double().numpy(), network(true).double().numpy())
    assert float(metric.compute()) == pytest.approx(wanted, rel=1e-5) and wanted > 0


def test_feature_functions_get_no_gradient():
    layer = torch.nn.Linear(3, 2)
    metric = FrechetDistance(layer)
    metric.update(noise(0, 5, 3), real=True)
    assert not metric.state["true"].mean.requires_grad


def test_motion_fd_equals_the_table():
    generated, true = noise(0, 4, 30, 5), noise(1, 4, 30, 5) * 2
    metric = MotionFD()
    metric.update(generated[:3], true[:3])
    metric.update(generated[3], true[3])
    wanted = motion_fd.motion_fd(generated.reshape(-1, 5).numpy(), true.reshape(-1, 5).numpy())
    assert float(metric.compute()) == pytest.approx(wanted, rel=1e-9)
    short = MotionFD()
    short.update(generated[0, :9], true[0, :9])
    assert_undefined(short, "too_few_frames")
    with pytest.raises(DataError, match="differ in shape"):
        short.update(generated[0, :9], true[0, :8])
    with pytest.raises(DataError, match="motion of shape"):
        short.update(generated[0, 0], true[0, 0])


# Pictures


@pytest.mark.parametrize("kind, function", [(SSIM, ssim.ssim), (PSNR, psnr.psnr)])
def test_picture_metrics_equal_the_tables(kind, function):
    generated, true = pictures(0, 5, 3, 12, 14), pictures(1, 5, 3, 12, 14)
    last = [x.movedim(1, -1) for x in (generated, true)]
    wanted = float(function(*(x.numpy() for x in last)).mean())
    for options, frames in (
        ({}, (generated, true)),
        ({"channels_last": True}, last),
        ({}, (generated / 255, true / 255)),
        ({}, (generated, true / 255)),
    ):
        metric = kind(**options)
        metric.update(*(x[:2] for x in frames))
        metric.update(*(x[2:] for x in frames))
        assert float(metric.compute()) == pytest.approx(wanted, rel=1e-12)
    assert kind.higher_is_better


def test_pictures_that_are_none():
    metric = PSNR()
    good = pictures(0, 1, 3, 12, 12)
    with pytest.raises(DataError, match="differ in shape"):
        metric.update(good, good[:, :, :6])
    with pytest.raises(DataError, match="not \\(N, 3, H, W\\)"):
        metric.update(good.movedim(1, -1), good.movedim(1, -1))
    for wrong in (good.float(), torch.full_like(good, math.nan, dtype=torch.float32)):
        with pytest.raises(DataError, match="\\[0, 1\\]"):
            metric.update(wrong, good)
    with pytest.raises(DataError, match="int32"):
        metric.update(good.int(), good)
    assert_undefined(metric, "too_few_frames")  # nothing of that was counted
    small = SSIM()
    small.update(good[..., :10], good[..., :10])
    assert_undefined(small, "frame_too_small")  # as in the tables


# Mouth


def test_correlation_is_the_mean_over_clips_that_have_one():
    true = noise(0, 3, 60)
    generated = true + noise(1, 3, 60)
    true[1] = 0.5
    speaking = noise(2, 3, 60) > -1
    metric = PairedCorrelation()
    metric.update(generated, true, speaking)
    wanted = [mouth.mouth_opening_correlation(*(x[i].numpy() for x in (generated, true, speaking))) for i in (0, 2)]
    assert float(metric.compute()) == pytest.approx(np.mean(wanted), rel=1e-6)
    assert metric.status == OK and metric.undefined == {"constant_series": 1}
    metric.reset()
    metric.update(generated[0], true[0])
    assert float(metric.compute()) == pytest.approx(np.corrcoef(generated[0], true[0])[0, 1], rel=1e-6)


def test_correlation_without_a_clip_says_why():
    series, silent = noise(0, 60), torch.zeros(60, dtype=torch.bool)
    nan = torch.where(torch.arange(60) == 5, math.nan, series)
    for batch, status in (
        ((series, series, silent), "no_speech"),
        ((series[:20], series[:20]), "too_few_frames"),
        ((series, torch.ones(60)), "constant_series"),
        ((nan, series), "not_finite"),
    ):
        metric = PairedCorrelation()
        metric.update(*batch)
        assert_undefined(metric, status)
        assert metric.undefined == {status: 1}
    with pytest.raises(DataError, match="same shape"):
        PairedCorrelation().update(series, series, silent[:9])
