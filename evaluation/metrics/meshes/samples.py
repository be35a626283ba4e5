"""Of several samples for one clip: the error of their mean, of the best one, and how much they differ."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from dyads.seeding import rng
from evaluation.cards import MetricCard, Value, undefined
from evaluation.metrics._points import both, distances
from evaluation.metrics._series import Undefined
from evaluation.metrics.meshes._regions import PROTOCOL, UNIT, card, chosen_vertices, meshes
from evaluation.metrics.meshes.lve import lve

PAIRS = 5


def mee(samples: Sequence[np.ndarray], true: np.ndarray) -> float:
    """Mean estimate error (ProbTalk3D): `lve` of the mean of the samples, each (T, V, 3).

    Undefined: `too_few_samples` below two, `length_mismatch`, and those of `lve`.
    """
    _require(samples, 2)
    if any(np.shape(sample) != np.shape(true) for sample in samples):
        raise Undefined("length_mismatch")
    return lve(np.mean(samples, axis=0), true)


def coverage_error(samples: Sequence[np.ndarray], true: np.ndarray) -> float:
    """CE (ProbTalk3D): the least `lve` among the samples. Undefined as `mee`."""
    _require(samples, 2)
    return min(lve(sample, true) for sample in samples)


def diversity(samples: Sequence[np.ndarray], pairs: int = PAIRS, seed: int = 0) -> float:
    """Mean distance within `pairs` disjoint random pairs of samples (T, V, 3), seeded (ProbTalk3D's are not).

    Undefined `too_few_samples`: fewer than two for each pair.
    """
    _require(samples, 2 * pairs)
    order = rng(seed, "evaluation.diversity").permutation(len(samples))
    chosen = [(samples[order[2 * k]], samples[order[2 * k + 1]]) for k in range(pairs)]
    return float(np.mean([distances(*both(a, b)).mean() for a, b in chosen]))


def diversity_of_all(samples: Sequence[np.ndarray]) -> float:
    """FaceDiffuser's form: mean distance of all pairs of samples (T, V, 3). Undefined `too_few_samples` below two."""
    _require(samples, 2)
    pairs = [(a, b) for k, a in enumerate(samples) for b in samples[k + 1 :]]
    return float(np.mean([distances(*both(a, b)).mean() for a, b in pairs]))


def _require(samples: Sequence[np.ndarray], least: int) -> None:
    if len(samples) < least:
        raise Undefined("too_few_samples")


_PROTOCOL = f"several generated samples of one clip (`--samples` of evaluation.score); {PROTOCOL}"
_ONE = "every control is one sample of a clip, so no study can show an order"
_MAX = r"\max_{v\in\text{lips}}\left\|\hat x^{(s)}_{tv}-x_{tv}\right\|^2"
_PAIR = r"\frac1{TV}\sum_{t,v}\left\|\hat x^{(s)}_{tv}-\hat x^{(s')}_{tv}\right\|"


def _card(
    name: str, label: str, part: str, definition: str, equation: str, source: str, *disagreements: str, **others
) -> MetricCard:
    unit = f"{UNIT} squared" if part == "lips" else UNIT
    alone = {"protocol": _PROTOCOL, "separates": (), "separates_parts": (), **others}
    return card(name, label, unit, part, definition, equation, source, disagreements, **alone)


_NOISE = "noise of the points is diversity too, and so is a wrong answer: read it beside MEE and CE"
CARDS = (
    _card(
        "mee",
        "MEE",
        "lips",
        "LVE of the mean of several samples: what is left of the error when their differences are averaged away.",
        r"\frac1T\sum_t\max_{v\in\text{lips}}\left\|\frac1S\sum_s\hat x^{(s)}_{tv}-x_{tv}\right\|^2",
        "ProbTalk3D (c7d157a), of 10 samples",
        "It falls with the number of samples: of independent errors 1/S is left. Never above the mean "
        "LVE of the samples, so it is no error of any one of them.",
        unordered=_ONE,
    ),
    _card(
        "coverage_error",
        "CE",
        "lips",
        "LVE of the best of several samples.",
        rf"\min_s\frac1T\sum_t{_MAX}",
        "ProbTalk3D (c7d157a), of 10 samples",
        "It falls with the number of samples, whatever they are. ProbTalk3D pools the frames of all clips; here it is "
        "the mean of clips.",
        unordered=_ONE,
    ),
    _card(
        "diversity",
        "Diversity",
        "all",
        f"Mean distance of the vertices within {PAIRS} disjoint pairs of ten or more samples, drawn by a seed.",
        rf"\frac1{{{PAIRS}}}\sum_{{(s,s')}}{_PAIR}",
        "ProbTalk3D (c7d157a)",
        "ProbTalk3D draws its pairs without a seed: its own value changes from run to run. See diversity_of_all.",
        "Called the same, of sets of clips: Var and SID.",
        direction="higher",
        unordered=f"{_ONE}; {_NOISE}",
    ),
    _card(
        "diversity_of_all",
        "Diversity (all pairs)",
        "all",
        "Mean distance of the vertices within all pairs of two or more samples.",
        rf"\frac2{{S(S-1)}}\sum_{{s<s'}}{_PAIR}",
        "FaceDiffuser (e15f350)",
        "FaceDiffuser's pairs are of conditions (speaking styles), those here are whatever was given as samples.",
        direction="higher",
        unordered=f"{_ONE}; {_NOISE}",
    ),
)
AGAINST: dict[str, Callable] = {"mee": mee, "coverage_error": coverage_error}
AMONG: dict[str, Callable] = {"diversity": diversity, "diversity_of_all": diversity_of_all}


def clip_values(clip, tools) -> Iterator[Value]:
    for name, function in AMONG.items():
        yield _value(name, "all", lambda f=function: f(_samples(clip, "all")))
    for name, function in AGAINST.items():
        yield _value(name, "lips", lambda f=function: f(_samples(clip, "lips"), meshes(clip, "lips")[1]))


def _value(name: str, part: str, find: Callable[[], float]) -> Value:
    try:
        return Value(name, part, find())
    except Undefined as failure:
        return undefined(name, part, failure.status)


def _samples(clip, region: str) -> list[np.ndarray]:
    """Vertices (T, V, 3) of a region in every sample. Undefined: the status of the first one that has none."""
    first, _ = meshes(clip, region)
    for sample in clip.samples:
        if isinstance(sample, str):
            raise Undefined(sample)
        if sample.shape != clip.features["vertices_generated"].shape:
            raise Undefined("length_mismatch")
    chosen = chosen_vertices(clip, region, clip.features["vertices_generated"].shape[1])
    return [first, *(np.asarray(sample, np.float64)[:, chosen] for sample in clip.samples)]
