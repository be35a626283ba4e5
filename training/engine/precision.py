"""Which precision this processor computes fast: `auto` becomes `bf16` only where a measurement says so."""

import time
from collections.abc import Callable
from functools import cache
from typing import Literal

import torch
from torch import Tensor, nn

from training.device import World, autocast

Computed = Literal["fp32", "bf16"]
ROUNDS = 4  # one measured step of each takes 10-20 ms
HOPELESS = 3.0  # times slower than fp32: one round is enough to see it


def resolve(precision: str, device: torch.device, world: World | None = None) -> Computed:
    """What `precision` means on `device`, the same on every process of `world`.

    `auto` is `bf16` on GPUs that have it and on processors that multiply bfloat16 faster than float32; elsewhere
    autocast would still run, silently and 2 (AVX-512 without BF16) to 20 times slower (AVX2).
    """
    if precision != "auto":
        return precision
    chosen = bf16_pays() if device.type == "cpu" else torch.cuda.is_bf16_supported(including_emulation=False)
    if world is not None:
        chosen = bool(world.from_main(int(chosen), device))
    return "bf16" if chosen else "fp32"


@cache
def bf16_pays() -> bool:
    """Whether this processor trains a small convolution faster in bfloat16; asked first, then measured, in 0.2 s.

    The library's own answer is not enough: it is True on every AVX-512 processor, also where bfloat16 is emulated.
    """
    if not supported():
        return False
    best = {"fp32": float("inf"), "bf16": float("inf")}
    step = convolution_step()
    for _ in range(ROUNDS + 1):  # the first one also builds the kernels
        for name in best:
            best[name] = min(best[name], _seconds(lambda name=name: step(name)))
        if best["bf16"] > HOPELESS * best["fp32"]:
            break
    return best["bf16"] < best["fp32"]


def supported() -> bool:
    """oneDNN's own answer; it knows ONEDNN_MAX_CPU_ISA, and nothing of how fast."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def convolution_step() -> Callable[[str], None]:
    """A step of three 3 x 3 convolutions, forward and backward, in the precision it is given; draws no randomness."""
    x = torch.linspace(-1, 1, 4 * 16 * 32 * 32).reshape(4, 16, 32, 32)
    shapes = ((32, 16, 3, 3), (32, 32, 3, 3), (16, 32, 3, 3))
    weights = [torch.linspace(-0.1, 0.1, torch.Size(shape).numel()).reshape(shape).requires_grad_() for shape in shapes]

    def step(precision: str) -> None:
        with torch.enable_grad(), autocast(x.device, precision):
            y: Tensor = x
            for weight in weights:
                y = nn.functional.silu(nn.functional.conv2d(y, weight, padding=1))
            loss = y.float().square().mean()
        torch.autograd.grad(loss, weights)

    return step


def _seconds(function: Callable[[], None]) -> float:
    """CPU seconds: a busy machine makes both slower, by chance."""
    start = time.process_time()
    function()
    return time.process_time() - start
