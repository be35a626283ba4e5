"""Motion metrics for training loops, equal to the tables' functions on the same clips."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dyads.errors import DataError
from evaluation.frechet import Moments
from evaluation.metrics._series import CONSTANT_SD, Undefined, follows, require_frames
from evaluation.metrics.lips import lip_opening, mouth
from evaluation.metrics.motion import motion_fd, motion_mse, paired_fd, rpcc, sid, sts, var
from evaluation.torch_metrics.base import (
    ClipMean,
    Metric,
    join,
    moments_of,
    motion_clips,
    no_moments,
    require_same_shape,
)


class PairedCorrelation(ClipMean):
    """Pearson r of a generated with a true series, the opening of the mouth, per clip and then averaged over clips.

    `mouth_opening_correlation` of the tables.
    """

    higher_is_better = True

    def update(self, generated: Tensor, true: Tensor, speaking: Tensor | None = None) -> None:
        """Series (T,) of one clip, or (clips, T) of several; `speaking`, of bools, keeps the frames that count."""
        require_same_shape(generated, true)
        if generated.ndim not in (1, 2) or (speaking is not None and speaking.shape != true.shape):
            raise DataError("series and speaking are (frames,) or (clips, frames), all of the same shape.")
        given = [generated.double(), true.double()] + ([] if speaking is None else [speaking.bool()])
        for clip in zip(*(x.detach().cpu().reshape(-1, x.shape[-1]).numpy() for x in given), strict=True):
            self.count(_clip_correlation, *clip)


class LipOpeningError(ClipMean):
    """Mean absolute difference of the mouth's opening, per clip and then averaged: `lip_opening_error`."""

    higher_is_better = False

    def update(self, generated: Tensor, true: Tensor, counted: Tensor) -> None:
        """Openings (T,) of one clip or (clips, T) of several; bools `counted`: the frames with speech, or without."""
        require_same_shape(generated, true)
        require_same_shape(counted, true)
        if generated.ndim not in (1, 2):
            raise DataError(f"openings of shape {tuple(generated.shape)} are not (frames,) or (clips, frames).")
        given = (generated.double(), true.double(), counted.bool())
        for clip in zip(*(x.detach().cpu().reshape(-1, x.shape[-1]).numpy() for x in given), strict=True):
            self.count(lip_opening.lip_opening_error, *clip, "too_few_frames")


class MotionFDClip(ClipMean):
    """Frechet distance of motion clip by clip, then averaged: `motion_fd_clip`; undefined below 2 D frames."""

    higher_is_better = False

    def update(self, generated: Tensor, true: Tensor) -> None:
        """Motion (T, D) or (clips, T, D) of the same shape: whole clips."""
        for clip in zip(*motion_clips(generated, true), strict=True):
            self.count(motion_fd.motion_fd, *clip)


class PairedFDClip(ClipMean):
    """The same of both people's motion side by side: `paired_fd_clip`; undefined below 4 D frames."""

    higher_is_better = False

    def update(self, generated: Tensor, true: Tensor, user: Tensor) -> None:
        """Motion (T, D) or (clips, T, D), all three of the same shape: whole clips."""
        for clip in zip(*motion_clips(generated, true, user), strict=True):
            self.count(paired_fd.paired_fd, *clip)


class MotionMSE(ClipMean):
    """Mean squared error of motion coefficients, per clip and then averaged over clips: `motion_mse`."""

    higher_is_better = False

    def update(self, generated: Tensor, true: Tensor) -> None:
        """Motion (T, D) or (clips, T, D) of the same shape."""
        for clip in zip(*motion_clips(generated, true), strict=True):
            self.count(motion_mse.motion_mse, *clip)


class STS(ClipMean):
    """Distance of frame-to-frame changes, per clip and then averaged over clips: `sts`."""

    higher_is_better = False

    def update(self, generated: Tensor, true: Tensor) -> None:
        """Motion (T, D) or (clips, T, D) of the same shape."""
        for clip in zip(*motion_clips(generated, true), strict=True):
            self.count(sts.sts, *clip)


