"""Motion classes for training loops: equal to the tables' rows, mergeable over halves and processes, NaN on failure."""

import math
import os
import pickle

import numpy as np
import pytest
import torch
from torch import distributed, multiprocessing

from dyads.errors import DataError
from dyads.synthetic.coefficients import COEFFICIENTS
from evaluation.cards import OK
from evaluation.clips import Clip
from evaluation.metrics.expression import expression
from evaluation.metrics.motion import motion_fd, motion_mse, paired_fd, rpcc, sid, sts, var
from evaluation.torch_metrics import (
    RPCC,
    SID,
    STS,
    ExpressionAmplitude,
    ExpressionCorrelation,
    LipOpeningError,
    MotionFDClip,
    MotionMSE,
    PairedFD,
    PairedFDClip,
    RPCCDimension,
    RPCCPooled,
    Var,
    VarFlat,
)

CLIPS, FRAMES, D = 6, 90, 17


def motion(seed: int) -> torch.Tensor:
    """(CLIPS, FRAMES, D) that moves slowly, around another rest in every dimension and clip."""
    generator = torch.Generator().manual_seed(seed)
    walk = torch.randn(CLIPS, FRAMES, D, generator=generator).cumsum(1) / 10
    return walk + torch.randn(CLIPS, 1, D, generator=generator)


GENERATED, TRUE, USER = motion(0), motion(1), motion(2)


def in_table(module, name: str) -> float:
    """The metric's value over the set by the code behind the tables."""
    arrays = [{"motion_generated": g, "motion_true": t, "motion_user": u} for g, t, u in zip(
        GENERATED.numpy(), TRUE.numpy(), USER.numpy(), strict=True)]  # fmt: skip
    clips = [
        Clip(f"c{i}", FRAMES, OK, np.ones(FRAMES, bool), names=COEFFICIENTS, **array) for i, array in enumerate(arrays)
    ]
    rows = [row for clip in clips for row in getattr(module, "clip_values", lambda *_: ())(clip, None)]
    rows += getattr(module, "set_values", lambda *_: ())(clips, None)
    return float(np.mean([row.value for row in rows if (row.metric, row.part) == (name, "all")]))


CASES = {
    "motion_mse": (MotionMSE, {}, (GENERATED, TRUE), lambda: in_table(motion_mse, "motion_mse")),
    "sts": (STS, {}, (GENERATED, TRUE), lambda: in_table(sts, "sts")),
    "rpcc": (RPCC, {}, (GENERATED, TRUE, USER), lambda: in_table(rpcc, "rpcc")),
    "rpcc_clip": (RPCC, {"flattened": True}, (GENERATED, TRUE, USER), lambda: in_table(rpcc, "rpcc_clip")),
    "rpcc_dimension": (RPCCDimension, {}, (GENERATED, TRUE, USER), lambda: in_table(rpcc, "rpcc_dimension")),
    "rpcc_pooled": (RPCCPooled, {}, (GENERATED, TRUE, USER), lambda: in_table(rpcc, "rpcc_pooled")),
    "paired_fd": (PairedFD, {}, (GENERATED, TRUE, USER), lambda: in_table(paired_fd, "paired_fd_pooled")),
    "var": (Var, {}, (GENERATED,), lambda: in_table(var, "var")),
    "var_flat": (VarFlat, {}, (GENERATED,), lambda: in_table(var, "var_flat")),
    "expression_correlation": (
        ExpressionCorrelation,
        {},
        (GENERATED, USER + GENERATED),
        lambda: expression.expression_correlation(*(x.flatten(0, 1).numpy() for x in (GENERATED, USER + GENERATED))),
    ),
    "expression_amplitude": (
        ExpressionAmplitude,
        {},
        (GENERATED, TRUE + USER, TRUE),
        lambda: expression.expression_amplitude(*(x.flatten(0, 1).numpy() for x in (GENERATED, TRUE + USER, TRUE))),
    ),
    "sid": (SID, {"k": 15}, (GENERATED,), lambda: in_table(sid, "sid")),
    "sid_normalised": (SID, {"k": 40, "normalised": True}, (GENERATED,), lambda: in_table(sid, "sid_40_20_normalised")),
}


def made(name: str):
    kind, options, *_ = CASES[name]
    return SID.fitted(TRUE.flatten(0, 1), **options) if kind is SID else kind(**options)


@pytest.mark.parametrize("name", CASES)
def test_equals_the_table_however_the_clips_come(name):
    _, _, batch, wanted = CASES[name]
    whole, halves = made(name), [made(name), made(name)]
    assert whole.higher_is_better in (True, False, None)
    assert math.isnan(whole.compute()) and whole.status == "too_few_frames"
    whole.update(*batch)
    for clip in range(CLIPS):
        halves[clip % 2].update(*(x[clip] for x in batch))  # one by one, (frames, D)
    value = float(whole.compute())
    assert whole.status == OK and value == pytest.approx(wanted(), rel=1e-5)
    merged = made(name).merge(pickle.loads(pickle.dumps(halves[1]))).merge(halves[0])
    assert float(merged.compute()) == pytest.approx(value, rel=1e-9)
    assert float(merged.gathered().compute()) == float(merged.compute())  # without processes, itself
    merged.reset()
    assert math.isnan(merged.compute())


