"""Principal components of a feature stream, fitted on a sample of people and frames."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dyads.errors import DataError
from dyads.seeding import rng
from evaluation.granger.abreast import abreast


@dataclass(frozen=True, eq=False)
class Components:
    """`of(x)`: standardised (T, A) in the components (A, k)."""

    mean: np.ndarray
    sd: np.ndarray
    axes: np.ndarray

    def of(self, series: np.ndarray) -> np.ndarray:
        """(T, A) -> float64 (T, k). DataError for another width."""
        if series.ndim != 2 or series.shape[1] != len(self.mean):
            raise DataError(
                f"a stream of shape {series.shape} meets components of {len(self.mean)} channels; all streams must "
                "come from one feature extractor."
            )
        return ((series - self.mean) / self.sd) @ self.axes


def fit_components(
    streams: Sequence[Callable[[], np.ndarray]],
    number: int,
    people: int,
    rows: int,
    seed: int,
    what: str,
    threads: int = 1,
) -> Components:
    """Components of streams (T, A), each read by a call and then dropped, `threads` at a time.

    Mean and deviation come from all frames of at most `people` streams, the axes from at most `rows` of these frames.
    """
    if not streams:
        raise DataError(f"there is no {what} to fit components on; give at least one dialogue.")
    generator = rng(seed, "rdgg.components", what)
    chosen = range(len(streams))
    if len(streams) > people:
        chosen = sorted(generator.choice(len(streams), people, replace=False).tolist())
    count, total, square, kept = 0, 0.0, 0.0, []
    share = -(-rows // len(chosen))

    def summed(index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        series = np.asarray(streams[index](), np.float64)
        if not np.isfinite(series).all():
            raise DataError(f"a {what} of stream {index} is not finite; leave that dialogue out.")
        return series, series.sum(0), np.square(series).sum(0)

    for series, one, two in abreast(summed, chosen, threads):
        count, total, square = count + len(series), total + one, square + two
        few = min(share, len(series))
        kept.append(series[np.sort(generator.choice(len(series), few, replace=False))])
    mean = total / count
    sd = np.sqrt(np.maximum(square / count - mean**2, 0.0)).clip(1e-8)
    sample = (np.concatenate(kept) - mean) / sd
    _, axes = np.linalg.eigh(sample.T @ sample)
    return Components(mean, sd, axes[:, ::-1][:, :number])
