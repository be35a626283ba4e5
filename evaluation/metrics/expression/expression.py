"""Expression against the oracle: correlation, amplitude and valence of what the avatar shows in answer to the user.

The oracle is the world's expected expression given what the avatar could observe, so the score does not punish a
method for the truth's free randomness. Everything is change relative to the clip's reference image.
"""

from collections.abc import Iterator

import numpy as np

from evaluation.cards import MetricCard, Value, truth_part, undefined
from evaluation.clips import EXPRESSION_PARTS, Clip, columns
from evaluation.metrics._series import (
    CONSTANT_SD,
    Undefined,
    follows,
    require_alike,
    require_finite,
    require_frames,
    slope,
)
from evaluation.metrics._sums import Products

CUES = {"cue_face": 1, "cue_voice": 2, "cue_words": 4}
LEAST_SLOPE = 1e-3  # of the truth on the oracle; below, their ratio is noise
VISIBLE = 0.15  # smile units; half of a polite smile
_PROTOCOL = (
    "motion probe minus its reading of the reference image, against the oracle's expected coefficients minus the "
    "true ones of the reference image; channels centred over all test frames, then pooled"
)
_CUE_NOTE = "; cue_*: frames in which an event shown only in the user's face, voice or words drives the oracle"
_SOURCE = "ours, possible because the synthetic world is known; no recorded data set can give it"
_DISAGREEMENTS = (
    "Nobody else has it: on recorded dialogues the expectation is unknown, and one true answer among many stands for "
    "it in every published metric.",
)

CARDS = (
    MetricCard(
        name="expression_correlation",
        label="Expr. corr.",
        unit="1",
        direction="higher",
        range=(-1.0, 1.0),
        per="set",
        parts=(*EXPRESSION_PARTS, *CUES),
        definition="Correlation of the generated with the expected change of expression, the expectation being over "
        "the world's free randomness given what the avatar could observe: does it answer the user rightly and in time. "
        "A face that stands still answers nothing: 0.",
        equation=r"r\left(\hat y_t-y_0,\,\mathrm{E}[y_t\mid\text{observed}]-y_0\right)",
        disagreements=_DISAGREEMENTS,
        protocol="Pearson r; " + _PROTOCOL + _CUE_NOTE + "; also written per clip, for paired tests",
        source=_SOURCE,
        clip_rows=True,
        from_readings=True,
        separates=(
            ("oracle_expression", 0.8),
            ("oracle_expression", "shuffled_partner"),
            ("ground_truth", "shuffled_partner"),
            ("ground_truth", "vae_round_trip"),
            ("vae_round_trip", "shuffled_partner"),
            ("vae_round_trip", "frozen_reference"),
        ),
        separates_parts=("smile", "brows", "all"),
    ),
    MetricCard(
        name="expression_amplitude",
        label="Expr. amplitude",
        unit="1",
        direction="truth",
        range=(-float("inf"), float("inf")),
        per="set",
        parts=(*EXPRESSION_PARTS, *CUES),
        definition="Size of the generated answer along the expected one, as a share of the truth's. A correlation can "
        "be right at a size nobody sees.",
        equation=r"\operatorname{slope}(\hat y,\mathrm{E}[y])\,/\,\operatorname{slope}(y,\mathrm{E}[y])",
        disagreements=_DISAGREEMENTS,
        protocol="slope of the generated on the oracle's expression divided by the slope of the true on the "
        "oracle's; 1 is the truth's own size; " + _PROTOCOL + _CUE_NOTE,
        source=_SOURCE,
        clip_rows=True,
        from_readings=True,
        separates=(
            ("ground_truth", "vae_round_trip"),
            ("vae_round_trip", "frozen_reference"),
            ("ground_truth", "frozen_reference"),
            ("ground_truth", "shuffled_partner"),
        ),
        separates_parts=("smile", "brows", "all"),
    ),
    MetricCard(
        name="expression_valence",
        label="Valence acc.",
        unit="1",
        direction="higher",
        range=(0.0, 1.0),
        per="set",
        parts=("smile",),
        definition="How often the generated smile is visibly positive, visibly negative or neither when the expected "
        "one is, each class counted alike.",
        equation=r"\frac1C\sum_{c}\Pr\left(\hat c_t=c\mid c_t=c\right)",
        disagreements=_DISAGREEMENTS,
        protocol=f"balanced accuracy over frames of smile change below -{VISIBLE}, between, above {VISIBLE}, "
        "generated against the oracle; the same threshold for both, so it asks for a visible expression; chance 1/3",
        source=_SOURCE,
        clip_rows=True,
        from_readings=True,
        separates=(
            ("ground_truth", "vae_round_trip"),
            ("vae_round_trip", "frozen_reference"),
            ("ground_truth", "shuffled_partner"),
            ("oracle_expression", "shuffled_partner"),
        ),
        separates_parts=("smile",),
    ),
)


def expression_correlation(generated: np.ndarray, oracle: np.ndarray) -> float:
    """Pearson r of two (N, D) expression changes, channels centred and pooled; 0 of a generated face that is still."""
    return follows(generated, oracle)


