"""rPCC: how far the correlation of the generated avatar with the user departs from that of the true avatar."""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from evaluation.cards import MetricCard, Value, undefined
from evaluation.clips import MOTION_PARTS
from evaluation.metrics._parts import part_sums
from evaluation.metrics._series import CONSTANT_SD, Undefined, require_alike, require_finite, require_frames
from evaluation.metrics._sums import NOTHING, PairSums, correlations, pair_sums

SAME = 1e-8  # a standard deviation below which all values are one, as `pearson` has it
SOURCES = ("generated", "true", "user")
_ORDER = (("ground_truth", "vae_round_trip"), ("vae_round_trip", "shuffled_partner"))
_COMMON = {
    "unit": "1",
    "direction": "lower",
    "range": (0.0, 2.0),
    "parts": MOTION_PARTS,
    "disagreements": (
        "Four quantities go by this name: DIM's released evaluation flattens frames and dimensions of all clips "
        "(rpcc_pooled); a script for DualTalk's data flattens each clip and averages the differences (rpcc_clip); "
        "lm-listener correlates each channel (rpcc, rpcc_dimension). Avatar Forcing's Eq. 16 does not say which "
        "dimensions; ECHO and ARIG print one number on RealTalk without saying of what.",
        "DIM's value on ViCo is NaN as published: its loader overwrites the speaker's motion with ones.",
        "A still dimension has no correlation. Others print NaN, or skip it, which rewards a method for standing still "
        "where it would be wrong; rpcc and rpcc_dimension charge a still dimension the largest gap there is, 1 + |r|.",
    ),
}
CARDS = (
    MetricCard(
        name="rpcc",
        label="rPCC",
        per="clip",
        definition="Difference between the true and the generated avatar's correlation with the user, per clip and "
        "dimension. It asks for the truth's size of coupling, not for the right reaction at the right time.",
        equation=r"\frac1D\sum_d\left|r(y_d,x_d)-r(\hat y_d,x_d)\right|,\quad"
        r"1+\left|r(y_d,x_d)\right|\text{ where }\hat y_d\text{ stands still}",
        protocol="motion probe; per clip |r(true, user) - r(generated, user)|, mean over the dimensions in which the "
        "true avatar and the user move; undefined if there is none. A generated dimension that stands still counts as "
        "the largest gap that any motion could have, 1 + |r(true, user)|, so standing still never lowers a value",
        source="form of the paper's Eq.; per dimension and centred, hence robust to static offsets",
        separates=_ORDER,
        separates_parts=("expression", "pose"),
        from_readings=True,
        **_COMMON,
    ),
    MetricCard(
        name="rpcc_clip",
        label="rPCC (clip, flattened)",
        per="clip",
        definition="As rPCC, with one correlation of all frames and dimensions of a clip; a still face has one too, "
        "because the dimensions' means differ.",
        equation=r"\left|r(\operatorname{vec}y,\operatorname{vec}x)-"
        r"r(\operatorname{vec}\hat y,\operatorname{vec}x)\right|",
        protocol="motion probe; per clip, frames and dimensions flattened into one correlation each, then the "
        "difference; dominated by the dimensions' means",
        source="as in a published script for DualTalk's data",
        separates=_ORDER,
        separates_parts=("expression", "pose"),
        from_readings=True,
        **_COMMON,
    ),
    MetricCard(
        name="rpcc_dimension",
        label="rPCC (dimension)",
        per="set",
        definition="As rPCC, with one correlation a dimension over the frames of all clips: a short clip's chance "
        "correlation with anything averages out, and with it most of the floor under the per-clip value.",
        equation=r"\frac1D\sum_d\left|r(y_d^{1..N},x_d^{1..N})-r(\hat y_d^{1..N},x_d^{1..N})\right|,"
        r"\quad\text{each clip centred}",
        protocol="motion probe; each clip centred, the frames of all clips then as rPCC, still dimensions too",
        source="ours; lm-listener's per-channel correlation, pooled over clips",
        separates=_ORDER,
        separates_parts=("expression", "pose"),
        **_COMMON,
    ),
    MetricCard(
        name="rpcc_pooled",
        label="rPCC (pooled)",
        per="set",
        definition="As rPCC, with a single correlation of all frames and dimensions of all clips; a still face has "
        "one too.",
        equation=r"\left|r(\operatorname{vec}y^{1..N},\operatorname{vec}x^{1..N})-"
        r"r(\operatorname{vec}\hat y^{1..N},\operatorname{vec}x^{1..N})\right|",
        protocol="motion probe; all clips and dimensions flattened into one correlation each, then the "
        "difference; dominated by the dimensions' means",
        source="as in DIM's released evaluation",
        separates=(("ground_truth", "vae_round_trip"), ("ground_truth", "shuffled_partner")),
        separates_parts=("expression",),
        unordered="the dimensions' means decide both correlations, so their difference is small for anything with the "
        "right means: a still face or another dialogue's motion can come out before the VAE round trip",
        **_COMMON,
    ),
)


