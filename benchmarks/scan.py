"""The state-space scan against mambapy's parallel scan and causal attention: `python -m benchmarks.scan`.

All three map (batch, length, d) to the same shape; what is timed is the mixing alone, forward and backward, with
gradients of every input. Scan and pscan keep 16 states a channel; pscan's decays are one per channel and state
(Mamba-1), ours one per head (Mamba-2): the same memory, other parametrisation. Attention has heads of 32.
"""

import argparse

import torch
import torch.nn.functional as F
from mambapy.pscan import pscan
from torch import Tensor

from benchmarks.report import alternating, show
from echo_model.model.ssm import scan_chunked

BATCH, WIDTH, STATE, HEAD = 4, 128, 16, 32


def scan_case(length: int) -> tuple[list[Tensor], callable]:
    heads = WIDTH // HEAD
    x, b, c = torch.randn(BATCH, length, heads, HEAD), *torch.randn(2, BATCH, length, STATE)
    leaves = [x, -0.1 * torch.rand(BATCH, length, heads), b, c]
    return leaves, lambda x, decay, b, c: scan_chunked(x, decay, b, c)[0]


def pscan_case(length: int) -> tuple[list[Tensor], callable]:
    x, dt = torch.randn(BATCH, length, WIDTH), 0.1 * torch.rand(BATCH, length, WIDTH)
    b, c = torch.randn(2, BATCH, length, STATE)
    a = -torch.rand(WIDTH, STATE)

    def mix(x: Tensor, dt: Tensor, b: Tensor, c: Tensor) -> Tensor:
        states = pscan(torch.exp(dt[..., None] * a), (dt * x)[..., None] * b[:, :, None])
        return (states @ c[..., None])[..., 0]

    return [x, dt, b, c], mix


def attention_case(length: int) -> tuple[list[Tensor], callable]:
    leaves = list(torch.randn(3, BATCH, WIDTH // HEAD, length, HEAD))
    return leaves, lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True)


CASES = {"scan": scan_case, "pscan": pscan_case, "attention": attention_case}


def both_ways(name: str, length: int):
    """A function that runs the case forward and backward once."""
    leaves, mix = CASES[name](length)
    leaves = [leaf.detach().requires_grad_() for leaf in leaves]

    def run() -> None:
        torch.autograd.grad(mix(*leaves).sum(), leaves)

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--lengths", type=int, nargs="+", default=[1024, 4096, 16384])
    parser.add_argument("--compare", type=int, default=4096, help="length at which all three are compared")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    ours = alternating({n: both_ways("scan", n) for n in arguments.lengths}, arguments.repeats)
    sides = alternating({name: both_ways(name, arguments.compare) for name in CASES}, arguments.repeats)
    rows = [{"what": f"scan, L = {n}", "ms": 1e3 * s, "us a step": 1e6 * s / n} for n, s in ours.items()]
    rows += [
        {"what": f"{name}, L = {arguments.compare}", "ms": 1e3 * s, "us a step": 1e6 * s / arguments.compare}
        for name, s in sides.items()
    ]
    first, last = min(ours), max(ours)
    figures = {
        "growth_over_length_ratio": round(ours[last] / ours[first] / (last / first), 4),
        "pscan_over_scan": round(sides["pscan"] / sides["scan"], 3),
        "attention_over_scan": round(sides["attention"] / sides["scan"], 3),
        "lengths": [first, last],
        "compared_at": arguments.compare,
        "torch": torch.__version__,
    }
    show(f"forward + backward, batch {BATCH}, width {WIDTH}, {STATE} states, float32, one thread", rows, figures)


if __name__ == "__main__":
    main()
