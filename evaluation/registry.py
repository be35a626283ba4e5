"""Finds the metrics: every module of `evaluation.metrics` that has cards."""

import importlib
import pkgutil
from functools import cache
from types import ModuleType

import evaluation.metrics
from evaluation.cards import MetricCard


@cache
def modules() -> dict[str, ModuleType]:
    """Metric modules by file name, in alphabetical order; a module counts when it has `CARDS`.

    Such a module may define `clip_values(clip, tools)`, called while the clip's frames are in memory, and
    `set_values(clips, tools)`, called once with every measured clip's features. Both yield `Value` rows.
    """
    found = {}
    for info in sorted(pkgutil.iter_modules(evaluation.metrics.__path__), key=lambda info: info.name):
        module = importlib.import_module(f"evaluation.metrics.{info.name}")
        if hasattr(module, "CARDS"):
            found[info.name] = module
    return found


@cache
def cards() -> dict[str, MetricCard]:
    """All cards by metric name."""
    found: dict[str, MetricCard] = {}
    for module in modules().values():
        for card in module.CARDS:
            if card.name in found:
                raise ValueError(f"metric {card.name!r} has two cards")
            found[card.name] = card
    return found
