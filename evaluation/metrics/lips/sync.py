"""LSE-D, LSE-C and offset: the distance of lips and voice in SyncNet's features, while the avatar speaks and over all.

Computed from `evaluation.readings.lip_sync`'s readings: each lip window's distance to the voice at every shift.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from evaluation.cards import MetricCard, Value, truth_part, undefined
from evaluation.metrics._series import Undefined
from evaluation.readings.lip_sync import SHIFT, curve, lse, scored

_SOURCE = "Chung and Zisserman 2016; Prajwal et al. 2020; syncnet-python 0.2.3"
_DISAGREEMENTS = (
    "LSE-D and LSE-C come from one curve of distances over shifts; INFP's and ARIG's SyncScore is LSE-C.",
    "Whole frames and face crops give values more than a point apart; papers rarely say which they scored.",
    "Scored over listening frames too it means little, since there is no speech to fit; papers on interactive heads "
    "rarely say on which frames theirs is.",
    "SyncNet is made for 25 fps and 16 kHz. Wav2Lip's script never resamples the frame rate, and syncnet-python "
    "returns 0.0, the best LSE-D, where it finds no face.",
)
_OWN = ("Features of a probe of this study: no value is comparable with a published LSE.", *_DISAGREEMENTS[2:3])


@dataclass(frozen=True)
class Variant:
    """One network on one view of the face. `reading` names its entry in `clip.features`."""

    suffix: str
    words: str
    reading: str
    minimum: int  # frames of a stretch of speech, and of a clip
    view: str
    whole: bool = True


VARIANTS = (
    Variant("", "", "syncnet", 50, "SyncNet v2 (weights by path) on whole frames resized to 224, no face detection"),
    Variant(
        "_face", " (face crop)", "syncnet_face", 50,
        "SyncNet v2 on S3FD's face (weights by path), cropped and smoothed as in syncnet-python, longest track", False,
    ),
    Variant(
        "_small", " (small probe)", "sync", 25,
        "sync probe: SyncNet's architecture at an eighth of its width, on the mouth's square of the frame at 64 "
        "pixels, features scaled to unit length, trained on true videos of training identities",
    ),
)  # fmt: skip
_ORDER = (("ground_truth", "vae_round_trip"), ("vae_round_trip", "frozen_reference"))
_LATE = (("vae_round_trip", "shuffled_partner"), ("ground_truth", "time_shifted_audio"))


def _cards(variant: Variant) -> Iterator[MetricCard]:
    for whole in (False, True) if variant.whole else (False,):
        part, suffix = ("whole", f"{variant.suffix}_whole") if whole else ("speech", variant.suffix)
        words = f"{variant.words}, whole clip" if whole else variant.words
        scope = (
            "the whole clip of at least {n} frames, listening included"
            if whole
            else "stretches of avatar speech of at least {n} frames, each as if cut out, all windows in one mean"
        ).format(n=variant.minimum)
        common = {
            "per": "clip", "parts": (part,), "source": _SOURCE, "from_readings": True,
            "disagreements": _OWN if variant.suffix == "_small" else _DISAGREEMENTS,
            "protocol": f"{variant.view}; 25 fps, MFCC of 16 kHz, shifts of +-{SHIFT} frames, sound beyond the ends "
            f"padded with zeros; {scope}",
        }  # fmt: skip
        order = {"separates": _ORDER + (_LATE if variant.suffix == "_small" else ()), "separates_parts": (part,)}
        if whole:
            order = {"unordered": "while the avatar listens its mouth fits silence at any shift, moving or not"}
        yield MetricCard(
            f"lse_d{suffix}", f"LSE-D{words}", "1", "lower", (0.0, float("inf")), **common, **order,
            definition="Smallest mean distance of lip and voice features over all shifts of the voice: how well the "
            "mouth fits the voice at its best alignment. A constant delay of up to 15 frames costs it little.",
            equation=r"\min_{\delta}m(\delta),\quad m(\delta)=\frac1T\sum_t\left\|v_t-a_{t+\delta}\right\|",
        )  # fmt: skip
        yield MetricCard(
            f"lse_c{suffix}", f"LSE-C{words}", "1", "higher", (0.0, float("inf")), **common, **order,
            definition="How far the best shift's distance lies below the median over shifts: SyncNet's confidence.",
            equation=r"\operatorname{median}_{\delta}m(\delta)-\min_{\delta}m(\delta)",
        )  # fmt: skip
        yield MetricCard(
            f"lse_offset{suffix}", f"LSE offset{words}", "frame", "truth", (-float(SHIFT), float(SHIFT)), **common,
            separates=(("ground_truth", "time_shifted_audio"),) if not whole else (),
            separates_parts=(part,) if not whole else (),
            definition="The shift at which lips and voice fit best; above 0 the voice comes early.",
            equation=r"-\arg\min_{\delta}m(\delta)",
            unordered="a mouth that fits the voice at no shift has a best shift all the same, by chance",
        )  # fmt: skip
        if not whole:
            yield MetricCard(
                f"lse_coverage{suffix}", f"LSE coverage{words}", "1", "higher", (0.0, 1.0), **common,
                definition="Share of the clip's frames in the stretches of speech on which LSE was scored.",
                equation=r"|S|/T", unordered="it counts what could be scored and says nothing of its quality",
            )  # fmt: skip


CARDS = tuple(card for variant in VARIANTS for card in _cards(variant))


def clip_values(clip, tools) -> Iterator[Value]:
    for variant in VARIANTS:
        for whole in (False, True) if variant.whole else (False,):
            yield from _variant_values(clip, variant, whole)


def _variant_values(clip, variant: Variant, whole: bool) -> Iterator[Value]:
    part, suffix = ("whole", f"{variant.suffix}_whole") if whole else ("speech", variant.suffix)
    frames = np.ones(clip.frames, bool) if whole else clip.speaking
    missing = "too_few_frames" if whole else "no_speech"
    for side, label in (("generated", part), ("true", truth_part(part))):
        names = ["lse_offset"] if side == "true" else ["lse_d", "lse_c", "lse_offset"]
        covered = side == "generated" and not whole
        try:
            reading = clip.features.get(f"{variant.reading}_{side}")
            if reading is None:
                raise Undefined("weights_missing")
            if not whole:
                clip.counted(speaking=True)
            spans = scored(reading, frames, variant.minimum, missing)
            found = dict(zip(("lse_d", "lse_c", "lse_offset"), lse(curve(reading, spans)), strict=True))
            for name in names:
                yield Value(f"{name}{suffix}", label, found[name])
            if covered:
                share = sum(b - a for a, b in spans) / clip.frames
                yield Value(f"lse_coverage{suffix}", label, share)
        except Undefined as failure:
            for name in names + ["lse_coverage"] * covered:
                yield undefined(f"{name}{suffix}", label, failure.status)
