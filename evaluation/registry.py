"""Finds the metrics: every module in the groups of `evaluation.metrics` that has cards."""

import importlib
import pkgutil
from functools import cache
from types import ModuleType

import evaluation.metrics
from evaluation.cards import MetricCard

PLACE = evaluation.metrics.__path__, "evaluation.metrics."


@cache
def modules() -> dict[str, ModuleType]:
    """Metric modules by file name, in alphabetical order; a module counts when it has `CARDS`.

    Such a module may define `clip_values(clip, tools)`, called while the clip's frames are in memory, and
    `set_values(clips, tools)`, called once with every measured clip's features. Both yield `Value` rows.
    """
    found = {}
    files = ((info.name.rpartition(".")[2], info.name) for info in pkgutil.walk_packages(*PLACE))
    for name, full in sorted(files):
        module = importlib.import_module(full)
        if not hasattr(module, "CARDS"):
            continue
        if name in found:
            raise ValueError(f"two files of metrics are called {name}.py")
        found[name] = module
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
