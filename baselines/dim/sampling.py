"""Draw the avatar's tokens frame by frame, and the two leaks of the released evaluation, which need the truth."""

import math

import torch
from torch import Tensor

from baselines.dim.model import DyadicNetwork, Stream
from baselines.dim.options import SamplingOptions
from baselines.motion.method import MotionDialogue
from baselines.motion.renderer import DIRECTIONS
from baselines.motion.voice import speaking
from echo_model.backbones.warping import AFFINE


def draw(logits: Tensor, options: SamplingOptions, noise: Tensor) -> Tensor:
    """Tokens (...) from logits (..., K) by `noise` (...) in [0, 1): among the likeliest codes only."""
    codes = logits.shape[-1]
    count = min(codes, max(2, math.ceil(options.top * codes)))  # with one, nothing would be drawn
    best, chosen = logits.topk(count)
    reached = (best / options.temperature).softmax(-1).cumsum(-1)
    place = (reached < noise[..., None] * reached[..., -1:]).sum(-1).clamp_max(count - 1)
    return chosen.gather(-1, place[..., None])[..., 0]


def rollout(
    network: DyadicNetwork,
    dialogue: MotionDialogue,
    options: SamplingOptions,
    generator: torch.Generator,
    first: Tensor | None = None,
) -> Tensor:
    """The avatar's tokens (T, G); `first` (G,) are those of frame 0, by default drawn like all others."""
    return rollouts(network, dialogue, options, generator, 1, first)[0]


@torch.no_grad()
def rollouts(
    network: DyadicNetwork,
    dialogue: MotionDialogue,
    options: SamplingOptions,
    generator: torch.Generator,
    drafts: int,
    first: Tensor | None = None,
) -> Tensor:
    """Several drafts of one dialogue side by side, (drafts, T, G), by the random numbers of as many `rollout`s."""
    device = network.role.weight.device
    quantiser, head = network.codes["avatar"].quantiser, network.heads["avatar"]
    user, avatar = dialogue.user_audio.to(device), dialogue.avatar_audio.to(device)
    stream = Stream(network, network.context("user", network.seen(dialogue.user_motion[None].to(device)), user[None]))
    own, see = network.voice(avatar[None], speaking(avatar, user)[None])
    known, vectors = torch.ones(1, 1, dtype=torch.bool, device=device), quantiser.vectors()
    before = quantiser.lookup(network.codes["avatar"].to_tokens(torch.zeros(1, DIRECTIONS, device=device)))
    before = before.expand(drafts, -1)  # codes (drafts, G c) of the frame before: of the reference at first
    frames, groups = dialogue.frames, quantiser.groups
    noise = torch.stack([torch.rand(groups, generator=generator) for _ in range(drafts * frames)]).to(device)
    noise, drawn = noise.unflatten(0, (drafts, frames)), []
    for t in range(frames):
        now = slice(t, t + 1)
        x = own[:, now] + head.previous(before[:, None], known)
        h = stream.step(t, x, None if see is None else see[:, now])[:, 0]
        tokens, e = [], h.new_empty(drafts, 0)
        for group in range(groups):
            token = draw(head.group(h, vectors, e, before, group), options, noise[:, t, group])
            if first is not None and t == 0:
                token = first[group].to(device).expand(drafts)
            tokens.append(token)
            e = torch.cat([e, vectors[group, token]], -1)
        before = e
        drawn.append(torch.stack(tokens, -1))
    return torch.stack(drawn, 1)


def frechet(a: Tensor, b: Tensor) -> Tensor:
    """Frechet distance of Gaussians fitted to (T, D) twice; of their means alone where T is 1.

    For choosing among samples only: the tables' distance is `evaluation`'s, which a method may not import.
    """

    def fit(x: Tensor) -> tuple[Tensor, Tensor]:
        centred = (x := x.double()) - x.mean(0)
        return x.mean(0), centred.T @ centred / max(1, len(x) - 1)

    (mean_a, cov_a), (mean_b, cov_b) = fit(a), fit(b)
    values, vectors = torch.linalg.eigh(cov_a)
    root = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
    cross = torch.linalg.eigvalsh(root @ cov_b @ root).clamp_min(0).sqrt().sum()
    return (mean_a - mean_b).square().sum() + cov_a.trace() + cov_b.trace() - 2 * cross


def distance(motion: Tensor, truth: Tensor) -> Tensor:
    """FD of pose plus FD of the face, by which the released evaluation keeps the best sample; (T, 20) twice."""
    return sum(frechet(motion[:, part], truth[:, part]) for part in (slice(AFFINE), slice(AFFINE, None)))
