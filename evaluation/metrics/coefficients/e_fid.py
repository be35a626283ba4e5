"""E-FID: the Frechet distance of expression numbers of single frames."""

from collections.abc import Iterator

import numpy as np

from evaluation.cards import MetricCard, Value
from evaluation.metrics._estimate import PROTOCOL, estimate, more_than_dimensions, no_estimate
from evaluation.metrics._series import Undefined, frechet, require_frames
from evaluation.metrics._sums import ByClip


def e_fid(generated: np.ndarray, true: np.ndarray) -> float:
    """Frechet distance of expression numbers (N, D) of all frames; frames without a face are left out beforehand.

    Undefined: `too_few_frames` below D + 1, `length_mismatch` of the counts, `not_finite`.
    """
    require_frames(min(len(generated), len(true)), more_than_dimensions(true.shape[1]))
    return frechet(generated, true)


CARDS = (
    MetricCard(
        name="e_fid",
        label="E-FID",
        unit="coefficient²",
        direction="lower",
        range=(0.0, float("inf")),
        per="set",
        parts=("expression",),
        definition="Frechet distance of Gaussians fitted to the expression numbers of all generated and all true "
        "frames.",
        equation=r"\left\|\mu-\hat\mu\right\|^2+\operatorname{tr}\left(\Sigma+\hat\Sigma-2(\Sigma\hat\Sigma)^{1/2}\right)",
        protocol="expression numbers of given coefficients (`expression` of each video's .npz, with the extractor's "
        "name), "
        f"else the mesh reader's fixed basis; all frames with a face in both videos, pooled; {PROTOCOL}",
        source="EMO and EchoMimic name it; no public code. EchoMimic: 64 numbers of Deep3DFaceRecon (its text also "
        "names "
        "Inception, #177); Hallo2: 79 of ER-NeRF's tracker (#31)",
        disagreements=(
            "Numbers of different extractors are in different units: no value can be compared with another paper's "
            "unless both name the same.",
            "A tracker that fits identity and focal length per clip moves the expression's zero with them.",
        ),
        estimate=True,
        separates=(("ground_truth", "vae_round_trip"), ("vae_round_trip", "frozen_reference")),
        separates_parts=("expression",),
        blind=(("vae_round_trip", "shuffled_partner"),),
    ),
)


def expressions(clip, side: str) -> np.ndarray:
    """(T, D) of one side: given ones first, else the mesh's basis among the motion. Undefined `no_mesh`: neither."""
    given = clip.features.get(f"given_{side}")
    if given is not None:
        return np.asarray(given, np.float64)
    columns = [place for place, name in enumerate(clip.names) if name.startswith("basis_")]
    if not columns:
        raise Undefined("no_mesh")
    return np.asarray(getattr(clip, f"motion_{side}")[:, columns], np.float64)


def set_values(clips, tools) -> Iterator[Value]:
    sides = (ByClip(clips, lambda clip, k=k: _seen(clip)[k]) for k in (0, 1))
    try:
        yield from estimate("e_fid", "expression", *sides, more_than_dimensions)
    except Undefined as failure:
        yield from no_estimate("e_fid", "expression", failure.status)


def _seen(clip) -> tuple[np.ndarray, np.ndarray]:
    """Generated and true expression numbers of the frames in which both have one."""
    generated, true = expressions(clip, "generated"), expressions(clip, "true")
    if generated.shape != true.shape:
        raise Undefined("length_mismatch")
    seen = np.isfinite(generated).all(1) & np.isfinite(true).all(1)
    return generated[seen], true[seen]
