"""Set metrics from sums: the same values as the metrics themselves, on the whole set and on any part of it."""

import math

import numpy as np
import pytest
from readings_file import META, readings

from evaluation.readings.clip import Tools
from evaluation.readings.set_level import METRICS, set_metric
from evaluation.readings.talking_listening import cut, masked
from evaluation.registry import cards, modules


def as_clips(found):
    """Clips for the metrics' own modules: every frame counts as spoken, so that `cut` keeps all."""
    spoken = {name: clip | {"speaking": np.ones(len(clip["speaking"]))} for name, clip in found.items()}
    clips = [cut(name, clip, masked(clip, "talking"), META, "talking") for name, clip in spoken.items()]
    for clip in clips:  # windows of video are never cut
        clip.features = {key: found[clip.dyad_id][key] for key in ("video_generated", "video_true")}
    return clips


def by_module(found, metric):
    """part -> value of the metric's own module."""
    module = next(module for module in modules().values() if any(card.name == metric for card in module.CARDS))
    values = module.set_values(as_clips(found), Tools())
    return {value.part: value.value for value in values if value.metric == metric}


@pytest.mark.parametrize("metric", sorted(METRICS))
def test_the_whole_set_and_a_part_of_it_have_the_metrics_own_values(metric):
    found = readings(np.random.default_rng(0), frames=80)
    known = by_module(found, metric)
    part = {name: clip for name, clip in found.items() if name not in ("c1", "c4")}
    fewer = by_module(part, metric)
    without = [[float(name in part) for name in found]]
    for name in cards()[metric].parts:
        sums = set_metric(metric, name, found, META)
        value = lambda weights, sums=sums: float(sums.value(np.array(weights) @ sums.cells)[0])  # noqa: E731
        assert value(np.ones((1, len(found)))) == pytest.approx(known[name], rel=1e-4, nan_ok=True)
        if not metric.startswith("sid"):  # whose clusters stay those of the whole set
            assert value(without) == pytest.approx(fewer[name], rel=1e-4, nan_ok=True)
        if cards()[metric].direction == "truth":
            truth = float(sums.truth(np.ones((1, len(found))) @ sums.cells)[0])
            assert truth == pytest.approx(known[f"{name}_truth"], rel=1e-4)
            assert sums.at(np.ones(len(found)))[0] == pytest.approx(abs(known[name] - truth), abs=1e-4)


def test_a_clip_drawn_twice_counts_twice():
    found = readings(np.random.default_rng(1), clips=4)
    doubled = {f"{name}{copy}": clip for name, clip in found.items() for copy in "ab"}
    for metric in ("expression_correlation", "expression_amplitude", "expression_valence"):
        part = cards()[metric].parts[0]
        one, two = set_metric(metric, part, found, META), set_metric(metric, part, doubled, META)
        assert one.at(np.full(4, 2.0))[0] == pytest.approx(two.at(np.ones(8))[0])


def test_what_cannot_be_computed_is_nan_or_none():
    found = readings(np.random.default_rng(2), clips=3)
    still = {name: clip | {"generated": np.zeros_like(clip["generated"])} for name, clip in found.items()}
    assert set_metric("expression_correlation", "all", still, META).at(np.ones(3))[0] == 0  # it follows nothing
    assert math.isnan(set_metric("fid_small", "frame", found, META).at(np.zeros(3))[0])
    assert set_metric("psnr", "frame", found, META) is None and set_metric("fid_small", "frame", {}, META) is None
    assert set_metric("sid", "expression", found, META | {"names": []}) is None
    recorded = {name: {k: v for k, v in clip.items() if k not in ("truth", "expected")} for name, clip in found.items()}
    assert set_metric("expression_amplitude", "all", recorded, META) is None
    assert set_metric("motion_fd_pooled", "pose", recorded, META) is not None


def test_readings_without_names_break_no_metric_of_the_set():
    """A reader without names (PCA): what asks for a part that it does not know is absent, nothing raises."""
    g = np.random.default_rng(0)
    clips = {
        f"clip{k}": {
            **{key: g.normal(size=(60, 5)) for key in ("generated", "true", "user")},
            **{
                f"{name}_{side}": g.normal(size=(60, 4))
                for name in ("image", "video")
                for side in ("generated", "true")
            },
            "reference": g.normal(size=5),
            "speaking": np.ones(60, np.uint8),
        }
        for k in range(6)
    }
    for name in METRICS:
        for part in ("all", "expression", "pose", "smile", "frame", "window"):
            set_metric(name, part, clips, {"names": []})  # None, or sums
    assert set_metric("motion_fd_pooled", "all", clips, {"names": []}) is not None
    assert set_metric("expression_correlation", "all", clips, {"names": []}) is None
