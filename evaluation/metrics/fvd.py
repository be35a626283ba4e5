"""FVD: whether windows of generated video look and move like true ones, by I3D or by the small video probe."""

from collections.abc import Iterator

from evaluation.cards import MetricCard, Value, undefined
from evaluation.metrics._features import feature_frechet
from evaluation.metrics._series import Undefined
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
    f"32-d features of the video probe, trained on training identities to tell the speed of a window and, where "
    f"known, its motion; windows of {video.WINDOW} frames, {video.STRIDE} apart, of every test clip, pooled; frames at "
    "32x32; covariance with N - 1; at least 33 windows"
)
_DISAGREEMENTS = (
    "StyleGAN-V's FVD uses a TorchScript I3D, drops short videos and divides by N; cd-fvd squashes frames to a square; "
    "common_metrics crops the centre and uses the whole clip as one window: papers' values are not comparable.",
    "Few windows give mostly bias; the count is in fvd_count, and values of unequal counts must not be compared.",
)
_OWN = ("Features of a probe of this study: no value is comparable with a published FVD.",)
_ORDER = {
    "separates": (("ground_truth", "vae_round_trip"), ("vae_round_trip", "frozen_reference")),
    "separates_parts": ("window",),
}
_BLIND = (("ground_truth", "time_shifted_audio"), ("vae_round_trip", "shuffled_partner"))


def _cards(name: str, label: str, protocol: str, source: str, disagreements: tuple[str, ...]) -> tuple:
    common = {"per": "set", "parts": ("window",), "protocol": protocol, "source": source}
    return (
        MetricCard(
            name=name,
            label=label,
            unit="feature²",
            direction="lower",
            range=(0.0, float("inf")),
            definition="Frechet distance of Gaussians fitted to the features of short windows of generated and of true "
            "video: does the set of windows look and move like the true set, no matter which window when.",
            equation=_EQUATION,
            disagreements=disagreements,
            blind=_BLIND,
            **_ORDER,
            **common,
        ),
        MetricCard(
            name=f"{name}_infinity",
            label=f"{label}, extrapolated",
            unit="feature²",
            direction="lower",
            range=(float("-inf"), float("inf")),
            definition="The same of subsets of the clips, extended along a straight line in 1/N to infinitely many "
            "windows: the value without the bias of its count, to first order.",
            equation=r"\lim_{1/N\to0}\operatorname{FVD}_N",
            disagreements=disagreements,
            **_ORDER,
            **{**common, "source": f"Chong and Forsyth 2020; {source}"},
        ),
        MetricCard(
            name=f"{name}_count",
            label=f"{label} windows",
            unit="window",
            direction="higher",
            range=(0.0, float("inf")),
            definition="How many generated windows, and as many true ones, the distance was computed from.",
            equation="N",
            disagreements=("Papers rarely state it, though the value depends on it.",),
            unordered="it counts what was compared and says nothing of its quality",
            **common,
        ),
    )


CARDS = (
    *_cards("fvd", "FVD", _REFERENCE, "Unterthiner et al. 2018; songweige/content-debiased-fvd 0.1.1", _DISAGREEMENTS),
    *_cards("fvd_small", "FVD (small probe)", _SMALL, "Unterthiner et al. 2018; our own features", _OWN),
)


def set_values(clips, tools) -> Iterator[Value]:
    for metric, reader, minimum in (("fvd", "i3d", MINIMUM), ("fvd_small", "video", video.FEATURES + 1)):
        written = set()
        try:
            for value in feature_frechet(metric, "window", reader, clips, minimum):
                written.add(value.metric)
                yield value
        except Undefined as failure:  # of one reader, which says nothing of the other
            names = {metric, f"{metric}_infinity", f"{metric}_count"} - written
            yield from (undefined(name, "window", failure.status) for name in sorted(names))
