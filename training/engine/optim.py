"""AdamW groups, the learning-rate schedule and the moving average of the weights (EMA)."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from dyads.errors import ConfigError
from training.engine.sharding import is_cut, own
from training.options import TrainOptions


def build_optimizer(
    groups: list[dict[str, Any]], trained: dict[str, nn.Parameter], options: TrainOptions
) -> torch.optim.AdamW:
    """AdamW in which parameters with fewer than two dimensions (biases, norms) are not decayed.

    Args:
        groups: `{"params": [...], "lr_scale": float}`; frozen parameters in them are passed over, and trained
            ones that no group names have scale 1.
        trained: every parameter with a gradient, by name.
        options: learning rate and weight decay.

    Raises:
        ConfigError: a parameter is in two groups.
    """
    open_ones = {id(p): p for p in trained.values()}
    trained_ids = set(open_ones)
    split = []
    for group in [*groups, None]:
        chosen = list(open_ones.values()) if group is None else list(group["params"])
        chosen = [p for p in chosen if id(p) in trained_ids]
        for parameter in chosen:
            if open_ones.pop(id(parameter), None) is None:
                raise ConfigError("parameter_groups names a parameter twice; each may be in one group only.")
        scale = 1.0 if group is None else group.get("lr_scale", 1.0)
        for matrices, decay in ((True, options.weight_decay), (False, 0.0)):
            for cut in (False, True):  # one kernel cannot update both kinds
                part = [p for p in chosen if (p.ndim >= 2) == matrices and is_cut(p) == cut]
                if part:
                    split.append({"params": part, "lr_scale": scale, "weight_decay": decay})
    return torch.optim.AdamW(split, lr=options.learning_rate, fused=True)


def learning_rate(options: TrainOptions, step: int) -> float:
    """Rate of step `step` (from 0): linear warm-up, then constant or half a cosine that ends at 0."""
    if step < options.warmup_steps:
        return options.learning_rate * (step + 1) / options.warmup_steps
    if options.schedule == "constant":
        return options.learning_rate
    done = (step - options.warmup_steps) / (options.steps - options.warmup_steps)
    return options.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


def update_ema(ema: dict[str, Tensor], trained: dict[str, nn.Parameter], decay: float, step: int) -> None:
    """ema <- d ema + (1 - d) weights, d = min(decay, (1 + step) / (10 + step)); `step` counts from 0.

    The growing d lets short runs forget their start.
    """
    if not ema:
        return
    decay = min(decay, (1 + step) / (10 + step))
    weights = [own(trained[name].detach()) for name in ema]
    with torch.no_grad():
        torch._foreach_lerp_([own(average) for average in ema.values()], weights, 1 - decay)