def expression_amplitude(generated: np.ndarray, true: np.ndarray, oracle: np.ndarray) -> float:
    """Slope of `generated` on `oracle` over the slope of `true` on `oracle`, all (N, D).

    Undefined `constant_series`: the oracle does not move, or the truth does not follow it at all; `not_finite`.
    """
    require_alike(generated, true, oracle)
    require_finite(generated, true, oracle)
    truth = slope(true, oracle, constant_sd=CONSTANT_SD)
    if truth < LEAST_SLOPE:
        raise Undefined("constant_series")
    return slope(generated, oracle, constant_sd=CONSTANT_SD) / truth


def valence_accuracy(generated: np.ndarray, oracle: np.ndarray) -> float:
    """Balanced accuracy of the three valence classes of two (N,) smile changes; in [0, 1].

    Undefined `constant_series`: the oracle shows fewer than two classes; `not_finite`: NaN has no class.
    """
    require_alike(generated, oracle)
    require_frames(len(oracle), 3)
    require_finite(generated, oracle)
    classes = [np.digitize(series, (-VISIBLE, VISIBLE)) for series in (generated, oracle)]
    recalls = [(classes[0][classes[1] == c] == c).mean() for c in range(3) if (classes[1] == c).any()]
    if len(recalls) < 2:
        raise Undefined("constant_series")
    return float(np.mean(recalls))


def changes(clip: Clip, names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(generated, true, oracle) change relative to the reference image, float64 (T, D) each."""
    here, there = columns(clip.names, names), columns(clip.truth.names, names)
    reference = clip.motion_reference[here].astype(np.float64)
    start = clip.truth.avatar[0, there].astype(np.float64)
    return (
        clip.motion_generated[:, here] - reference,
        clip.motion_true[:, here] - reference,
        clip.truth.expected[:, there] - start,
    )


def _selections(clip: Clip) -> Iterator[tuple[str, list[np.ndarray]]]:
    """Each part with its (generated, true, oracle) arrays over the frames that belong to it."""
    for part, names in EXPRESSION_PARTS.items():
        whole = [*changes(clip, names)]
        yield part, whole
        if part == "all":
            for name, bit in CUES.items():
                yield name, [array[clip.truth.cue == bit] for array in whole]


def _value(name: str, part: str, function, *arguments) -> Value:
    try:
        return Value(name, part, function(*arguments))
    except Undefined as failure:
        return undefined(name, part, failure.status)


def clip_values(clip, tools) -> Iterator[Value]:
    _require_truth([clip])
    for part, (generated, true, oracle) in _selections(clip):
        yield _value("expression_correlation", part, expression_correlation, generated, oracle)
        yield _value("expression_amplitude", part, expression_amplitude, generated, true, oracle)
        yield _value("expression_amplitude", truth_part(part), expression_amplitude, true, true, oracle)
        if part == "smile":
            yield _value("expression_valence", part, valence_accuracy, generated[:, 0], oracle[:, 0])


def set_values(clips, tools) -> Iterator[Value]:
    _require_truth(clips)
    sums: dict[str, Products] = {}
    seen = np.zeros((3, 3), np.int64)
    for clip in clips:
        for part, arrays in _selections(clip):
            sums.setdefault(part, Products()).add(*arrays)
            if part == "smile":
                seen += _classes(arrays[0][:, 0], arrays[2][:, 0])
    for part, own in sums.items():
        yield _value("expression_correlation", part, _correlation, own)
        yield _value("expression_amplitude", part, _amplitude, own, 0)
        yield _value("expression_amplitude", truth_part(part), _amplitude, own, 1)
        if part == "smile":
            yield _value("expression_valence", part, _valence, own, seen)


def _correlation(sums: Products) -> float:
    """`expression_correlation` from sums over generated 0, true 1 and oracle 2."""
    _require_sums(sums)
    generated, oracle = sums.pooled_spread(0), sums.pooled_spread(2)
    if oracle <= CONSTANT_SD:
        raise Undefined("constant_series")
    return 0.0 if generated <= CONSTANT_SD else sums.correlation(0, 2)


def _amplitude(sums: Products, side: int) -> float:
    """`expression_amplitude` of the generated (0) or of the true (1) series."""
    _require_sums(sums)
    if sums.pooled_spread(2) <= CONSTANT_SD or (truth := sums.slope(1, 2)) < LEAST_SLOPE:
        raise Undefined("constant_series")
    return sums.slope(side, 2) / truth


def _classes(generated: np.ndarray, oracle: np.ndarray) -> np.ndarray:
    """Frames by valence class, oracle's (3) by generated's (3); of a frame with NaN, wherever: `_valence` looks."""
    classes = [np.digitize(series, (-VISIBLE, VISIBLE)) for series in (oracle, generated)]
    return np.bincount(3 * classes[0] + classes[1], minlength=9).reshape(3, 3)


def _valence(sums: Products, seen: np.ndarray) -> float:
    """`valence_accuracy` from counts; the sums tell of NaN and of too few frames."""
    _require_sums(sums)
    there = seen.sum(1) > 0
    if there.sum() < 2:
        raise Undefined("constant_series")
    return float((np.diag(seen)[there] / seen.sum(1)[there]).mean())


def _require_sums(sums: Products) -> None:
    if not sums.finite:
        raise Undefined("not_finite")
    require_frames(sums.count, 3)


def _require_truth(clips) -> None:
    if any(not clip.names or clip.truth is None for clip in clips):
        raise Undefined("no_truth")
