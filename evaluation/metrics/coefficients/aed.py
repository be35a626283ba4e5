"""AED: how far the identity embeddings of generated and true frames lie apart."""

from collections.abc import Iterator

import numpy as np

from evaluation.cards import MetricCard, Value, undefined
from evaluation.metrics._features import features
from evaluation.metrics._series import Undefined, require_frames
from evaluation.networks import dlib_identity

READERS = {"aed": "openface", "aed_dlib": "dlib"}


def aed(generated: np.ndarray, true: np.ndarray) -> float:
    """FOMM's form of embeddings (N, D): mean *squared* norm of the difference. Undefined: `length_mismatch`,
    `no_face`."""
    generated, true = np.asarray(generated, np.float64), np.asarray(true, np.float64)
    if generated.shape != true.shape:
        raise Undefined("length_mismatch")
    require_frames(len(true), 1)
    seen = np.isfinite(generated).all(1) & np.isfinite(true).all(1)
    if seen.mean() < 0.9:
        raise Undefined("no_face")
    return float(np.square(generated[seen] - true[seen]).sum(1).mean())


_DISAGREEMENTS = (
    "FOMM takes OpenFace embeddings of whole frames at 96 px and squares; papers write the distance.",
    "Reenactment papers call the L1 distance of 64 expression numbers AED (see exp_distance), which is another thing.",
)


def _card(name: str, label: str, reader: str, unit: str, high: float) -> MetricCard:
    return MetricCard(
        name=name,
        label=label,
        unit=unit,
        direction="lower",
        range=(0.0, high),
        per="clip",
        parts=("frame",),
        definition="Mean squared distance of the identity embeddings of generated and true frames at the same time.",
        equation=r"\frac1N\sum_t\left\|e(\hat f_t)-e(f_t)\right\|^2",
        protocol=f"{reader}; frames in which both faces were found, at least 90 %",
        source="FOMM's pose-evaluation cmp.py (1bc4cae)",
        disagreements=_DISAGREEMENTS,
        unordered="features of identity are meant to ignore motion, so a sharp still face can come out before the "
        "right "
        "motion through an autoencoder",
        separates=(("ground_truth", "vae_round_trip"), ("ground_truth", "shuffled_partner")),
        separates_parts=("frame",),
        from_readings=True,
    )


CARDS = (
    _card("aed", "AED", "OpenFace's 128 numbers, given per video (`openface` of its .npz)", "1", 4.0),
    _card(
        "aed_dlib",
        "AED (dlib)",
        f"dlib's 128 numbers of every {dlib_identity.STRIDE}th frame, aligned",
        "1",
        float("inf"),
    ),
)


def clip_values(clip, tools) -> Iterator[Value]:
    for name, reader in READERS.items():
        try:
            value = aed(features(clip, reader, "generated"), features(clip, reader, "true"))
        except Undefined as failure:
            yield undefined(name, "frame", failure.status)
        else:
            yield Value(name, "frame", value)
