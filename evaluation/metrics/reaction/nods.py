"""Nods after the user's cue: does the avatar's head nod where the oracle's does, and in time."""

from collections.abc import Iterator

import numpy as np

from dyads.contract import FPS
from evaluation.cards import MetricCard, Value, undefined
from evaluation.clips import Clip, columns
from evaluation.metrics._series import CONSTANT_SD, Undefined, pearson, require_finite

DUE = 0.04  # of the oracle's pitch in its units: a tenth of a whole nod
AROUND = 6  # frames before and after the stretch in which a nod is due
REACH = 9  # frames: below a nod's period, which would be found as well
FOLLOWED = 0.1  # correlation at the best delay; below it there is no nod whose time could be told
_PROTOCOL = (
    "motion probe's pitch against the oracle's; stretches in which the avatar is silent and the oracle's pitch is more "
    f"than {DUE} from rest, {AROUND} frames more on each side; each stretch less its own straight line, for the head "
    "moves slowly by itself, then pooled"
)
_COMMON = {
    "per": "set",
    "parts": ("due",),
    "source": "ours, possible because the synthetic world is known; nods after a listener's cue as in Ward & Tsukahara "
    "2000",
    "clip_rows": True,
    "from_readings": True,
    "disagreements": (
        "Beat metrics count nods anywhere; only a known world tells where one was due, and that it may be left out "
        "there: the true avatar nods in some of the places, hence does not reach 1.",
    ),
}
CARDS = (
    MetricCard(
        name="nod_correlation",
        label="Nods",
        unit="1",
        direction="higher",
        range=(-1.0, 1.0),
        definition="Correlation of the head's pitch with the oracle's around the places where the user's speech asks "
        "for a nod. A head that stands still nods nowhere: 0.",
        equation=r"r\left(\hat y^{\text{pitch}}_t,\,\mathrm{E}[y^{\text{pitch}}_t\mid\text{observed}]\right)",
        protocol="Pearson r; " + _PROTOCOL + "; also written per clip, for paired tests",
        separates=(
            ("oracle_expression", "ground_truth"),
            ("ground_truth", "shuffled_partner"),
            ("ground_truth", "frozen_reference"),
        ),
        separates_parts=("due",),
        unordered="a nod is some frames of small motion: the autoencoder's part in it was not measured to be ordered",
        **_COMMON,
    ),
    MetricCard(
        name="nod_delay",
        label="Nod delay",
        unit="s",
        direction="lower",
        range=(0.0, REACH / FPS),
        definition="How much too early or late the nods come where they are made at all: size of the delay at which "
        "the pitch goes most with the oracle's.",
        equation=r"\left|\arg\max_\ell r\left(\hat y^{\text{pitch}}_{t+\ell},\,\mathrm{E}[y^{\text{pitch}}_t]\right)"
        r"\right|,\quad|\ell|\le9",
        protocol=f"the delay of the greatest correlation within {REACH} frames, in seconds; no_nod where none reaches "
        f"{FOLLOWED}; " + _PROTOCOL,
        unordered="a head that nods nowhere has no delay, and another dialogue's pitch has any",
        **_COMMON,
    ),
)


def due(oracle: np.ndarray, speaking: np.ndarray) -> list[slice]:
    """Stretches in which the user's speech asks for a nod, of the oracle's pitch less its rest, (T,), and bool (T,)."""
    asked = (np.abs(oracle) > DUE) & ~speaking
    near = np.convolve(asked, np.ones(2 * AROUND + 1), "same") > 0.5  # joins the two halves of a nod
    edges = np.flatnonzero(np.diff(np.r_[False, near, False]))
    return [slice(first, last) for first, last in edges.reshape(-1, 2)]


def straightened(series: np.ndarray) -> np.ndarray:
    """A stretch (n,) less its least-squares line."""
    time = np.arange(len(series)) - (len(series) - 1) / 2
    return series - series.mean() - time * (time @ series) / max(time @ time, 1.0)


def nods(generated: list[np.ndarray], oracle: list[np.ndarray], speaking: list[np.ndarray]) -> tuple[float, float]:
    """Correlation at no delay, and |delay| in seconds (NaN where no delay reaches `FOLLOWED`), of pitches (T,) a clip.

    Undefined `no_nod`: none is due.
    """
    require_finite(*generated, *oracle)
    places = [(k, place) for k, (o, s) in enumerate(zip(oracle, speaking, strict=True)) for place in due(o, s)]
    if not places:
        raise Undefined("no_nod")
    found = {}
    for delay in range(-REACH, REACH + 1):
        pairs = []
        for k, place in places:
            first, last = max(place.start, -delay, 0), min(place.stop, len(oracle[k]), len(oracle[k]) - delay)
            if last - first > 2:
                moved = generated[k][first + delay : last + delay]
                pairs.append((straightened(moved), straightened(oracle[k][first:last])))
        found[delay] = _correlation(*(np.concatenate(side) for side in zip(*pairs, strict=True))) if pairs else 0.0
    best = max(found, key=lambda delay: (found[delay], -abs(delay)))
    return found[0], abs(best) / FPS if found[best] >= FOLLOWED else float("nan")


def _correlation(generated: np.ndarray, oracle: np.ndarray) -> float:
    """0 of a head that stands still."""
    return pearson(generated, oracle) if generated.std() > CONSTANT_SD / 4 else 0.0


def _measured(clips: list[Clip]) -> Iterator[Value]:
    if any(clip.truth is None or not clip.names for clip in clips):
        raise Undefined("no_truth")
    generated = [clip.motion_generated[:, columns(clip.names, ("pitch",))[0]].astype(np.float64) for clip in clips]
    expected = [clip.truth.expected[:, columns(clip.truth.names, ("pitch",))[0]].astype(np.float64) for clip in clips]
    rest = [clip.truth.avatar[0, columns(clip.truth.names, ("pitch",))[0]] for clip in clips]
    oracle = [series - start for series, start in zip(expected, rest, strict=True)]
    correlation, delay = nods(generated, oracle, [clip.speaking for clip in clips])
    yield Value("nod_correlation", "due", correlation)
    yield Value("nod_delay", "due", delay) if np.isfinite(delay) else undefined("nod_delay", "due", "no_nod")


def clip_values(clip, tools) -> Iterator[Value]:
    yield from _measured([clip])


def set_values(clips, tools) -> Iterator[Value]:
    yield from _measured(clips)
