"""SID: Shannon entropy of generated motion over clusters of the true motion, a measure of diversity."""

import math
from collections.abc import Iterator
from hashlib import blake2b

import numpy as np

from evaluation.cards import MetricCard, Value, truth_part, undefined
from evaluation.clips import Clip
from evaluation.metrics._parts import motion
from evaluation.metrics._series import Undefined, require_finite, require_frames

CLUSTERS = {"expression": 15, "pose": 9, "all": 15}  # as the paper states
CLUSTERS_40_20 = {"expression": 40, "pose": 20, "all": 40}  # as code does, and most published values must have been
VARIANTS = {"sid": CLUSTERS, "sid_40_20": CLUSTERS_40_20}
MOST = 20_000  # frames that clusters are fitted on
STATES = 8  # clusterings; where one ends up is luck
MOST_COUNTED = 100_000  # frames that a histogram counts; of more, every s-th of each clip
CHUNK = 65_536  # frames whose distances are held at once
_BLIND = (("ground_truth", "time_shifted_audio"), ("vae_round_trip", "shuffled_partner"))


def _cards(name: str, label: str, k: dict[str, int], source: str) -> tuple[MetricCard, MetricCard]:
    """The card in bits, and the one divided by log2 k."""
    protocol = (
        "motion probe; k-means (scikit-learn, k-means++) fitted on the true frames of all clips, "
        f"k = {k['expression']} for expression and for all, {k['pose']} for pose; entropy in bits of the histogram of "
        f"assignments, mean over {STATES} clusterings (random_state 0 to {STATES - 1}), because one differs from the "
        f"next by 0.2 bit; of more than {MOST:,} true frames every 2nd, 4th, 8th, ... is clustered, so that no more "
        f"are; of more than {MOST_COUNTED:,} frames every s-th of each clip is counted"
    )
    definition = (
        "Entropy of the generated frames' histogram over clusters of the true frames: how many of the true "
        "expressions or poses occur, and how evenly. More is not better: noise spreads too, so the truth's own "
        "value is the aim."
    )
    common = {
        "direction": "truth",
        "per": "set",
        "parts": tuple(k),
        "source": source,
        "disagreements": (
            "k is 15/9 (expression/pose) in Avatar Forcing's and ECHO's text, 40/20 in DIM's released evaluation and "
            "DyStream, 40/10 in a script for DualTalk's data. Entropy cannot exceed log2 k: 3.91/3.17 bits "
            "for 15/9, 5.32/4.32 for 40/20. Values printed in tables of 15/9, such as INFP's 4.78/3.92 and ARIG's "
            "4.82/3.94, are therefore of another k: read it beside the value.",
            "The script for DualTalk's data swaps the arguments, which measures the truth's spread over generated "
            "clusters; it and DyStream cluster every sequence by itself.",
            "DIM adds 1e-6 inside the logarithm, which makes the entropy smaller by at most k 1e-6 / ln 2 bits.",
        ),
        "separates": (("ground_truth", "vae_round_trip"), ("vae_round_trip", "frozen_reference")),
        "separates_parts": ("expression", "pose"),
        "blind": _BLIND,
    }
    return (
        MetricCard(
            name=name,
            label=label,
            unit="bit",
            range=(0.0, math.log2(max(k.values()))),
            definition=definition,
            equation=r"-\sum_{j=1}^{k}p_j\log_2p_j,\quad p_j=\text{share of }\hat y_t\text{ in cluster }j",
            protocol=protocol,
            **common,
        ),
        MetricCard(
            name=f"{name}_normalised",
            label=f"{label} / log2 k",
            unit="1",
            range=(0.0, 1.0),
            definition=definition + " Divided by its bound, so that values of different k can stand side by side.",
            equation=r"-\frac{1}{\log_2k}\sum_{j=1}^{k}p_j\log_2p_j",
            protocol=protocol + ", divided by log2 k",
            **common,
        ),
    )


CARDS = (
    *_cards("sid", "SID", CLUSTERS, "Learning2Listen; k as Avatar Forcing and ECHO state it"),
    *_cards("sid_40_20", "SID (40/20)", CLUSTERS_40_20, "Learning2Listen; k as in DIM's released evaluation"),
)


