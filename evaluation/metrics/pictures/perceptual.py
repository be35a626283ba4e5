"""LPIPS: perceptual distance of generated and true frames, with AlexNet weights by path or on the small probe."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn

from evaluation.cards import MetricCard, Value, undefined

BATCH = 16

_EQUATION = (
    r"\frac1T\sum_t\sum_l\frac{1}{H_lW_l}\sum_{h,w}\left\|w_l\odot"
    r"\left(\phi_l(\hat f_t)_{hw}-\phi_l(f_t)_{hw}\right)\right\|^2"
)
CARDS = (
    MetricCard(
        name="lpips",
        label="LPIPS",
        unit="1",
        direction="lower",
        range=(0.0, float("inf")),
        per="clip",
        parts=("frame",),
        definition="Distance of generated and true frames in the feature maps of a classification network, weighted by "
        "people's judgements of similarity.",
        equation=_EQUATION,
        disagreements=(
            "AlexNet and VGG give other values, and papers rarely say which; INFP does not.",
            "The input must lie in [-1, 1]; pictures in [0, 1] give a plausible wrong value. No resizing is done, and "
            "the value depends on the picture's size.",
        ),
        protocol="lpips 0.1.4, AlexNet, linear heads v0.1, RGB in [-1, 1] at the frames' own size, mean over frames; "
        "only with the AlexNet weights given by path",
        source="Zhang et al. 2018; richzhang/PerceptualSimilarity",
        separates=(("ground_truth", "vae_round_trip"), ("vae_round_trip", "frozen_reference")),
        separates_parts=("frame",),
    ),
    MetricCard(
        name="lpips_small",
        label="LPIPS (small probe)",
        unit="1",
        direction="lower",
        range=(0.0, float("inf")),
        per="clip",
        parts=("frame",),
        definition="The same distance in the feature maps of the image probe, unweighted.",
        equation=_EQUATION,
        disagreements=("Features of a probe of this study: no value is comparable with published LPIPS.",),
        protocol="the lpips package's normalisation and spatial average over the image probe's feature maps, no "
        "linear heads, mean over layers and frames; not comparable with published LPIPS",
        source="Zhang et al. 2018, 'baseline' form; our own features",
        separates=(("ground_truth", "vae_round_trip"), ("vae_round_trip", "frozen_reference")),
        separates_parts=("frame",),
    ),
)


@torch.inference_mode()
def lpips_distance(network: nn.Module, generated: np.ndarray, true: np.ndarray) -> np.ndarray:
    """LPIPS per frame of two uint8 (T, H, W, 3) videos: (T,)."""
    scores, device = [], next(network.parameters()).device
    for start in range(0, len(true), BATCH):
        a, b = (
            rearrange(torch.from_numpy(video[start : start + BATCH]).to(device), "t h w c -> t c h w") / 255
            for video in (generated, true)
        )
        scores.append(network(a, b, normalize=True).flatten())  # the package works in [-1, 1]
    return torch.cat(scores).cpu().numpy()


@torch.inference_mode()
def shared_lpips(network: nn.Module, generated: Sequence[np.ndarray], true: np.ndarray) -> list[np.ndarray]:
    """`lpips_distance` of several videos, each at most as long as the true one, which the network sees once.

    What the package's `forward` does, in two halves.
    """
    device = next(network.parameters()).device

    def seen(video: np.ndarray, start: int) -> list[Tensor]:
        pictures = rearrange(torch.from_numpy(video[start : start + BATCH]).to(device), "t h w c -> t c h w") / 255
        return [_unit(layer) for layer in network.net(network.scaling_layer(2 * pictures - 1))]

    scores: list[list[Tensor]] = [[] for _ in generated]
    for start in range(0, len(true), BATCH):
        wanted = seen(true, start)
        for video, found in zip(generated, scores, strict=True):
            if start < len(video):
                layers = zip(seen(video, start), wanted, network.lins, strict=True)
                count = min(BATCH, len(video) - start)
                found.append(sum(head((a - b[:count]).square()).mean((1, 2, 3)) for a, b, head in layers))
    return [torch.cat(found).cpu().numpy() for found in scores]


def _unit(x: Tensor) -> Tensor:
    """Features of length 1, as the lpips package normalises them."""
    return x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10)


def map_distance(generated: list[Tensor], true: list[Tensor]) -> Tensor:
    """LPIPS without heads on lists of feature maps (T, C, H, W): (T,), mean over layers.

    As the lpips package normalises and averages, without its three seconds of imports in every process.
    """

    layers = [(_unit(a) - _unit(b)).square().sum(1).mean([1, 2]) for a, b in zip(generated, true, strict=True)]
    return torch.stack(layers).mean(0)


def clip_values(clip, tools) -> Iterator[Value]:
    if clip.map_distance is None:
        yield undefined("lpips_small", "frame", "weights_missing")
    else:
        yield Value("lpips_small", "frame", float(clip.map_distance.mean()))
    network = tools.network("lpips")
    distance = clip.once("lpips", lambda: lpips_distance(network, clip.generated, clip.true))
    yield Value("lpips", "frame", float(distance.mean()))
