"""What the baselines share: rotary places, the noise path, modulation, and another's motion placed in a dialogue."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from baselines.controls import WithVAE
from baselines.motion.attention import RotaryAttention, rotate, rotation
from baselines.motion.noise import levels, noised
from baselines.motion.renderer import MotionRenderer, RendererOptions
from dyads.features import write_features
from echo_model.model.layers import modulate
from training.method import Resources


@given(st.integers(0, 400), st.integers(0, 400), st.integers(0, 60))
def test_rotary_products_depend_on_the_distance_only(query, key, later):
    x, speeds = torch.randn(2, 1, 1, 1, 8, generator=torch.Generator().manual_seed(0)), torch.tensor([1.0, 0.3, 0.1, 0])

    def product(q, k):
        q, k = (rotate(one, rotation(torch.tensor([at]), speeds)) for one, at in zip(x, (q, k), strict=True))
        return float((q * k).sum())

    assert product(query + later, key + later) == pytest.approx(product(query, key), abs=1e-3)


def test_places_are_told_apart_and_kept_keys_give_the_same_attention():
    torch.manual_seed(0)
    attention, speeds = RotaryAttention(16, 2), torch.tensor([1.0, 0.3, 0.1, 0.0])
    x, place = torch.randn(1, 6, 16), rotation(torch.arange(6), speeds)
    whole = attention(x, place, attention.keys(x, place))
    kept = torch.cat([attention.keys(x[:, :4], place[:, :4]), attention.keys(x[:, 4:], place[:, 4:])], 3)
    assert torch.allclose(attention(x[:, 4:], place[:, 4:], kept), whole[:, 4:], atol=1e-6)
    turned = attention(x, place, attention.keys(x, place.flip(1)))
    assert not torch.allclose(turned, whole, atol=1e-3)


def test_the_noise_path_keeps_variance_and_ends_at_data_and_noise():
    x, noise = torch.randn(2, 5, 20000, generator=torch.Generator().manual_seed(0)).unbind(0)
    times = torch.linspace(0, 1, 5)
    there = noised(x, noise, times)
    assert torch.equal(there[0], x[0]) and torch.allclose(there[-1], noise[-1], atol=1e-6)
    assert (there.var(1) - 1).abs().max() < 0.05
    for t, signal, added in zip(times.tolist(), *levels(times), strict=True):
        assert levels(t) == pytest.approx((float(signal), float(added)), abs=1e-6)


def test_modulation_is_the_batchs_or_each_tokens_own():
    draw = torch.Generator().manual_seed(1)
    x, shift, scale = (torch.randn(shape, generator=draw) for shape in ((2, 3, 4), (2, 4), (2, 4)))
    each = [value[:, None].expand(-1, 3, -1) for value in (shift, scale)]
    assert torch.equal(modulate(x, shift, scale), modulate(x, *each))
    assert torch.equal(modulate(x, shift, scale)[1, 2], x[1, 2] * (1 + scale[1]) + shift[1])


def test_the_renderer_codes_the_reference_as_zero_and_zero_as_the_reference_seen():
    torch.manual_seed(0)
    renderer = MotionRenderer(RendererOptions(size=32, width=16)).eval()
    reference, other = torch.rand(2, 1, 3, 32, 32)
    assert not renderer.encode(reference, reference).any() and renderer.encode(other, reference).abs().max() > 1e-3
    still = renderer.decode(torch.zeros(2, 20), reference)
    assert torch.allclose(still, renderer.decode_raw(renderer.origin(reference), reference).clamp(0, 1), atol=1e-5)
    basis = renderer.basis()
    assert torch.allclose(basis.T @ basis, torch.eye(20), atol=1e-5)


class Placed(WithVAE):
    """Shows the latents that would be decoded."""

    def __init__(self, features):
        self.resources = Resources(features, features)

    def decode(self, latents, dyad):
        return latents.tolist(), dyad.dyad_id

    def generate(self, dyad, seed):
        return self.borrowed(SimpleNamespace(dyad_id="other"), dyad)


@pytest.mark.parametrize(("has", "needs"), [(3, 8), (3, 2), (1, 4)])
def test_anothers_motion_runs_to_its_end_and_back(has, needs, tmp_path):
    write_features(tmp_path / "other.target.safetensors", {"avatar_latents": torch.arange(float(has))}, {})
    write_features(tmp_path / "own.safetensors", {"avatar_audio": torch.zeros(needs, 50)}, {})
    places, name = Placed(tmp_path).generate(SimpleNamespace(dyad_id="own"), 0)
    assert places == ([*range(has), *reversed(range(has))] * needs)[:needs] and name == "own"
