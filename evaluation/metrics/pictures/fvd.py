"""FVD: whether windows of generated video look and move like true ones, by I3D or by the small video probe."""

from collections.abc import Iterator

from evaluation.cards import MetricCard, Value
from evaluation.metrics._estimate import PROTOCOL
from evaluation.metrics._features import feature_frechet
from evaluation.networks import i3d
from evaluation.probes import video

MINIMUM = 64  # windows; below 401 I3D's covariances are singular and most of the value is bias

_EQUATION = r"\left\|\mu-\hat\mu\right\|^2+\operatorname{tr}\left(\Sigma+\hat\Sigma-2(\Sigma\hat\Sigma)^{1/2}\right)"
_REFERENCE = (
    f"I3D in pytorch-i3d's layout by path (slot `i3d`), 400 logits; windows of {i3d.WINDOW} frames, {i3d.STRIDE} "
    f"apart, of every test clip, pooled; frames bilinearly to {i3d.SIZE}x{i3d.SIZE} without antialiasing and without "
    f"keeping the aspect; covariance with N - 1; at least {MINIMUM} windows"
)
_SMALL = (
    "32-d features of the video probe, trained on training identities to tell at which speed (still, half, normal, "
    f"double) a window is played; windows of {video.WINDOW} frames, {video.STRIDE} apart, of every test clip, pooled; "
    "frames at 32x32; covariance with N - 1; at least 33 windows"
)
_DISAGREEMENTS = (
    "StyleGAN-V's FVD uses a TorchScript I3D, drops short videos and divides by N; cd-fvd squashes frames to a square; "
    "common_metrics crops the centre and uses the whole clip as one window: papers' values are not comparable.",
    "Few windows give mostly bias: the count stands beside the value; those of unequal counts must not be compared.",
)
_OWN = (
    "Features of a probe of this study: no value is comparable with a published FVD.",
    "It cannot rank methods by whether the motion is right: free motion of the true amount is what it rewards. A "
    "random training clip, the user's own motion and a nearest neighbour have come out before every trained method, "
    "and before the oracle's expression drawn without any codec. It tells truth from codec from a still face.",
)
# The right reaction, though without the truth's free part, before motion that answers nobody.
_NEEDS = (("oracle_expression", "random_training_clip"), ("oracle_expression", "mirror_of_user"))


def _card(name: str, label: str, protocol: str, source: str, disagreements: tuple[str, ...], needs=()) -> MetricCard:
    return MetricCard(
        name=name,
        label=label,
        unit="feature²",
        direction="lower",
        range=(0.0, float("inf")),
        per="set",
        parts=("window",),
        definition="Frechet distance of Gaussians fitted to the features of short windows of generated and of true "
        "video: does the set of windows look and move like the true set, no matter which window when.",
        equation=_EQUATION,
        protocol=f"{protocol}; {PROTOCOL}",
        source=source,
        disagreements=disagreements,
        separates=(("ground_truth", "vae_round_trip"), ("vae_round_trip", "frozen_reference")),
        separates_parts=("window",),
        blind=(("ground_truth", "time_shifted_audio"), ("vae_round_trip", "shuffled_partner")),
        needs=needs,
        estimate=True,
    )


CARDS = (
    _card("fvd", "FVD", _REFERENCE, "Unterthiner et al. 2018; songweige/content-debiased-fvd 0.1.1", _DISAGREEMENTS),
    _card("fvd_small", "FVD (small probe)", _SMALL, "Unterthiner et al. 2018; our own features", _OWN, _NEEDS),
)


def set_values(clips, tools) -> Iterator[Value]:
    yield from feature_frechet("fvd", "window", "i3d", clips, MINIMUM)
    yield from feature_frechet("fvd_small", "window", "video", clips, video.FEATURES + 1)