class RPCC(ClipMean):
    """How far the avatar's correlation with the user is from the truth's, per clip: `rpcc`, flattened `rpcc_clip`."""

    higher_is_better = False

    def __init__(self, *, flattened: bool = False) -> None:
        self.flattened = flattened
        super().__init__()

    def update(self, generated: Tensor, true: Tensor, user: Tensor) -> None:
        """Motion (T, D) or (clips, T, D), all three of the same shape."""
        function = rpcc.rpcc_pooled if self.flattened else rpcc.rpcc
        for clip in zip(*motion_clips(generated, true, user), strict=True):
            self.count(function, *clip)


class RPCCDimension(Metric):
    """The same with one correlation a dimension over the frames of all clips, each clip centred: `rpcc_dimension`."""

    higher_is_better = False
    PRODUCTS = ("gg", "tt", "uu", "gu", "tu")  # generated, true, user

    def empty(self) -> dict[str, Tensor]:
        sums = {name: torch.zeros((), dtype=torch.float64) for name in self.PRODUCTS}
        return {"frames": torch.zeros((), dtype=torch.int64), **sums}

    def update(self, generated: Tensor, true: Tensor, user: Tensor) -> None:
        """Motion (T, D) or (clips, T, D), all three of the same shape: whole clips, since each is centred."""
        series = dict(zip("gtu", motion_clips(generated, true, user), strict=True))
        series = {name: x - x.mean(1, keepdims=True) for name, x in series.items()}
        dimensions = series["g"].shape[-1]
        if self.state["gg"].ndim and len(self.state["gg"]) != dimensions:
            raise DataError(f"motion has {dimensions} dimensions now, {len(self.state['gg'])} before.")
        sums = {pair: torch.from_numpy((series[pair[0]] * series[pair[1]]).sum((0, 1))) for pair in self.PRODUCTS}
        self._add(frames=series["g"].shape[0] * series["g"].shape[1], **sums)

    def value(self) -> float:
        require_frames(int(self.state["frames"]), 3)
        gg, tt, uu, gu, tu = (self.state[name].cpu().numpy() for name in self.PRODUCTS)
        if not all(np.isfinite(x).all() for x in (gg, tt, uu)):
            raise Undefined("not_finite")
        least = CONSTANT_SD**2 * int(self.state["frames"])
        moving = (tt > least) & (uu > least)
        if not moving.any():
            raise Undefined("constant_series")
        own = tu[moving] / np.sqrt(tt[moving] * uu[moving])
        with np.errstate(invalid="ignore", divide="ignore"):
            theirs = gu[moving] / np.sqrt(gg[moving] * uu[moving])
        return float(np.where(gg[moving] > least, np.abs(own - theirs), 1 + np.abs(own)).mean())


class RPCCPooled(Metric):
    """The same with one correlation of all frames and dimensions of all clips: `rpcc_pooled`."""

    higher_is_better = False

    def empty(self) -> dict[str, Moments | Tensor]:
        return {"all": no_moments(), "frames": torch.zeros((), dtype=torch.int64)}

    def update(self, generated: Tensor, true: Tensor, user: Tensor) -> None:
        """Motion (T, D) or (clips, T, D), all three of the same shape."""
        clips = motion_clips(generated, true, user)
        flat = np.stack([x.ravel() for x in clips], axis=1)
        self.state["all"] = join(self.state["all"], moments_of(torch.from_numpy(flat)))
        self._add(frames=clips[0].shape[0] * clips[0].shape[1])

    def value(self) -> float:
        require_frames(int(self.state["frames"]), 3)
        covariance = self.state["all"].covariance.cpu().numpy()
        sd = np.sqrt(np.diag(covariance))
        if (sd <= 1e-8).any():
            raise Undefined("constant_series")
        r = covariance[:2, 2] / (sd[:2] * sd[2])
        return float(abs(r[1] - r[0]))


