"""Every metric has a complete card, and the registry finds each once."""

import math

import pytest

from evaluation.cards import OK, STATUSES, MetricCard, truth_part, undefined
from evaluation.registry import cards, modules

CONTROLS = {
    "ground_truth", "vae_round_trip", "frozen_reference", "shuffled_partner", "time_shifted_audio", "oracle_expression",
    "hard_cuts",
}  # fmt: skip


def test_the_metrics_of_the_plan_are_there():
    wanted = {
        "ssim", "psnr", "motion_mse", "motion_fd_pooled", "motion_fd_clip", "rpcc", "rpcc_pooled", "sid",
        "sid_normalised", "var", "fid_small", "mouth_opening_correlation", "expression_correlation",
        "expression_amplitude", "expression_valence", "fid", "fvd", "fvd_small",
        "csim", "csim_frame", "csim_small", "csim_frame_small",
        "lpips", "lpips_small", "lse_d", "lse_c", "lse_offset", "lse_coverage", "lse_d_whole", "lse_c_whole",
        "lse_offset_whole", "lse_d_face", "lse_c_face", "lse_offset_face", "lse_coverage_face", "lse_d_small",
        "lse_c_small", "lse_offset_small", "lse_coverage_small", "lse_d_small_whole", "lse_c_small_whole",
        "lse_offset_small_whole",
        "rpcc_clip", "rpcc_dimension", "sid_40_20", "sid_40_20_normalised", "var_flat", "paired_fd_pooled",
        "paired_fd_clip", "sts", "sts_pooled", "lip_opening_error", "e_consis", "latency", "frames_per_second",
        "clip_border", "shake", "nod_correlation", "nod_delay",
    }  # fmt: skip
    assert wanted <= set(cards())


@pytest.mark.parametrize("card", cards().values(), ids=lambda card: card.name)
def test_a_card_says_everything(card: MetricCard):
    for text in (card.label, card.unit, card.protocol, card.source, card.definition, card.equation):
        assert text.strip()
    assert card.disagreements and all(text.strip() for text in card.disagreements)
    assert card.direction in ("higher", "lower", "truth") and card.per in ("clip", "set")
    assert card.range[0] < card.range[1]
    assert card.parts and len(set(card.parts)) == len(card.parts)
    assert not any(part.endswith(("_truth", "_count", "_extrapolated")) for part in card.parts)
    assert len(set(card.all_parts)) == len(card.all_parts)
    assert card.estimate == (card.per == "set" and any(word in card.name for word in ("fid", "fvd", "fd_")))
    assert set(card.separates_parts) <= set(card.parts)
    assert bool(card.separates) == bool(card.separates_parts)
    for better, worse in card.separates:
        assert better in CONTROLS and better != worse
        assert worse in CONTROLS if isinstance(worse, str) else card.range[0] <= worse <= card.range[1]
    for right, wrong in card.blind:
        assert {right, wrong} <= CONTROLS and right != wrong
        assert (right, wrong) not in card.separates, "one pair cannot be told apart and not told apart"
    assert (truth_part(card.parts[0]) in card.all_parts) == (card.direction == "truth")


@pytest.mark.parametrize("card", cards().values(), ids=lambda card: card.name)
def test_a_direction_is_a_promise_on_controls(card: MetricCard):
    """Truth before the VAE round trip before a floor; where a still face has no value, another dialogue's motion."""
    floors = {("vae_round_trip", floor) for floor in ("frozen_reference", "shuffled_partner")}
    usual = ("ground_truth", "vae_round_trip") in card.separates and bool(floors & set(card.separates))
    assert usual != bool(card.unordered), "promise the usual order, or say why not"


def test_fidelity_does_not_know_the_partner():
    for name in ("fid", "fid_small", "fvd", "fvd_small", "motion_fd_pooled", "sid", "var"):
        assert ("vae_round_trip", "shuffled_partner") in cards()[name].blind
    for name in ("motion_fd_clip", "rpcc", "rpcc_clip", "rpcc_dimension", "expression_correlation"):
        assert ("vae_round_trip", "shuffled_partner") in cards()[name].separates


def test_each_module_writes_clips_or_the_set():
    for name, module in modules().items():
        assert module.__doc__, name
        assert hasattr(module, "clip_values") or hasattr(module, "set_values"), name
        for card in module.CARDS:
            function = "set_values" if card.per == "set" else "clip_values"
            assert hasattr(module, function), f"{card.name} promises {function}"


def test_undefined_is_nan_with_a_known_reason():
    value = undefined("ssim", "frame", "missing_video")
    assert math.isnan(value.value) and value.status == "missing_video"
    for wrong in (OK, "because"):
        with pytest.raises(ValueError, match="failure status"):
            undefined("ssim", "frame", wrong)
    assert all(STATUSES.values())
