"""rPCC: how far the correlation of the generated avatar with the user departs from that of the true avatar."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from evaluation.cards import MetricCard, Value
from evaluation.clips import MOTION_PARTS
from evaluation.metrics._parts import part_value, sums_value
from evaluation.metrics._series import (
    CONSTANT_SD,
    Undefined,
    pearson,
    require_alike,
    require_finite,
    require_frames,
)
from evaluation.metrics._sums import Products, correlations, flat

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
    require_alike(generated, true, user)
    require_frames(len(true), 3)
    require_finite(generated, true, user)
    generated, true, user = (series - series.mean(0) for series in map(_double, (generated, true, user)))
    spread = [np.sqrt(_together(series, series)) for series in (generated, true, user)]
    moving = np.minimum(spread[1], spread[2]) > still
    if not moving.any():
        raise Undefined("constant_series")
    moves = spread[0] > still
    own = _together(true, user)[moving] / (spread[1] * spread[2])[moving]
    made = _together(generated, user)[moving] / (np.where(moves, spread[0], np.inf) * spread[2])[moving]
    own, made = np.clip(own, -1, 1), np.clip(made, -1, 1)
    return float(np.where(moves[moving], np.abs(own - made), 1 + np.abs(own)).mean())


def _double(series: np.ndarray) -> np.ndarray:
    return np.asarray(series, np.float64)


def _together(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Mean product over frames of (T, D), by dimension."""
    return np.einsum("td,td->d", a, b) / len(a)


def rpcc_pooled(generated: np.ndarray, true: np.ndarray, user: np.ndarray) -> float:
    """|r - r'| of the flattened arrays, (N, D) each: of one clip, or of all. Undefined: fewer than 3 frames, or NaN."""
    require_alike(generated, true, user)
    require_frames(len(true), 3)
    require_finite(generated, true, user)
    user = user.ravel()
    return abs(pearson(true.ravel(), user) - pearson(generated.ravel(), user))


def clip_values(clip, tools) -> Iterator[Value]:
    for part in MOTION_PARTS:
        yield part_value("rpcc", part, partial(rpcc, still=clip.still), [clip], *SOURCES)
        yield part_value("rpcc_clip", part, rpcc_pooled, [clip], *SOURCES)


def set_values(clips, tools) -> Iterator[Value]:
    of_dimensions = partial(_of_dimensions, still=next((clip.still for clip in clips), CONSTANT_SD))
    for part in MOTION_PARTS:
        yield sums_value("rpcc_dimension", part, of_dimensions, clips, *SOURCES, each=_centred, least=3)
        yield sums_value("rpcc_pooled", part, _of_all, clips, *SOURCES, each=flat, least=3)


def _centred(series: np.ndarray) -> np.ndarray:
    return series - series.mean(0) if len(series) else series


def _of_dimensions(sums: Products, still: float) -> float:
    """`rpcc` from sums over generated 0, true 1 and user 2."""
    spread = np.stack([sums.spread(series) for series in range(3)])
    moving = spread[1:].min(0) > still
    if not moving.any():
        raise Undefined("constant_series")
    p = sums.products[:, :, moving]
    own, made = (correlations(p[series, 2], p[series, series], p[2, 2]) for series in (1, 0))
    return float(np.where(spread[0, moving] <= still, 1 + np.abs(own), np.abs(own - made)).mean())


def _of_all(sums: Products) -> float:
    """`rpcc_pooled` from sums over flattened series."""
    if min(sums.pooled_spread(series) for series in range(3)) <= SAME:
        raise Undefined("constant_series")
    return abs(sums.correlation(1, 2) - sums.correlation(0, 2))
