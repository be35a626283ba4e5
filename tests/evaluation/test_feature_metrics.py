"""FID, FVD and CSIM as functions of features: closed forms, counts, the bias of few samples, what was not read."""

import math

import numpy as np
import pytest

from evaluation.clips import Clip
from evaluation.metrics._features import cosines, feature_frechet, features
from evaluation.metrics._series import Undefined
from evaluation.metrics.pictures import csim, fid, fvd
from evaluation.readings.clip import Tools
from evaluation.registry import cards


def clips(found: list[dict[str, np.ndarray]]) -> list[Clip]:
    return [Clip(f"c{k}", 1, "ok", np.ones(1, bool), features=features) for k, features in enumerate(found)]


def drawn(seed: int, count: int = 12, size: int = 20, dims: int = 8, shift: float = 0.0, name: str = "i3d"):
    """Features of equal Gaussians, the generated ones moved by `shift` in every dimension."""
    rng = np.random.default_rng(seed)
    return clips(
        [
            {
                f"{name}_generated": shift + rng.normal(size=(size, dims)),
                f"{name}_true": rng.normal(size=(size, dims)),
            }
            for _ in range(count)
        ]
    )


def by_part(values) -> dict[str, float]:
    return {value.part: value.value for value in values}


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_extrapolation_takes_the_bias_of_few_samples_away(shift):
    sets = [drawn(seed, size=10, shift=shift) for seed in range(16)]
    found = [by_part(feature_frechet("fvd", "window", "i3d", clips, 2)) for clips in sets]
    plain, infinite = (np.mean([value[name] for value in found]) for name in ("window", "window_extrapolated"))
    true = 8 * shift**2
    assert plain > true + 0.1  # 120 samples of 8 dimensions
    assert abs(infinite - true) < 0.3 * (plain - true)
    assert {value["window_count"] for value in found} == {120.0}


def test_a_distance_of_features_is_in_closed_form():
    """Equal spread, moved by a vector: the square of its length, whatever the spread."""
    rng = np.random.default_rng(0)
    true = rng.normal(size=(300, 6)) @ rng.normal(size=(6, 6))
    moved = clips([{"inception_true": true, "inception_generated": true + np.arange(6)}])
    assert by_part(fid.set_values(moved, Tools()))["frame"] == pytest.approx(55, rel=1e-6)


def test_too_few_samples_give_the_count_and_no_distance():
    few = drawn(0, count=2, size=20, name="inception")
    found = {value.part: value for value in feature_frechet("fid", "frame", "inception", few, fid.MINIMUM)}
    assert found["frame_count"].value == 40.0
    assert found["frame"].status == found["frame_extrapolated"].status == "too_few_frames"


def test_one_reader_missing_leaves_the_other_its_values():
    found = {(value.metric, value.part): value for value in fvd.set_values(drawn(1, dims=4, name="video"), Tools())}
    assert set(found) == {(card.name, part) for card in fvd.CARDS for part in card.all_parts}
    assert {value.status for (metric, _), value in found.items() if metric == "fvd"} == {"weights_missing"}
    assert math.isfinite(found["fvd_small", "window"].value) and found["fvd_small", "window_count"].value == 240.0


def test_cosines_in_closed_form():
    a = np.array([[1.0, 0.0], [0.0, 2.0]])
    assert cosines(a, np.array([3.0, 3.0])) == pytest.approx(math.sqrt(0.5))
    assert cosines(a, -5 * a) == pytest.approx(-1) and cosines(a, a[::-1]) == pytest.approx(0)
    for wrong, status in ((np.zeros((2, 2)), "not_finite"), (a * math.nan, "not_finite"), (a[:0], "too_few_frames")):
        with pytest.raises(Undefined, match=status):
            cosines(wrong, np.ones(2))


def test_csim_compares_with_the_reference_and_with_the_frame():
    person, other = np.eye(3)[:2]
    clip = clips(
        [
            {
                "identity_generated": np.stack([person, person + other]),
                "identity_true": np.stack([person, other]),
                "identity_reference": person,
            }
        ]
    )[0]
    found = {value.metric: value for value in csim.clip_values(clip, Tools())}
    assert found["csim_small"].value == pytest.approx((1 + math.sqrt(0.5)) / 2)
    assert found["csim_frame_small"].value == pytest.approx((1 + math.sqrt(0.5)) / 2)
    clip.features["identity_true"] = np.stack([other, other])
    again = {value.metric: value for value in csim.clip_values(clip, Tools())}
    assert again["csim_frame_small"].value == pytest.approx(math.sqrt(0.5) / 2)
    assert again["csim_small"] == found["csim_small"]
    assert {again[name].status for name in ("csim", "csim_frame")} == {"weights_missing"}


def test_features_of_a_reader_that_was_not_there_are_undefined():
    clip = clips([{"video_true": np.zeros((0, 32))}])[0]
    assert features(clip, "video", "true").shape == (0, 32)
    with pytest.raises(Undefined, match="weights_missing"):
        features(clip, "video", "generated")


def test_small_probes_never_carry_the_plain_name():
    for name, card in cards().items():
        ours = "probe of this study" in " ".join(card.disagreements)
        assert ours == ("_small" in name), name
        assert not ours or "probe" in card.label


def test_faces_that_a_reader_did_not_find_are_left_out_of_its_csim_up_to_half():
    """Frames without a face are NaN for dlib's network; where most lack one there is no value."""
    from types import SimpleNamespace

    from evaluation.metrics.pictures.csim import clip_values

    def values(lost: int) -> dict:
        generated = np.tile(np.array([3.0, 4.0]), (6, 1))
        generated[:lost] = np.nan
        read = {
            "dlib_generated": generated,
            "dlib_true": np.tile([3.0, 4.0], (6, 1)),
            "dlib_reference": np.array([4.0, 3.0]),
        }
        return {value.metric: value for value in clip_values(SimpleNamespace(features=read), None)}

    found = values(2)
    assert found["csim_frame_dlib"].value == pytest.approx(1) and found["csim_dlib"].value == pytest.approx(24 / 25)
    assert values(4)["csim_dlib"].status == values(4)["csim_frame_dlib"].status == "no_face"
    assert found["csim"].status == "weights_missing"
