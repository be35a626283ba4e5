"""The chunked scan equals the recurrence, forward and backward, at any length."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from echo_model.model import ssm
from echo_model.model.ssm import Mamba, scan_chunked, scan_sequential


def inputs(length, seed):
    g = torch.Generator().manual_seed(seed)
    x, b, c = (torch.randn(2, length, *shape, generator=g, dtype=torch.float64) for shape in ((3, 4), (5,), (5,)))
    decay = -torch.rand(2, length, 3, generator=g, dtype=torch.float64)
    return [tensor.requires_grad_() for tensor in (x, decay, b, c)]


@settings(max_examples=20, deadline=None)
@given(length=st.integers(1, 150), chunk=st.sampled_from([1, 8, 64]), seed=st.integers(0, 99), carried=st.booleans())
def test_chunked_equals_sequential(length, chunk, seed, carried):
    leaves = inputs(length, seed)
    before = torch.randn(2, 3, 5, 4, dtype=torch.float64, requires_grad=True) if carried else None
    (fast, after), (slow, wanted) = scan_chunked(*leaves, before, chunk=chunk), scan_sequential(*leaves, before)
    torch.testing.assert_close(fast, slow, rtol=0, atol=1e-10)
    torch.testing.assert_close(after, wanted, rtol=0, atol=1e-10)
    weight, leaves = torch.randn_like(slow), [*leaves, *([before] if carried else [])]
    for ours, theirs in zip(
        torch.autograd.grad((fast * weight).sum() + after.sum(), leaves),
        torch.autograd.grad((slow * weight).sum() + wanted.sum(), leaves),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)


def test_long_sequences_are_scanned_in_segments(monkeypatch):
    monkeypatch.setattr(ssm, "SEGMENT", 32)
    leaves = inputs(150, 1)
    (fast, after), (slow, wanted) = scan_chunked(*leaves, chunk=8), scan_sequential(*leaves)
    torch.testing.assert_close(fast, slow, rtol=0, atol=1e-10)
    torch.testing.assert_close(after, wanted, rtol=0, atol=1e-10)
    ours, theirs = (torch.autograd.grad(y.square().sum() + h.sum(), leaves) for y, h in ((fast, after), (slow, wanted)))
    for our, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(our, their, rtol=0, atol=1e-10)


def test_memory_kept_for_backward_is_the_inputs_and_one_state_a_segment(monkeypatch):
    monkeypatch.setattr(ssm, "SEGMENT", 32)
    leaves, kept = inputs(150, 1), []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):
        scan_chunked(*leaves, chunk=8)
    assert sum(kept) <= sum(leaf.numel() for leaf in leaves) + 5 * 2 * 3 * 5 * 4


def test_autocast_does_not_coarsen_the_scan():
    leaves = [leaf.detach().float() for leaf in inputs(40, 2)]
    with torch.autocast("cpu", torch.bfloat16):
        fast = scan_chunked(*leaves)[0]
    torch.testing.assert_close(fast, scan_sequential(*leaves)[0], rtol=1e-5, atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(cuts=st.lists(st.integers(1, 40), min_size=1, max_size=4), seed=st.integers(0, 99))
def test_a_mamba_layer_in_pieces_equals_one_pass(cuts, seed):
    torch.manual_seed(seed)
    layer, x, state = Mamba(32).double(), torch.randn(2, sum(cuts), 32, dtype=torch.float64), None
    parts = []
    for piece in x.split(cuts, 1):
        y, state = layer.advance(piece, state)
        parts.append(y)
    torch.testing.assert_close(torch.cat(parts, 1), layer(x), rtol=0, atol=1e-10)


def test_the_fused_kernel_is_given_its_own_layout(monkeypatch):
    """A stand-in with the layout of mamba_ssm's kernel, computed by the recurrence, gives the same."""

    def kernel(x, dt, a, b, c, chunk_size, initial_states, return_final_states):
        y, h = scan_sequential(x * dt[..., None], dt * a, b[:, :, 0], c[:, :, 0], initial_states.transpose(-1, -2))
        return y, h.transpose(-1, -2).contiguous()

    x, decay, b, c = inputs(50, 0)
    before, dt, a = torch.randn(2, 3, 5, 4, dtype=torch.float64), -decay, -torch.rand(3, dtype=torch.float64)
    expected = ssm.scan(x, dt, a, b, c, before)
    monkeypatch.setattr(ssm, "mamba_chunk_scan_combined", kernel)
    monkeypatch.setattr(ssm, "fused", lambda x: True)
    for ours, theirs in zip(ssm.scan(x, dt, a, b, c, before), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)


def test_mamba_is_causal():
    torch.manual_seed(0)
    layer, x = Mamba(32), torch.randn(1, 50, 32)
    changed = x.clone()
    changed[:, 30:] += 1
    before, after = layer(x), layer(changed)
    torch.testing.assert_close(before[:, :30], after[:, :30])
    assert (before[:, 30:] - after[:, 30:]).abs().max() > 1e-3
