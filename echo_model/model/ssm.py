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


SEGMENT = 512  # steps computed together: the temporaries of more fall out of a CPU's cache


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


class Chunks(NamedTuple):
    """A segment cut into k chunks of q steps, and what forward and backward both need of it."""

    x: Tensor  # (b, k, h, q, p)
    b: Tensor  # (b, k, 1, q, n)
    c: Tensor  # (b, k, 1, q, n)
    weights: Tensor  # exp(s_i - s_j) for j <= i, else 0: (b, k, h, q, q); s is the summed log decay of a chunk
    since: Tensor  # exp(s_i), what is left of the state before the chunk: (b, k, h, q, 1)
    until: Tensor  # exp(s_last - s_j), what is left of step j at the chunk's end: (b, k, h, q, 1)


def cut(x: Tensor, log_decay: Tensor, b: Tensor, c: Tensor, chunk: int) -> Chunks:
    """Zeros after the end change nothing before it, and a decay of one keeps the state."""
    pad = -x.shape[1] % chunk
    if pad:
        x, b, c = F.pad(x, (0, 0, 0, 0, 0, pad)), F.pad(b, (0, 0, 0, pad)), F.pad(c, (0, 0, 0, pad))
        log_decay = F.pad(log_decay, (0, 0, 0, pad))
    s = rearrange(log_decay, "b (k q) h -> b k h q", q=chunk).cumsum(-1)
    future = torch.ones(chunk, chunk, dtype=torch.bool, device=x.device).triu(1)
    return Chunks(
        rearrange(x, "b (k q) h p -> b k h q p", q=chunk),
        rearrange(b, "b (k q) n -> b k 1 q n", q=chunk),
        rearrange(c, "b (k q) n -> b k 1 q n", q=chunk),
        (s[..., :, None] - s[..., None, :]).masked_fill_(future, float("-inf")).exp_(),
        s.exp()[..., None],
        (s[..., -1:] - s).exp()[..., None],
    )


def carry_over(chunks: Chunks, state: Tensor) -> tuple[Tensor, Tensor]:
    """States before each chunk, (b, k, h, n, p), and the one after the last."""
    added = (chunks.b * chunks.until).transpose(-1, -2) @ chunks.x
    before = []
    for new, kept in zip(added.unbind(1), chunks.since[:, :, :, -1:].unbind(1), strict=True):
        before.append(state)
        state = torch.addcmul(new, state, kept)
    return torch.stack(before, 1), state


def segments(length: int) -> list[slice]:
    return [slice(k, min(k + SEGMENT, length)) for k in range(0, length, SEGMENT)]


class ChunkedScan(torch.autograd.Function):
    """`scan_chunked`, differentiated by hand: backward keeps the inputs and one state a segment, and cuts anew.

    Autograd would keep every chunk's weights, whose fresh memory costs more than computing them a second time.
    """

    @staticmethod
    def forward(ctx, x, log_decay, b, c, state, chunk):
        ctx.chunk, starts, y = chunk, [], torch.empty_like(x)
        for part in segments(x.shape[1]):
            starts.append(state)
            chunks = cut(*(tensor[:, part] for tensor in (x, log_decay, b, c)), chunk)
            before, state = carry_over(chunks, state)
            inside = ((chunks.c @ chunks.b.transpose(-1, -2)) * chunks.weights) @ chunks.x
            out = inside + (chunks.c * chunks.since) @ before
            y[:, part] = rearrange(out, "b k h q p -> b (k q) h p")[:, : part.stop - part.start]
        ctx.save_for_backward(x, log_decay, b, c, *starts)
        return y, state

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, dy, dstate):
        x, log_decay, b, c, *starts = ctx.saved_tensors
        grads = [torch.empty_like(tensor) for tensor in (x, log_decay, b, c)]
        for part, state in zip(reversed(segments(x.shape[1])), reversed(starts), strict=True):
            piece = [tensor[:, part] for tensor in (x, log_decay, b, c)]
            *found, dstate = segment_gradients(*piece, state, dy[:, part], dstate, ctx.chunk)
            for whole, own in zip(grads, found, strict=True):
                whole[:, part] = own
        return *grads, dstate, None


def segment_gradients(x, log_decay, b, c, state, dy, dstate, chunk) -> tuple[Tensor, ...]:
    """Gradients of one segment with respect to x, log_decay, b, c and the state before it."""
    length, chunks = x.shape[1], cut(x, log_decay, b, c, chunk)
    before, _ = carry_over(chunks, state)
    x, b, c, weights, since, until = chunks
    dy = F.pad(dy, (0, 0, 0, 0, 0, -length % chunk))
    dy = rearrange(dy, "b (k q) h p -> b k h q p", q=chunk)
    read = (c * since).transpose(-1, -2) @ dy  # gradients of the states before each chunk, through y
    kept, dkept, dadded = since[:, :, :, -1:], [], []
    for k in reversed(range(x.shape[1])):
        dadded.append(dstate)
        dkept.append((dstate * before[:, k]).sum((-1, -2)))
        dstate = torch.addcmul(read[:, k], dstate, kept[:, k])
    dadded, dkept = torch.stack(dadded[::-1], 1), torch.stack(dkept[::-1], 1)
    scores = c @ b.transpose(-1, -2)
    dscores = (dy @ x.transpose(-1, -2)).mul_(weights)  # per head, with respect to c b^T
    dx = (scores * weights).transpose(-1, -2) @ dy + (b * until) @ dadded
    dsum = dscores.sum(2, keepdim=True)
    dlogs = dscores.mul_(scores)  # with respect to s_i - s_j
    dc_off = (dy @ before.transpose(-1, -2)) * since
    db_off = (x @ dadded.transpose(-1, -2)) * until
    dc = (dsum @ b + dc_off.sum(2, keepdim=True))[:, :, 0]
    db = (dsum.transpose(-1, -2) @ c + db_off.sum(2, keepdim=True))[:, :, 0]
    faded = (db_off * b).sum(-1)
    ds = dlogs.sum(-1) - dlogs.sum(-2) + (dc_off * c).sum(-1) - faded
    ds[..., -1] += faded.sum(-1) + dkept * kept[..., 0, 0]
    dlog = ds.flip(-1).cumsum(-1).flip(-1)
    dx, dlog = rearrange(dx, "b k h q p -> b (k q) h p"), rearrange(dlog, "b k h q -> b (k q) h")
    db, dc = (rearrange(grad, "b k q n -> b (k q) n") for grad in (db, dc))
    return *(grad[:, :length] for grad in (dx, dlog, db, dc)), dstate


def scan_chunked(
    x: Tensor, log_decay: Tensor, b: Tensor, c: Tensor, state: Tensor | None = None, chunk: int = 32
) -> tuple[Tensor, Tensor]:
    """The same as `scan_sequential`, in matrix products: quadratic inside a chunk, linear across chunks.

    At least in single precision, whatever autocast says: a state is a long sum.
    """
    if state is None:
        state = x.new_zeros(x.shape[0], x.shape[2], b.shape[-1], x.shape[3])
    dtype = torch.promote_types(x.dtype, torch.float32)
    with torch.autocast("cpu" if x.is_meta else x.device.type, enabled=False):  # a plan counts without a device
        return ChunkedScan.apply(*(tensor.to(dtype) for tensor in (x, log_decay, b, c, state)), chunk)


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
