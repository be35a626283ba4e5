"""The Mamba-2 state-space scan (SSD, Dao and Gu 2024), chunked, in plain PyTorch, and the layer around it."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

try:  # the fused CUDA kernel, where it is installed
    from mamba_ssm.ops.triton.ssd_combined import mamba_chunk_scan_combined
except ImportError:
    mamba_chunk_scan_combined = None


SEGMENT = 2048  # steps scanned together: the temporaries of longer ones fall out of a CPU's cache


class ScanState(NamedTuple):
    """All a Mamba layer remembers of its past; its size does not depend on how long that was."""

    conv: Tensor  # (batch, kernel - 1, channels): what the convolution still needs
    ssm: Tensor  # (batch, heads, state, channels): h_t


def scan_sequential(
    x: Tensor, log_decay: Tensor, b: Tensor, c: Tensor, state: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The recurrence as written: h_t = exp(log_decay_t) h_{t-1} + b_t x_t^T,  y_t = c_t h_t. The tests' reference.

    x: (batch, length, heads, channels); log_decay: (batch, length, heads), at most 0; b, c: (batch, length, state);
    state: h before the first step (batch, heads, state, channels), zero if None. Returns y and the last h.
    """
    if state is None:
        state = x.new_zeros(x.shape[0], x.shape[2], b.shape[-1], x.shape[3])
    outputs = []
    for x_t, a_t, b_t, c_t in zip(x.unbind(1), log_decay.unbind(1), b.unbind(1), c.unbind(1), strict=True):
        state = state * a_t.exp()[:, :, None, None] + torch.einsum("bn,bhp->bhnp", b_t, x_t)
        outputs.append(torch.einsum("bn,bhnp->bhp", c_t, state))
    return torch.stack(outputs, 1), state


def scan_chunked(
    x: Tensor, log_decay: Tensor, b: Tensor, c: Tensor, state: Tensor | None = None, chunk: int = 32
) -> tuple[Tensor, Tensor]:
    """The same as `scan_sequential`, in matrix products: quadratic inside a chunk, linear across chunks."""
    length = x.shape[1]
    if length > SEGMENT:
        outputs = []
        for part in zip(*(tensor.split(SEGMENT, 1) for tensor in (x, log_decay, b, c)), strict=True):
            y, state = scan_chunked(*part, state, chunk)
            outputs.append(y)
        return torch.cat(outputs, 1), state
    pad = -length % chunk
    if pad:  # zeros after the end change nothing before it, and a decay of one keeps the state
        x, b, c = F.pad(x, (0, 0, 0, 0, 0, pad)), F.pad(b, (0, 0, 0, pad)), F.pad(c, (0, 0, 0, pad))
        log_decay = F.pad(log_decay, (0, 0, 0, pad))
    x = rearrange(x, "b (k q) h p -> b k h q p", q=chunk)
    decay = rearrange(log_decay, "b (k q) h -> b k h q", q=chunk).cumsum(-1)
    b = rearrange(b, "b (k q) n -> b k 1 q n", q=chunk)
    c = rearrange(c, "b (k q) n -> b k 1 q n", q=chunk)
    causal = torch.ones(chunk, chunk, dtype=torch.bool, device=x.device).tril()
    weights = (decay[..., :, None] - decay[..., None, :]).masked_fill(~causal, float("-inf")).exp()
    y = ((c @ b.transpose(-1, -2)) * weights) @ x
    states = (b * (decay[..., -1:] - decay).exp()[..., None]).transpose(-1, -2) @ x  # (b, k, h, n, p)
    carried = []
    state = torch.zeros_like(states[:, 0]) if state is None else state
    for chunk_state, kept in zip(states.unbind(1), decay[..., -1, None, None].exp().unbind(1), strict=True):
        carried.append(state)
        state = torch.addcmul(chunk_state, state, kept)
    y = y + (c * decay.exp()[..., None]) @ torch.stack(carried, 1)
    return rearrange(y, "b k h q p -> b (k q) h p")[:, :length], state


def fused(x: Tensor) -> bool:
    """Whether the CUDA kernel can and shall do it."""
    return mamba_chunk_scan_combined is not None and x.is_cuda


def scan(x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The selective scan with steps dt (batch, length, heads) and rates a (heads,), below 0.

    On CUDA with `mamba_ssm` installed its fused kernel does it; both give the same to rounding.
    """
    if fused(x):
        before = None if state is None else state.transpose(-1, -2).contiguous()
        b, c = b[:, :, None].contiguous(), c[:, :, None].contiguous()  # one group
        y, after = mamba_chunk_scan_combined(
            x.contiguous(), dt.contiguous(), a, b, c, chunk_size=64, initial_states=before, return_final_states=True
        )
        return y, after.transpose(-1, -2)
    return scan_chunked(x * dt[..., None], dt * a, b, c, state)


class Mamba(nn.Module):
    """One Mamba-2 mixer: gated, causal in its sequence, (batch, length, d) -> (batch, length, d)."""

    def __init__(self, d: int, state: int = 16, expand: int = 1, head: int = 32, kernel: int = 4):
        super().__init__()
        self.inner, self.state, self.head = expand * d, state, head
        self.heads = self.inner // head
        if self.inner % head:
            raise ValueError(f"The inner width {self.inner} must be divisible by the head width {head}")
        self.in_proj = nn.Linear(d, 2 * self.inner + 2 * state + self.heads, bias=False)
        self.conv = nn.Conv1d(self.inner + 2 * state, self.inner + 2 * state, kernel, groups=self.inner + 2 * state)
        self.log_a = nn.Parameter(torch.linspace(1.0, 16.0, self.heads).log())
        steps = torch.exp(torch.linspace(-6.9, -2.3, self.heads))  # 0.001 to 0.1, as in Mamba
        self.dt_bias = nn.Parameter(steps + torch.log(-torch.expm1(-steps)))  # inverse softplus
        self.skip = nn.Parameter(torch.ones(self.heads))
        self.norm = nn.RMSNorm(self.inner)
        self.out_proj = nn.Linear(self.inner, d, bias=False)

    def forward(self, u: Tensor) -> Tensor:
        return self.advance(u, None)[0]

    def advance(self, u: Tensor, state: ScanState | None) -> tuple[Tensor, ScanState]:
        """Outputs of the steps `u` that follow on `state` (None: on nothing), and the state after them."""
        gate, mixed, dt = self.in_proj(u).split([self.inner, self.inner + 2 * self.state, self.heads], -1)
        kernel = self.conv.weight.shape[-1]
        before = mixed.new_zeros(len(u), kernel - 1, mixed.shape[-1]) if state is None else state.conv
        seen = torch.cat([before.to(mixed.dtype), mixed], 1)
        mixed = F.silu(self.conv(seen.transpose(1, 2)).transpose(1, 2))
        x, b, c = mixed.split([self.inner, self.state, self.state], -1)
        x = rearrange(x, "b l (h p) -> b l h p", p=self.head)
        dt = F.softplus(dt + self.dt_bias)
        y, h = scan(x, dt, -self.log_a.exp(), b, c, None if state is None else state.ssm)
        y = y + self.skip[:, None] * x
        y = self.out_proj(self.norm(rearrange(y, "b l h p -> b l (h p)") * F.silu(gate)))
        return y, ScanState(seen[:, 1 - kernel :], h)