@pytest.mark.parametrize("name", CASES)
def test_what_is_not_finite_is_no_score(name):
    metric, batch = made(name), [x.clone() for x in CASES[name][2]]
    batch[0][:, 7] = math.nan
    with np.errstate(invalid="ignore"):
        metric.update(*batch)
        assert math.isnan(metric.compute()) and metric.status == "not_finite"


@pytest.mark.parametrize("name", [n for n, case in CASES.items() if len(case[2]) > 1])
def test_other_shapes_are_refused_before_they_count(name):
    metric, batch = made(name), CASES[name][2]
    with pytest.raises(DataError, match="differ in shape"):
        metric.update(*batch[:-1], batch[-1][:, :-1])
    with pytest.raises(DataError, match="motion of shape"):
        metric.update(*(x[0, 0] for x in batch))
    assert math.isnan(metric.compute()) and metric.status == "too_few_frames"


def test_another_dimension_is_refused():
    for name in ("rpcc_dimension", "expression_correlation", "sid"):
        metric, batch = made(name), CASES[name][2]
        metric.update(*batch)
        with pytest.raises(DataError, match="dimensions"):
            metric.update(*(x[..., :5] for x in batch))


def test_a_still_face_follows_nothing_and_has_an_entropy_of_nothing():
    still = GENERATED[:, :1].expand(-1, FRAMES, -1)
    for name in ("rpcc", "rpcc_dimension"):
        metric = made(name)
        metric.update(still, TRUE, USER)
        assert float(metric.compute()) > 1  # the largest gap of every dimension
    metric = ExpressionCorrelation()
    metric.update(torch.zeros_like(TRUE), TRUE)
    assert float(metric.compute()) == 0
    amplitude = ExpressionAmplitude()
    amplitude.update(torch.zeros_like(TRUE), TRUE, TRUE)
    assert float(amplitude.compute()) == 0
    entropy = made("sid")
    entropy.update(still[0])
    assert float(entropy.compute()) == 0 and entropy.own > 2


def test_clusters_must_be_there_and_the_same():
    with pytest.raises(DataError, match="has no 15 clusters"):
        SID.fitted(TRUE[0, :9], 15)
    with pytest.raises(DataError, match="not \\(states, k, D\\)"):
        SID(torch.zeros(15))
    one, other = made("sid"), SID.fitted(USER.flatten(0, 1), 15)
    with pytest.raises(DataError, match="different centres"):
        one.merge(other)


def worker(rank: int, file: str, folder: str) -> None:
    """One of two processes: sees every other clip, gathers, and writes what it then finds."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=2)
    found = {}
    for name, (_, _, batch, _) in CASES.items():
        metric = made(name)
        metric.update(*(x[rank::2] for x in batch))
        alone = float(metric.compute())
        found[name] = (alone, float(metric.gathered().compute()), float(metric.compute()))
    distributed.destroy_process_group()
    torch.save(found, os.path.join(folder, f"{rank}.pt"))


def test_two_processes_find_what_one_would(tmp_path):
    multiprocessing.spawn(worker, args=(str(tmp_path / "meeting"), str(tmp_path)), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    for name, (_, _, batch, _) in CASES.items():
        metric = made(name)
        metric.update(*batch)
        for alone, together, after in (first[name], second[name]):
            assert together == pytest.approx(float(metric.compute()), rel=1e-9)
            assert after == alone != together  # gathering changes no process's own state


def test_distances_and_openings_per_clip_equal_the_tables():
    generated, true, user = (x[:3, :40, :4] for x in (GENERATED, TRUE, USER))
    clips = [[x[i].numpy() for x in (generated, true, user)] for i in range(3)]
    alone, beside = MotionFDClip(), PairedFDClip()
    alone.update(generated, true)
    for i in range(3):
        beside.update(generated[i], true[i], user[i])
    assert float(alone.compute()) == pytest.approx(np.mean([motion_fd.motion_fd(g, t) for g, t, _ in clips]))
    assert float(beside.compute()) == pytest.approx(np.mean([paired_fd.paired_fd(*clip) for clip in clips]))
    beside.reset()
    beside.update(generated[:, :15], true[:, :15], user[:, :15])
    assert math.isnan(beside.compute()) and beside.undefined == {"too_few_frames": 3}

    counted = torch.arange(40).expand(3, 40) < torch.tensor([[30], [40], [9]])
    metric = LipOpeningError()
    metric.update(generated[..., 0], true[..., 0], counted)
    gaps = (generated[..., 0].double() - true[..., 0].double()).abs()
    assert float(metric.compute()) == pytest.approx(float((gaps[0, :30].mean() + gaps[1].mean()) / 2))
    assert metric.undefined == {"too_few_frames": 1} and not metric.higher_is_better
    with pytest.raises(DataError, match="differ in shape"):
        metric.update(generated[..., 0], true[..., 0], counted[:2])