def thinning(frames: int) -> int:
    """Of so many frames pooled in order, every so manieth is clustered: a power of two."""
    step = 1
    while -(-frames // step) > MOST:
        step *= 2
    return step


def fit_clusters(true: np.ndarray, k: int) -> np.ndarray:
    """Centres (STATES, k, D) of k-means on true motion (N, D), at most `MOST` of it, by random state.

    Undefined: fewer than k different frames, or a value that is not finite.
    """
    true = np.ascontiguousarray(true[:: thinning(len(true))], np.float64)
    require_finite(true)
    require_frames(len(np.unique(true, axis=0)), k)
    key = blake2b(true, digest_size=16).digest(), true.shape, k
    if key not in _fitted:  # every row of a study has the same true frames
        _fitted[key] = _centres(true, k)
    return _fitted[key]


_fitted: dict[tuple[bytes, tuple[int, ...], int], np.ndarray] = {}  # a hundred kilobytes each


def _centres(true: np.ndarray, k: int) -> np.ndarray:
    from sklearn.cluster import KMeans  # half a second of import, only where needed

    fits = [KMeans(n_clusters=k, random_state=state, n_init=1).fit(true) for state in range(STATES)]
    return np.stack([fit.cluster_centers_ for fit in fits])


def step(frames: int, most: int) -> int:
    """The least s of which every s-th of so many frames are at most `most`."""
    return max(1, -(-frames // most))


def histograms(motion: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """How many frames of motion (N, D) are nearest to each of the centres (STATES, k, D): (STATES, k)."""
    states, k, size = centres.shape
    flat, found = centres.reshape(-1, size).T, np.zeros((states, k), np.int64)
    reach = np.square(flat).sum(0)
    for start in range(0, len(motion), CHUNK):
        far = reach - 2 * (np.asarray(motion[start : start + CHUNK], np.float64) @ flat)
        nearest = far.reshape(-1, states, k).argmin(2) + k * np.arange(states)
        found += np.bincount(nearest.ravel(), minlength=found.size).reshape(found.shape)
    return found


def true_frames(clip: Clip, part: str) -> np.ndarray:
    """The true frames (N, D) of a clip that clusters are fitted on: all in which the true avatar was seen, whatever was
    seen of the row that is measured, so that rows share their clusters."""
    if clip.motion_whole is not None:
        whole = clip.motion_whole
    elif clip.valid is None:
        whole = clip.motion_true
    else:
        whole = clip.motion_true[np.isfinite(clip.motion_true).all(1)]
    found = clip.part(whole, part)
    if found is None:
        raise Undefined("no_truth" if clip.groups is None else "no_such_part")
    return found


def entropies(counts: np.ndarray) -> np.ndarray:
    """Shannon entropy in bits of the shares of counts (..., k); NaN where all are 0."""
    counts = np.asarray(counts, np.float64)
    total = counts.sum(-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = counts / total
        bits = -np.where(shares > 0, shares * np.log2(shares), 0.0).sum(-1)
    return np.where(total[..., 0] > 0, np.maximum(bits, 0.0), np.nan)  # one cluster alone has 0, not -0


def sid(generated: np.ndarray, true: np.ndarray, k: int, whole: np.ndarray | None = None) -> tuple[float, float]:
    """SID of generated and of true motion, (N, D) and (M, D), in bits, over clusters of `whole` true motion (default:
    of `true`). Undefined: see `fit_clusters`."""
    centres = fit_clusters(true if whole is None else whole, k)
    require_finite(generated)
    require_frames(len(generated), 1)
    return tuple(float(entropies(histograms(motion, centres)).mean()) for motion in (generated, true))


def set_values(clips, tools) -> Iterator[Value]:
    found = {part: _of_part(clips, part) for part in CLUSTERS}
    for name, clusters in VARIANTS.items():
        for part in clusters:
            yield from _values(name, part, clusters[part], found[part])


def _of_part(clips, part: str) -> dict[int, np.ndarray] | str:
    """k -> histograms (generated or true, STATES, k) over clusters of a part's motion, or why there are none.

    Of the true frames no more are held than clusters are fitted on.
    """
    try:
        kept, start, finite = [], 0, True
        every = thinning(sum(len(true_frames(clip, part)) for clip in clips))
        frames = 0
        for clip in clips:
            sides = motion([clip], part, "generated", "true")
            finite = finite and all(np.isfinite(side).all() for side in sides)
            whole = true_frames(clip, part)
            kept.append(np.array(whole[-start % every :: every]))
            start, frames = start + len(whole), frames + len(sides[1])
        if not finite:
            raise Undefined("not_finite")
        require_frames(frames, 1)
        sample = np.concatenate(kept)
        centres = {clusters[part]: fit_clusters(sample, clusters[part]) for clusters in VARIANTS.values()}
        counts = {k: np.zeros((2, *own.shape[:2]), np.int64) for k, own in centres.items()}
        every = step(frames, MOST_COUNTED)
        for clip in clips:
            sides = motion([clip], part, "generated", "true")
            for k, own in centres.items():
                counts[k] += np.stack([histograms(side[::every], own) for side in sides])
        return counts
    except Undefined as failure:
        return failure.status


def _values(name: str, part: str, k: int, found: dict[int, np.ndarray] | str) -> Iterator[Value]:
    """A variant's two metrics of one part, each with the truth's own value."""
    status = found if isinstance(found, str) else None
    values = (math.nan, math.nan) if status else entropies(found[k]).mean(-1)
    for value, label in zip(values, (part, truth_part(part)), strict=True):
        for metric, unit in ((name, 1.0), (f"{name}_normalised", math.log2(k))):
            yield undefined(metric, label, status) if status else Value(metric, label, float(value) / unit)
