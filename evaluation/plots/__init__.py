"""Figures of a study; each function returns a matplotlib figure and draws a note where something is missing."""

from evaluation.plots.filmstrip import filmstrip, pick_dialogues
from evaluation.plots.points import metric_points
from evaluation.plots.study import Study, read_study, save
from evaluation.plots.sweeps import context_sweep, learning_curves
from evaluation.plots.traces import expression_trace, mouth_trace, read_trace

__all__ = [
    "Study",
    "context_sweep",
    "expression_trace",
    "filmstrip",
    "learning_curves",
    "metric_points",
    "mouth_trace",
    "pick_dialogues",
    "read_study",
    "read_trace",
    "save",
]
