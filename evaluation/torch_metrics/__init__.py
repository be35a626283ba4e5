"""Metrics for anyone's training loop, used like torchmetrics but without it: update, compute, reset, merge.

Every class streams into float64 accumulators, so memory does not grow with the data, and two metrics of the same
class, from two processes or two halves of a data set, `merge` into what one would have found; `gathered` does so over
torch.distributed. They pickle where their feature function does. `compute` never returns a score for a failure: it
returns NaN, and `status` says why in the words of `evaluation.cards.STATUSES`.
"""

from evaluation.torch_metrics.base import Metric
from evaluation.torch_metrics.expression import ExpressionAmplitude, ExpressionCorrelation
from evaluation.torch_metrics.frechet import FrechetDistance, MotionFD, PairedFD
from evaluation.torch_metrics.motion import (
    RPCC,
    SID,
    STS,
    LipOpeningError,
    MotionFDClip,
    MotionMSE,
    PairedCorrelation,
    PairedFDClip,
    RPCCDimension,
    RPCCPooled,
    Var,
    VarFlat,
)
from evaluation.torch_metrics.networks import CSIM, FID, FVD, LPIPS, LSE
from evaluation.torch_metrics.pictures import PSNR, SSIM

__all__ = [
    "CSIM",
    "ExpressionAmplitude",
    "ExpressionCorrelation",
    "FID",
    "FVD",
    "FrechetDistance",
    "LPIPS",
    "LSE",
    "LipOpeningError",
    "Metric",
    "MotionFD",
    "MotionFDClip",
    "MotionMSE",
    "PSNR",
    "PairedCorrelation",
    "PairedFD",
    "PairedFDClip",
    "RPCC",
    "RPCCDimension",
    "RPCCPooled",
    "SID",
    "SSIM",
    "STS",
    "Var",
    "VarFlat",
]
