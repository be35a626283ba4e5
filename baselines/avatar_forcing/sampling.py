"""The rollout of Avatar Forcing: a first window at once, then block after block from kept keys and values."""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from baselines.avatar_forcing.model import CausalDFoT, look_ahead_mask, near_mask
from baselines.avatar_forcing.options import ModelOptions
from baselines.motion.renderer import DIRECTIONS


class Span(NamedTuple):
    """Frames [start, stop) that enter the network together; the first `clean` of them are made already."""

    start: int
    stop: int
    clean: int


def spans(frames: int, options: ModelOptions) -> list[Span]:
    """The first window, then blocks; each takes the last l frames before it again, which now see ahead into it."""
    later = range(options.window, frames, options.block)
    look = options.look
    return [Span(0, options.window, 0), *(Span(at - look, at + options.block, look) for at in later)]


def whole_blocks(x: Tensor, options: ModelOptions) -> Tensor:
    """(b, T, c) with its last frame repeated up to a window, and beyond that up to whole blocks."""
    frames = max(options.window, -(-x.shape[1] // options.block) * options.block)
    return torch.cat([x, x[:, -1:].expand(-1, frames - x.shape[1], -1)], 1)


def conditions(network: CausalDFoT, inputs: tuple[Tensor, Tensor, Tensor], keep: Tensor) -> Tensor:
    """c (b, T, d) of whole dialogues (b, T, .), T of `whole_blocks`, for what `keep` (3,) leaves.

    A block's c comes from the N frames that end with it, as in training; nothing after the block is read.
    """
    options, batch = network.options, len(inputs[0])
    windows = [rearrange(x.unfold(1, options.window, options.block), "b w c n -> (b w) n c") for x in inputs]
    c = network.encoder(*windows, keep.to(windows[0]).expand(len(windows[0]), -1))
    c = rearrange(c, "(b w) n d -> b w n d", b=batch)
    return torch.cat([c[:, 0], rearrange(c[:, 1:, -options.block :], "b w n d -> b (w n) d")], 1)


class Cached:
    """Evaluates the network on a span, from the keys and values of the N - B - l frames before it."""

    def __init__(self, network: CausalDFoT, c: Tensor):
        self.network, self.past = network, None
        self.cross = network.cross_keys(c, network.place(torch.arange(c.shape[1], device=c.device)))

    def __call__(self, x: Tensor, t: Tensor, span: Span, commit: bool = False) -> Tensor:
        """x (b, n, 20) of the span, t (1, n) -> x_hat; `commit` keeps what later spans need, all but l frames."""
        options = self.network.options
        frames = torch.arange(span.start, span.stop, device=x.device)
        first = span.start - (0 if self.past is None else self.past[0].shape[3])
        mask = look_ahead_mask(frames, torch.arange(first, span.stop, device=x.device), options)
        near = slice(max(0, span.start - options.reach), span.stop)
        cross_mask = near_mask(frames, torch.arange(near.start, near.stop, device=x.device), options.reach)
        cross = [kv[:, :, :, near] for kv in self.cross]
        x_hat, kept = self.network.advance(x, t, self.network.place(frames), mask, cross, cross_mask, self.past)
        if commit:
            done, size = len(frames) - options.look, options.window - options.block - options.look
            kept = [kv[:, :, :, :done] for kv in kept]
            if self.past is not None:
                kept = [torch.cat([old, new], 3) for old, new in zip(self.past, kept, strict=True)]
            self.past = [kv[:, :, :, -size:].contiguous() for kv in kept]
        return x_hat


class Uncached:
    """The same answers from one pass over all that ever entered the network, under the mask the caches imply."""

    def __init__(self, network: CausalDFoT, c: Tensor):
        self.network, self.c, self.done = network, c, []

    def __call__(self, x: Tensor, t: Tensor, span: Span, commit: bool = False) -> Tensor:
        options, device = self.network.options, x.device
        all_spans = [*(old for old, _ in self.done), span]
        frames = torch.cat([torch.arange(s.start, s.stop, device=device) for s in all_spans])
        sizes = torch.tensor([s.stop - s.start for s in all_spans], device=device)
        starts, stops = (torch.tensor(v, device=device).repeat_interleave(sizes) for v in zip(
            *((s.start, s.stop) for s in all_spans), strict=True
        ))  # fmt: skip
        turn = torch.arange(len(all_spans), device=device).repeat_interleave(sizes)
        within = (turn[:, None] == turn[None]) & look_ahead_mask(frames, frames, options)
        size = options.window - options.block - options.look
        kept = (frames < stops - options.look)[None] & (frames[None] >= starts[:, None] - size)
        mask = within | ((turn[:, None] > turn[None]) & kept)
        everything = torch.arange(self.c.shape[1], device=device)
        cross_mask = near_mask(frames, everything, options.reach) & (everything[None] < stops[:, None])
        cross = self.network.cross_keys(self.c, self.network.place(everything))
        x_all = torch.cat([*(old for _, old in self.done), x], 1)
        t_all = F.pad(t, (len(frames) - t.shape[1], 0), value=1.0)
        x_hat, _ = self.network.advance(x_all, t_all, self.network.place(frames), mask, cross, cross_mask)
        if commit:
            self.done.append((span, x))
        return x_hat[:, -x.shape[1] :]


def guidance(audio: float, user: float) -> list[tuple[tuple[int, int, int], float]]:
    """What each evaluation keeps (avatar audio, user audio, user motion), and its coefficient.

    v = v_0 + w_a (v_a - v_0) + w_u (v_u - v_0) where v_0 knows nothing, v_a the avatar's audio and v_u the user. The
    coefficients add up to one, so the estimates x_hat combine as the velocities do. What counts nothing is left out.
    """
    rows = [((0, 0, 0), 1 - audio - user), ((1, 0, 0), audio), ((0, 1, 1), user)]
    return [(keep, weight) for keep, weight in rows if weight]


@torch.no_grad()
def rollout(
    network: CausalDFoT,
    inputs: tuple[Tensor, Tensor, Tensor],
    branches: list[tuple[tuple[int, int, int], float]],
    steps: int,
    noise: Callable[[int], Tensor],
    kind: type = Cached,
) -> Tensor:
    """Motion (b, T, 20) of b dialogues of one length from avatar audio, user audio and user motion (b, T, .).

    `noise(n)` draws (b, n, 20). Each span goes from noise (t = 0) to motion (t = 1) in `steps` Euler steps.
    """
    frames, count = inputs[0].shape[1], len(branches)
    inputs = tuple(whole_blocks(x, network.options) for x in inputs)
    c = torch.cat([conditions(network, inputs, torch.tensor(keep)) for keep, _ in branches])
    weights = torch.tensor([weight for _, weight in branches]).to(c)
    evaluate, motion = kind(network, c), c.new_zeros(len(inputs[0]), 0, DIRECTIONS)
    for span in spans(inputs[0].shape[1], network.options):
        clean = motion[:, motion.shape[1] - span.clean :]
        x = noise(span.stop - span.start - span.clean).to(c)
        t = torch.ones(1, span.stop - span.start).to(c)
        for step in range(steps):
            t[:, span.clean :] = step / steps
            x_hat = evaluate(torch.cat([clean, x], 1).repeat(count, 1, 1), t, span)[:, span.clean :]
            x_hat = torch.einsum("r b n k, r -> b n k", rearrange(x_hat, "(r b) n k -> r b n k", r=count), weights)
            x = x + (x_hat - x) / (steps - step)  # (1 / steps) of the velocity (x_hat - x) / (1 - t)
        motion = torch.cat([motion, x], 1)
        if span.stop < inputs[0].shape[1]:
            evaluate(torch.cat([clean, x], 1).repeat(count, 1, 1), torch.ones_like(t), span, commit=True)
    return motion[:, :frames]
