"""What a listener's own past explains of his motion: ridge regression on it and on his own voice so far."""

from collections.abc import Mapping, Sequence

import numpy as np
from einops import rearrange
from scipy.linalg import cho_factor, cho_solve

from evaluation.granger import RdggOptions
from evaluation.granger.design import Listener
from evaluation.granger.moments import Moments, gram, moments, target_products


class OwnPast:
    """Ridge regression of a row's motion on its own past and the listener's own voice so far."""

    def __init__(
        self, listeners: Sequence[Listener], motion: Mapping, balance: np.ndarray, options: RdggOptions
    ) -> None:
        self.options, self.balance = options, balance
        stretches = (
            stretch
            for found in listeners
            for stretch in found.stretches(motion[found.encounter.name], found.encounter.own_audio)
        )
        self.found: Moments = moments(stretches, options.lags)
        size, width = len(balance), self.found.first.shape[2]
        columns = np.arange(width)
        square = gram(self.found, columns, columns)
        square[np.diag_indices_from(square)] += options.ridge * np.trace(square) / len(square)
        self.factor = cho_factor(square.T, lower=True, overwrite_a=True)  # symmetric; so it is done in place
        weights = cho_solve(self.factor, target_products(self.found, columns, np.arange(size), balance))
        mean, scale = self.found.mean[1:], self.found.inverse_sd[1:]
        filters = scale[:, :, None] * rearrange(weights, "(n w) d -> n w d", w=width)
        # what the series itself is multiplied with
        self.filters = rearrange(filters, "n w d -> w (n d)").astype(np.float32)
        self.offset = -np.einsum("nw,nwd->nd", mean, filters).cumsum(0)  # of the first 1, 2, ... lags
        self.centre = self.found.mean[0, :size]

    def residual(self, found: Listener, motion: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The balanced target and what the own past leaves of it, (frames, D) each."""
        targets, lefts = [], []
        for stretch in found.stretches(motion, found.encounter.own_audio):
            series, first = stretch.series, stretch.first
            target = (series[first:, : len(self.balance)] - self.centre) * self.balance
            made = np.zeros(target.shape, np.float32)
            of_lags = rearrange(series.astype(np.float32) @ self.filters, "t (n d) -> t n d", d=target.shape[1])
            for i, lag in enumerate(self.options.lags):
                begin = max(first, lag)
                if begin < len(series):
                    made[begin - first :] += of_lags[begin - lag : len(series) - lag, i]
            depth = np.searchsorted(self.options.lags, np.arange(first, len(series)), side="right")
            targets.append(target)
            lefts.append(target - made - self.offset[depth - 1])
        return np.concatenate(targets), np.concatenate(lefts)

    def design(self, found: Listener, motion: np.ndarray) -> np.ndarray:
        """The whole standardised design of a listener, (frames, n · width); for `joint` alone."""
        mean, scale = self.found.mean[1:], self.found.inverse_sd[1:]
        pieces = []
        for stretch in found.stretches(motion, found.encounter.own_audio):
            times = np.arange(stretch.first, len(stretch.series))
            piece = np.zeros((len(times), len(self.options.lags), stretch.series.shape[1]))
            for i, lag in enumerate(self.options.lags):
                good = times >= lag
                piece[good, i] = (stretch.series[times[good] - lag] - mean[i]) * scale[i]
            pieces.append(piece.reshape(len(times), -1))
        return np.concatenate(pieces)
