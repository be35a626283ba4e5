"""Set metrics as functions of sums over clips: another test set, drawn from the same clips, costs one more sum.

FID, FD, SID and the pooled correlations have no value per clip, yet their test set is a sample. Each clip leaves a row
of sums (counts, moments, histograms) made from the readings in `<row>.features.safetensors`; `value` turns weighted
totals into the metric, the same one as in `evaluation.metrics` where every weight is one. `analysis.resampling` draws
the weights.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import numpy as np

from dyads.synthetic.coefficients import COEFFICIENTS
from evaluation.clips import EXPRESSION_PARTS, Channels, columns
from evaluation.metrics._series import CONSTANT_SD, Undefined
from evaluation.metrics.expression.expression import CUES, LEAST_SLOPE, VISIBLE
from evaluation.metrics.motion.sid import MOST_COUNTED, STATES, VARIANTS, entropies, fit_clusters, histograms, step
from evaluation.readings.stored import seen_only

Clips = dict[str, dict[str, np.ndarray]]  # of `reading.read_features`


@dataclass(frozen=True)
class SetMetric:
    """One metric of one test set: a row of sums per clip, and what totals of them mean.

    `cells`: float64 (clips, K). `value`, `truth`: totals (n, K) -> (n,), NaN where undefined; `truth`: the true
    video's own value, for metrics that are better the nearer they come to it. `draws`: totals (n, K) -> (n, V), what
    `of` would be by each of V draws of something that chance decided (SID's clusterings), where `value` is their mean.
    """

    clips: tuple[str, ...]
    cells: np.ndarray
    value: Callable[[np.ndarray], np.ndarray]
    truth: Callable[[np.ndarray], np.ndarray] | None = None
    draws: Callable[[np.ndarray], np.ndarray] | None = None

    def at(self, weights: np.ndarray) -> np.ndarray:
        """The metric, or its distance to the truth's own value, with clips weighted by (n, clips): (n,)."""
        return self.of(np.atleast_2d(np.asarray(weights, np.float64)) @ self.cells)

    def of(self, totals: np.ndarray) -> np.ndarray:
        """As `at`, of totals (n, K)."""
        return self.value(totals) if self.truth is None else np.abs(self.value(totals) - self.truth(totals))


def set_metric(metric: str, part: str, clips: Clips, meta: dict) -> SetMetric | None:
    """The sums of a metric's part; None for a metric that is not known here, or that these readings do not carry."""
    return set_metrics([(metric, part)], clips, meta).get((metric, part))


def set_metrics(pairs: Iterable[tuple[str, str]], clips: Clips, meta: dict) -> dict[tuple[str, str], SetMetric | None]:
    """`set_metric` of every (metric, part) of a metric that is known here, from one walk through the readings."""
    seen = {name: seen_only(clip) for name, clip in clips.items()}
    return {pair: _made(*pair, seen, meta) for pair in pairs if pair[0] in METRICS}


def _made(metric: str, part: str, seen: Clips, meta: dict) -> SetMetric | None:
    if not seen or (part not in ("frame", "window", "all") and not meta["names"]):
        return None
    try:
        return METRICS[metric](part, seen, Channels.of(meta))
    except (KeyError, ValueError, Undefined):  # no oracle, no such coefficient, or too few different frames
        return None


def _stacked(clips: Clips, rows: Callable[[dict], np.ndarray], *functions) -> SetMetric:
    return SetMetric(tuple(clips), np.stack([rows(clip) for clip in clips.values()]), *functions)


def _moments(x: np.ndarray) -> np.ndarray:
    """Count, sums (D,) and sums of products (D, D) of samples (N, D), flat."""
    return np.concatenate([[len(x)], x.sum(0), (x.T @ x).ravel()])


def _unpacked(totals: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Count (n,), mean (n, D) and summed products of deviations (n, D, D) of totals (n, 1 + D + D²)."""
    count = totals[:, 0]
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = totals[:, 1 : 1 + size] / count[:, None]
    products = totals[:, 1 + size :].reshape(-1, size, size)
    return count, mean, products - count[:, None, None] * mean[:, :, None] * mean[:, None, :]


@lru_cache(maxsize=2)  # every method and seed has the same truth under the same weights: of all clips, and drawn
def _root(covariances: bytes, shape: tuple[int, ...]) -> np.ndarray:
    """R (n, D, D) with R R' = covariance, of covariances (n, D, D)."""
    values, vectors = np.linalg.eigh(np.frombuffer(covariances).reshape(shape))
    return vectors * np.sqrt(values.clip(0))[:, None, :]


def frechet(pairs: list[tuple[np.ndarray, np.ndarray]], names: tuple[str, ...]) -> SetMetric:
    """Frechet distance of generated and true samples [(N_i, D), (N_i, D)] by clip, pooled; covariance with N - 1."""
    centre = sum(true.sum(0, dtype=np.float64) for _, true in pairs) / sum(len(true) for _, true in pairs)
    size = len(centre)  # the true mean, which keeps the sums small
    cells = [np.concatenate([_moments(np.asarray(x, np.float64) - centre) for x in pair]) for pair in pairs]

    def value(totals: np.ndarray) -> np.ndarray:
        (n, mean_a, a), (_, mean_b, b) = (_unpacked(half, size) for half in np.split(totals, 2, axis=1))
        enough = n > size
        found = np.full(len(totals), np.nan)
        if not enough.any():
            return found
        a, b = (m2[enough] / (n[enough] - 1)[:, None, None] for m2 in (a, b))
        root = _root(b.tobytes(), b.shape)
        cross = np.sqrt(np.linalg.eigvalsh(root.transpose(0, 2, 1) @ a @ root).clip(0)).sum(-1)
        spread = np.trace(a, axis1=1, axis2=2) + np.trace(b, axis1=1, axis2=2)
        shift = np.square(mean_a - mean_b)[enough].sum(-1)
        found[enough] = (shift + spread - 2 * cross).clip(0)
        return found

    return SetMetric(names, np.stack(cells), value)


def _fid(part: str, clips: Clips, names) -> SetMetric:
    return frechet([(clip["image_generated"], clip["image_true"]) for clip in clips.values()], tuple(clips))


def _fvd(part: str, clips: Clips, names) -> SetMetric:
    return frechet([(clip["video_generated"], clip["video_true"]) for clip in clips.values()], tuple(clips))


def _motion(part: str, names: Channels) -> list[int] | slice:
    return names.part(part)


def _motion_fd(part: str, clips: Clips, names) -> SetMetric:
    here = _motion(part, names)
    return frechet([(clip["generated"][:, here], clip["true"][:, here]) for clip in clips.values()], tuple(clips))


def _paired_fd(part: str, clips: Clips, names) -> SetMetric:
    here = _motion(part, names)

    def beside(clip: dict, key: str) -> np.ndarray:
        return np.concatenate([clip["user"][:, here], clip[key][:, here]], 1)

    return frechet([(beside(clip, "generated"), beside(clip, "true")) for clip in clips.values()], tuple(clips))


def _sid(variant: str, normalised: bool, part: str, clips: Clips, names) -> SetMetric:
    """Clusters stay those of the whole test set's true frames; the histograms are resampled."""
    here, k = _motion(part, names), VARIANTS[variant][part]
    centres = fit_clusters(np.concatenate([clip.get("whole", clip["true"])[:, here] for clip in clips.values()]), k)
    every = step(sum(len(clip["true"]) for clip in clips.values()), MOST_COUNTED)
    unit = np.log2(k) if normalised else 1.0

    def rows(clip: dict) -> np.ndarray:
        counts = [histograms(clip[key][::every, here], centres) for key in ("generated", "true")]
        return np.concatenate(counts, axis=None).astype(np.float64)

    def of(totals: np.ndarray, side: int) -> np.ndarray:
        return entropies(totals.reshape(len(totals), 2, STATES, k)[:, side]) / unit

    return replace(
        _stacked(clips, rows, lambda t: of(t, 0).mean(-1), lambda t: of(t, 1).mean(-1)),
        draws=lambda totals: np.abs(of(totals, 0) - of(totals, 1)),
    )


def _changes(part: str, clip: dict, names) -> list[np.ndarray]:
    """(generated, true, oracle) change from the reference image, (T, D) each, over the part's frames."""
    wanted = EXPRESSION_PARTS.get(part, EXPRESSION_PARTS["all"])
    here = columns(names, wanted)
    there = columns(COEFFICIENTS, wanted)  # the truth's own order; a probe may know fewer
    start, reference = clip["truth"][0, there].astype(np.float64), clip["reference"][here].astype(np.float64)
    found = [
        clip["generated"][:, here] - reference,
        clip["true"][:, here] - reference,
        clip["expected"][:, there] - start,
    ]
    frames = clip["cue"] == CUES[part] if part in CUES else slice(None)
    return [series[frames] for series in found]


def _expression(value):
    """A maker of metrics of the pooled moments of (generated, true, oracle): `value(n, products, D) -> (n,)`."""

    def maker(part: str, clips: Clips, names) -> SetMetric:
        size = len(EXPRESSION_PARTS.get(part, EXPRESSION_PARTS["all"]))

        def of(totals: np.ndarray) -> np.ndarray:
            count, _, products = _unpacked(totals, 3 * size)
            blocks = products.reshape(-1, 3, size, 3, size)
            with np.errstate(invalid="ignore", divide="ignore"):
                return value(count, np.einsum("nadbd->nab", blocks), size)

        function = (
            [of] if value is _correlation else [of, lambda totals: np.where(np.isfinite(of(totals)), 1.0, np.nan)]
        )
        return _stacked(clips, lambda clip: _moments(np.concatenate(_changes(part, clip, names), 1)), *function)

    return maker


def _moves(count: np.ndarray, square: np.ndarray, size: int) -> np.ndarray:
    return np.sqrt((square / (count * size)).clip(0)) > CONSTANT_SD


def _correlation(count: np.ndarray, p: np.ndarray, size: int) -> np.ndarray:
    """p (n, 3, 3): products of deviations summed over channels, of generated 0, true 1, oracle 2."""
    good = (count >= 3) & _moves(count, p[:, 2, 2], size)
    moving = _moves(count, p[:, 0, 0], size)
    return np.where(good, np.where(moving, p[:, 0, 2] / np.sqrt(p[:, 0, 0] * p[:, 2, 2]), 0.0), np.nan)


def _amplitude(count: np.ndarray, p: np.ndarray, size: int) -> np.ndarray:
    good = (count >= 3) & _moves(count, p[:, 2, 2], size) & (p[:, 1, 2] / p[:, 2, 2] >= LEAST_SLOPE)
    return np.where(good, p[:, 0, 2] / p[:, 1, 2], np.nan)


def _valence(part: str, clips: Clips, names) -> SetMetric:
    def rows(clip: dict) -> np.ndarray:
        generated, _, oracle = (np.digitize(x[:, 0], (-VISIBLE, VISIBLE)) for x in _changes(part, clip, names))
        return np.bincount(3 * oracle + generated, minlength=9).astype(np.float64)

    def value(totals: np.ndarray) -> np.ndarray:
        table = totals.reshape(-1, 3, 3)
        there = table.sum(-1) > 0
        with np.errstate(invalid="ignore", divide="ignore"):
            recalls = np.where(there, np.einsum("ncc->nc", table) / table.sum(-1), 0.0)
            return np.where(there.sum(-1) >= 2, recalls.sum(-1) / there.sum(-1), np.nan)

    return _stacked(clips, rows, value)


METRICS: dict[str, Callable[..., SetMetric]] = {
    "fid_small": _fid,
    "fvd_small": _fvd,
    "motion_fd_pooled": _motion_fd,
    "paired_fd_pooled": _paired_fd,
    **{name: partial(_sid, name, False) for name in VARIANTS},
    **{f"{name}_normalised": partial(_sid, name, True) for name in VARIANTS},
    "expression_correlation": _expression(_correlation),
    "expression_amplitude": _expression(_amplitude),
    "expression_valence": _valence,
}
