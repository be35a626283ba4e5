"""CSIM: whether the generated face is still the same person, by ArcFace or by the small identity probe."""

from collections.abc import Iterator

import numpy as np

from evaluation.cards import MetricCard, Value, undefined
from evaluation.metrics._features import cosines, features
from evaluation.metrics._series import Undefined
from evaluation.networks import arcface, dlib_identity
from evaluation.probes import identity

LEAST_SEEN = 0.5  # share of the frames read in which the reader must find a face

_REFERENCE = (
    f"iresnet-100 in arcface_torch's layout by path (slot `arcface`), 512 features; every {arcface.STRIDE}th frame, "
    f"resized whole to {arcface.SIZE}x{arcface.SIZE} bilinearly without antialiasing, neither detection nor alignment, "
    "RGB, (x/255 - 0.5)/0.5; mean over frames"
)
_SMALL = (
    "64 features of the identity probe, trained on training identities with ArcFace's angular margin; every "
    f"{identity.STRIDE}th frame at 64x64; mean over frames"
)
_DLIB = (
    "128 features of dlib's residual network (dlib-bin, face-recognition-models 0.3.0), which ships with a package; "
    f"every {dlib_identity.STRIDE}th frame whose face the mesh finds, laid into a 150-pixel chip by the corners of the "
    "eyes and the base of the nose; data of real faces only; mean over frames"
)
_DISAGREEMENTS = (
    "Some compare with the reference image, some with the true frame at the same time, and papers rarely say which: "
    "csim and csim_frame here.",
    "ViCo resizes whole frames; others align the face by landmarks first, with other networks, and get other values.",
)
_OWN = ("Features of a probe of this study: no value is comparable with a published CSIM.",)
TO_REFERENCE = {
    "equation": r"\frac1T\sum_t\cos\left(e(\hat f_t),e(f_{\mathrm{ref}})\right)",
    "definition": "Cosine similarity of the identity features of generated frames and of the reference image. A still "
    "copy of the reference scores 1, which no moving face does.",
    "unordered": "a frozen reference is the person at its best and comes out before the truth",
    "separates": (("frozen_reference", "vae_round_trip"),),
}
TO_FRAME = {
    "equation": r"\frac1T\sum_t\cos\left(e(\hat f_t),e(f_t)\right)",
    "definition": "Cosine similarity of the identity features of generated and true frames at the same time.",
    "unordered": "features of identity are meant to ignore motion, so a sharp still face can come out before the right "
    "motion through an autoencoder",
    "separates": (("ground_truth", "vae_round_trip"), ("ground_truth", "frozen_reference")),
}


def _card(name: str, label: str, protocol: str, source: str, disagreements: tuple[str, ...], form: dict) -> MetricCard:
    return MetricCard(
        name=name,
        label=label,
        unit="1",
        direction="higher",
        range=(-1.0, 1.0),
        per="clip",
        parts=("frame",),
        protocol=protocol,
        source=source,
        disagreements=disagreements,
        separates_parts=("frame",),
        from_readings=True,
        **form,
    )


_PAPER = "Deng et al. 2019; ViCo challenge baseline, compute_csim.py"
_KING = "King 2009, 2017 (dlib's face recognition network)"
_LICENCE = (
    "dlib trains for a Euclidean distance of 0.6 between people, not for a cosine: values lie far above ArcFace's.",
    "Licences: dlib Boost; the network public domain, as its author says; the 68-point model beside it (iBUG 300-W, "
    "not for commercial use) is not used.",
)
_PROBE = "Deng et al. 2019; our own features"
CARDS = (
    _card("csim", "CSIM", _REFERENCE, _PAPER, _DISAGREEMENTS, TO_REFERENCE),
    _card("csim_frame", "CSIM (true frame)", _REFERENCE, _PAPER, _DISAGREEMENTS, TO_FRAME),
    _card("csim_dlib", "CSIM (dlib)", _DLIB, _KING, _LICENCE, TO_REFERENCE),
    _card("csim_frame_dlib", "CSIM (true frame, dlib)", _DLIB, _KING, _LICENCE, TO_FRAME),
    _card("csim_small", "CSIM (small probe)", _SMALL, _PROBE, _OWN, TO_REFERENCE),
    _card("csim_frame_small", "CSIM (true frame, small probe)", _SMALL, _PROBE, _OWN, TO_FRAME),
)


def _seen(generated: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows in which a reader that looks for faces found one on both sides. Undefined `no_face`: fewer than half."""
    if other.ndim == 2 and len(other) != len(generated):
        raise Undefined("length_mismatch")
    seen = np.isfinite(generated).all(-1) & np.isfinite(other).all(-1)
    if seen.mean() < LEAST_SEEN:
        raise Undefined("no_face")
    return generated[seen], other if other.ndim == 1 else other[seen]


def clip_values(clip, tools) -> Iterator[Value]:
    for reader, ending in (("arcface", ""), ("dlib", "_dlib"), ("identity", "_small")):
        for name, side in (("csim", "reference"), ("csim_frame", "true")):
            try:
                pair = features(clip, reader, "generated"), features(clip, reader, side)
                found = cosines(*(_seen(*pair) if reader == "dlib" else pair))
            except Undefined as failure:  # of one reader, which says nothing of the other
                yield undefined(f"{name}{ending}", "frame", failure.status)
            else:
                yield Value(f"{name}{ending}", "frame", found)
