"""FID on pytorch-fid's Inception features: whether the set of generated pictures looks like the set of true ones."""

from collections.abc import Iterator

from evaluation.cards import MetricCard, Value
from evaluation.metrics._estimate import PROTOCOL
from evaluation.metrics._features import feature_frechet
from evaluation.networks.inception import SIZE, STRIDE

MINIMUM = 256  # frames; below 2,049 the covariances are singular and most of the value is bias

_EQUATION = r"\left\|\mu-\hat\mu\right\|^2+\operatorname{tr}\left(\Sigma+\hat\Sigma-2(\Sigma\hat\Sigma)^{1/2}\right)"
_COMMON = {
    "per": "set",
    "parts": ("frame",),
    "source": "Heusel et al. 2017; mseitzer/pytorch-fid 0.3.0",
    "protocol": f"pytorch-fid's InceptionV3 by path (slot `inception`), 2,048 pooled features; every {STRIDE}th frame "
    f"of every test clip, pooled; frames at their own size, in the network bilinearly to {SIZE}x{SIZE} without "
    f"antialiasing; covariance with N - 1; at least {MINIMUM} frames; {PROTOCOL}; the line bends below 2,049 frames",
}
_DISAGREEMENTS = (
    "clean-fid resizes with an antialiased bicubic filter, torchmetrics with an antialiased bilinear one, "
    "torch-fidelity as TensorFlow 1 did: the same weights give other values.",
    "The bias of a finite count is large, and frames of one clip are alike: on data of 50 dimensions 64 equal samples "
    "lie 20.4 apart and 20,000 lie 0.07 apart. Values of unequal counts must not be compared; the count stands "
    "beside the value.",
    "pytorch-fid reads files: dumping frames as JPEG changes the value, and a folder's *.JPG are not seen.",
)
CARDS = (
    MetricCard(
        name="fid",
        label="FID",
        unit="feature²",
        direction="lower",
        range=(0.0, float("inf")),
        definition="Frechet distance of Gaussians fitted to the Inception features of generated and true frames.",
        equation=_EQUATION,
        disagreements=_DISAGREEMENTS,
        separates=(("ground_truth", "vae_round_trip"), ("vae_round_trip", "frozen_reference")),
        separates_parts=("frame",),
        blind=(("ground_truth", "time_shifted_audio"), ("vae_round_trip", "shuffled_partner")),
        estimate=True,
        **_COMMON,
    ),
)


def set_values(clips, tools) -> Iterator[Value]:
    yield from feature_frechet("fid", "frame", "inception", clips, MINIMUM)
