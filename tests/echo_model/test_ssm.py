"""The chunked scan equals the recurrence, forward and backward, at any length."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from echo_model.ssm import Mamba, scan_chunked, scan_sequential


def inputs(length, seed):
    g = torch.Generator().manual_seed(seed)
    x, b, c = (torch.randn(2, length, *shape, generator=g, dtype=torch.float64) for shape in ((3, 4), (5,), (5,)))
    decay = -torch.rand(2, length, 3, generator=g, dtype=torch.float64)
    return [tensor.requires_grad_() for tensor in (x, decay, b, c)]


@settings(max_examples=15, deadline=None)
@given(length=st.integers(1, 70), chunk=st.sampled_from([1, 8, 32]), seed=st.integers(0, 99))
def test_chunked_equals_sequential(length, chunk, seed):
    leaves = inputs(length, seed)
    fast, slow = scan_chunked(*leaves, chunk=chunk), scan_sequential(*leaves)
    torch.testing.assert_close(fast, slow, rtol=0, atol=1e-10)
    weight = torch.randn_like(slow)
    for ours, theirs in zip(
        torch.autograd.grad((fast * weight).sum(), leaves, retain_graph=True),
        torch.autograd.grad((slow * weight).sum(), leaves),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)


def test_mamba_is_causal():
    torch.manual_seed(0)
    layer, x = Mamba(32), torch.randn(1, 50, 32)
    changed = x.clone()
    changed[:, 30:] += 1
    before, after = layer(x), layer(changed)
    torch.testing.assert_close(before[:, :30], after[:, :30])
    assert (before[:, 30:] - after[:, 30:]).abs().max() > 1e-3
