"""Expression against an expected one for training loops, where the expectation is known."""

import numpy as np
import torch
from torch import Tensor

from dyads.errors import DataError
from evaluation.frechet import Moments
from evaluation.metrics._series import CONSTANT_SD, Undefined, require_frames
from evaluation.metrics.expression.expression import LEAST_SLOPE
from evaluation.torch_metrics.base import Metric, join, moments_of, motion_clips, no_moments


class ExpressionCorrelation(Metric):
    """Pearson r of generated and expected changes of expression: `expression_correlation` of the whole set.

    Channels are centred over all frames, then pooled.
    """

    higher_is_better = True
    series = 2

    def empty(self) -> dict[str, Moments]:
        return {"all": no_moments()}

    def update(self, generated: Tensor, expected: Tensor) -> None:
        """Changes from the reference image's expression, (T, D) or (clips, T, D), of the same shape."""
        self._take(generated, expected)

    def _take(self, *series: Tensor) -> None:
        columns = np.concatenate(motion_clips(*series), axis=-1)
        seen = moments_of(torch.from_numpy(columns.reshape(-1, columns.shape[-1])))
        before = self.state["all"]
        if before.count and before.mean.shape != seen.mean.shape:
            raise DataError(f"expressions have other dimensions now than before ({columns.shape[-1]} in all).")
        self.state["all"] = join(before, seen)

    def value(self) -> float:
        generated, expected = self._products((0, 0), (1, 1))
        if expected <= CONSTANT_SD**2:
            raise Undefined("constant_series")
        if generated <= CONSTANT_SD**2:
            return 0.0
        return float(np.clip(self._products((0, 1))[0] / np.sqrt(generated * expected), -1, 1))

    def _products(self, *pairs: tuple[int, int]) -> list[float]:
        """Mean over frames and channels of the products of two centred series, by their numbers."""
        seen = self.state["all"]
        require_frames(seen.count, 3)
        m2 = seen.m2.cpu().numpy()
        if not np.isfinite(m2).all():
            raise Undefined("not_finite")
        width = len(m2) // self.series
        blocks = (m2[a * width : (a + 1) * width, b * width : (b + 1) * width] for a, b in pairs)
        return [np.trace(block) / (seen.count * width) for block in blocks]


class ExpressionAmplitude(ExpressionCorrelation):
    """Size of the generated expression along the expected one over the truth's: `expression_amplitude` of the set.

    Nearer to 1 is better.
    """

    higher_is_better = None
    series = 3

    def update(self, generated: Tensor, true: Tensor, expected: Tensor) -> None:
        """Changes from the reference image's expression, (T, D) or (clips, T, D), all three of the same shape."""
        self._take(generated, true, expected)

    def value(self) -> float:
        generated, true, expected = self._products((0, 2), (1, 2), (2, 2))
        if expected <= CONSTANT_SD**2 or true / expected < LEAST_SLOPE:
            raise Undefined("constant_series")
        return generated / true
