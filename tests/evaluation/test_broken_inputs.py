"""No input of any metric can turn NaN into a score: planted in each array that a metric may read, anywhere in it."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_statuses import TOOLS, make_clip

from evaluation.cards import OK
from evaluation.metrics._series import Undefined
from evaluation.metrics.expression.expression import expression_amplitude, valence_accuracy
from evaluation.metrics.motion.rpcc import rpcc, rpcc_pooled
from evaluation.run import measure
from evaluation.torch_metrics import RPCC

FIELDS = ("motion_generated", "motion_true", "motion_user", "motion_reference", "image_generated", "image_true")
TRUTHS = ("avatar", "expected", "user")
FEATURES = tuple(make_clip().features)
PLACES = (*FIELDS, *(f"truth.{name}" for name in TRUTHS), *(f"features.{name}" for name in FEATURES))


def scores(clip) -> dict[tuple[str, str, str], tuple[float, str]]:
    with np.errstate(all="ignore"):
        rows, _ = measure(iter([clip]), TOOLS)
    return {(where, value.metric, value.part): (value.value, value.status) for where, value in rows}


CLEAN = {}


def broken(place: str, at: float, value: float):
    """A clip with one number of one array, that at the share `at` of its length, replaced."""
    clip = make_clip()
    kind, _, name = place.rpartition(".")
    array = {"": getattr(clip, name, None), "truth": getattr(clip.truth, name, None)}.get(kind, clip.features.get(name))
    array = np.array(array, np.float64 if kind == "features" else np.float32)
    array.reshape(-1)[int(at * array.size)] = value
    if kind == "truth":
        clip.truth = replace(clip.truth, **{name: array})
    elif kind == "features":
        clip.features = clip.features | {name: array}
    else:
        setattr(clip, name, array)
    return clip


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(PLACES), st.floats(0, 0.999), st.sampled_from([math.nan, math.inf]))
def test_a_number_that_is_none_is_in_no_score(place, at, value):
    """A metric either does not read it, and has the value of the whole clip, or has a status."""
    if not CLEAN:
        CLEAN.update(scores(make_clip()))
    for key, (score, status) in scores(broken(place, at, value)).items():
        assert math.isfinite(score) == (status == OK), key
        if status == OK:
            assert score == CLEAN[key][0] and CLEAN[key][1] == OK, (key, place)


@pytest.mark.parametrize("metric", [valence_accuracy, expression_amplitude, rpcc, rpcc_pooled, RPCC])
def test_each_input_of_a_metric_may_be_broken(metric):
    """One number in one dimension of one input, which a comparison or a choice of dimensions would pass over."""
    rng = np.random.default_rng(0)
    count, shape = (2, (60,)) if metric is valence_accuracy else (3, (60, 3))
    whole = [rng.standard_normal(shape) for _ in range(count)]
    for place in range(count):
        arrays = [array.copy() for array in whole]
        arrays[place].reshape(60, -1)[7, -1] = math.nan
        if metric is RPCC:
            running = RPCC()
            running.update(*(torch.from_numpy(array) for array in arrays))
            assert math.isnan(running.compute()) and running.status == "not_finite"
            continue
        assert math.isfinite(metric(*whole))
        with pytest.raises(Undefined) as failure:
            metric(*arrays)
        assert failure.value.status == "not_finite"