def rpcc(generated: np.ndarray, true: np.ndarray, user: np.ndarray, still: float = CONSTANT_SD) -> float:
    """Mean over dimensions of |r(true_d, user_d) - r(generated_d, user_d)|; inputs (T, D).

    Only dimensions in which the true avatar and the user move count; a method cannot choose them. A generated series
    that stands still in one has the largest gap that a moving one could have there, 1 + |r(true_d, user_d)|.
    Undefined: fewer than 3 frames, no such dimension, or a value that is not finite.
    """
    return _of_dimensions(pair_sums(generated, true, user), still)


def rpcc_pooled(generated: np.ndarray, true: np.ndarray, user: np.ndarray) -> float:
    """|r - r'| of the flattened arrays, (N, D) each: of one clip, or of all. Undefined: fewer than 3 frames, or NaN."""
    require_alike(generated, true, user)
    require_frames(len(true), 3)
    return _of_clip(pair_sums(*(np.reshape(series, (len(series), -1)) for series in (generated, true, user))))


def clip_values(clip, tools) -> Iterator[Value]:
    for part in MOTION_PARTS:
        try:
            sums = part_sums(clip, part)
        except Undefined as failure:
            sums = failure.status
        yield _value("rpcc", part, partial(_of_dimensions, still=clip.still), sums)
        yield _value("rpcc_clip", part, _of_clip, sums)


def set_values(clips, tools) -> Iterator[Value]:
    """From one walk through the clips: some are read from disk at every one."""
    still, failed = CONSTANT_SD, {}
    centred, flat = dict.fromkeys(MOTION_PARTS, NOTHING), dict.fromkeys(MOTION_PARTS, NOTHING)
    for k, clip in enumerate(clips):
        still = still if k else clip.still
        for part in MOTION_PARTS:
            try:
                sums = part_sums(clip, part)
            except Undefined as failure:
                failed.setdefault(part, failure.status)
                continue
            centred[part] = centred[part].joined(sums.centred())
            flat[part] = flat[part].joined(sums.flattened())
    for part in MOTION_PARTS:
        of_all = partial(_of_all, frames=centred[part].count)
        yield _value("rpcc_dimension", part, partial(_of_dimensions, still=still), failed.get(part, centred[part]))
        yield _value("rpcc_pooled", part, of_all, failed.get(part, flat[part]))


def _value(metric: str, part: str, function: Callable[[PairSums], float], sums: PairSums | str) -> Value:
    """What `function` makes of a part's sums; NaN with a status where it makes nothing of them, or there are none."""
    if isinstance(sums, str):
        return undefined(metric, part, sums)
    try:
        return Value(metric, part, function(sums))
    except Undefined as failure:
        return undefined(metric, part, failure.status)


def _of_dimensions(sums: PairSums, still: float) -> float:
    """`rpcc`, and `rpcc_dimension` of the sums of centred clips."""
    require_frames(sums.count, 3)
    require_finite(sums.products)
    spread = np.sqrt(sums.products[:3] / sums.count)
    moving = spread[1:].min(0) > still
    if not moving.any():
        raise Undefined("constant_series")
    gg, tt, uu, gu, tu = sums.products[:, moving]
    own, made = correlations(tu, tt, uu), correlations(gu, gg, uu)
    return float(np.where(spread[0, moving] > still, np.abs(own - made), 1 + np.abs(own)).mean())


def _of_clip(sums: PairSums) -> float:
    return _of_all(sums.flattened(), sums.count)


def _of_all(flat: PairSums, frames: int) -> float:
    """`rpcc_pooled`, and `rpcc_clip` of one clip's sums; of flattened ones."""
    require_frames(min(flat.count, frames), 3)
    require_finite(flat.products)
    gg, tt, uu, gu, tu = flat.products[:, 0]
    if np.sqrt(min(gg, tt, uu) / flat.count) <= SAME:
        raise Undefined("constant_series")
    return float(abs(correlations(tu, tt, uu) - correlations(gu, gg, uu)))