class SID(Metric):
    """Entropy, in bits, of generated motion over clusters of the true motion: `sid`, `sid_40_20` or `..._normalised`.

    The clusters are fitted once, on true motion: `SID.fitted(true, k=15)`. Nearer to the truth's own SID is better;
    `SID.fitted(true, k).own` has it.
    """

    higher_is_better = None

    def __init__(self, centres: Tensor, *, normalised: bool = False, own: float = math.nan) -> None:
        centres = centres[None] if centres.ndim == 2 else centres
        if centres.ndim != 3 or centres.shape[1] < 2:
            raise DataError(f"centres of shape {tuple(centres.shape)} are not (states, k, D) with k of at least 2.")
        self.centres, self.normalised, self.own = centres.detach().cpu().double(), normalised, own
        super().__init__()

    @classmethod
    def fitted(cls, true: Tensor, k: int, *, normalised: bool = False) -> "SID":
        """With the clusters of true motion (N, D); DataError with fewer than k different frames."""
        motion = true.detach().cpu().double().numpy()
        try:
            centres = sid.fit_clusters(motion, k)
        except Undefined as failure:
            raise DataError(f"true motion of shape {motion.shape} has no {k} clusters ({failure.status}).") from failure
        own = sid.entropies(sid.histograms(motion, centres)).mean() / (math.log2(k) if normalised else 1)
        return cls(torch.from_numpy(centres), normalised=normalised, own=float(own))

    def empty(self) -> dict[str, Tensor]:
        zero = torch.zeros((), dtype=torch.int64)
        return {"counts": torch.zeros(self.centres.shape[:2], dtype=torch.int64), "not_finite": zero}

    def update(self, generated: Tensor) -> None:
        """Motion (T, D) or (clips, T, D)."""
        (motion,) = motion_clips(generated)
        frames = motion.reshape(-1, motion.shape[-1])
        if frames.shape[1] != self.centres.shape[2]:
            raise DataError(f"motion has {frames.shape[1]} dimensions, the clusters {self.centres.shape[2]}.")
        finite = np.isfinite(frames).all(1)
        counts = torch.from_numpy(sid.histograms(frames[finite], self.centres.cpu().numpy()))
        self._add(counts=counts, not_finite=int((~finite).sum()))

    def value(self) -> float:
        if self.state["not_finite"]:
            raise Undefined("not_finite")
        require_frames(int(self.state["counts"].sum()), 1)
        bits = float(sid.entropies(self.state["counts"].cpu().numpy()).mean())
        return bits / math.log2(self.centres.shape[1]) if self.normalised else bits


class Var(ClipMean):
    """Variance of motion over time, mean over dimensions and clips: `var`. Nearer to the truth's own is better."""

    higher_is_better = None

    def update(self, motion: Tensor) -> None:
        """Motion (T, D) or (clips, T, D), generated or true."""
        for clip in motion_clips(motion)[0]:
            self.count(var.temporal_variance, clip)


class VarFlat(Metric):
    """Variance of all values of all clips: `var_flat`. Nearer to the truth's own is better."""

    higher_is_better = None

    def empty(self) -> dict[str, Moments | Tensor]:
        return {"all": no_moments(), "frames": torch.zeros((), dtype=torch.int64)}

    def update(self, motion: Tensor) -> None:
        """Motion (T, D) or (clips, T, D), generated or true."""
        (clips,) = motion_clips(motion)
        self.state["all"] = join(self.state["all"], moments_of(torch.from_numpy(clips.reshape(-1, 1))))
        self._add(frames=clips.shape[0] * clips.shape[1])

    def value(self) -> float:
        require_frames(int(self.state["frames"]), 2)
        return float(self.state["all"].m2[0, 0] / self.state["all"].count)


def _clip_correlation(generated: np.ndarray, true: np.ndarray, *speaking: Any) -> float:
    counted = speaking[0] if speaking else slice(None)
    if not (np.isfinite(generated[counted]).all() and np.isfinite(true[counted]).all()):
        raise Undefined("not_finite")
    if speaking:
        return mouth.mouth_opening_correlation(generated, true, counted)
    require_frames(len(true), mouth.MINIMUM_FRAMES)
    return follows(generated, true)
