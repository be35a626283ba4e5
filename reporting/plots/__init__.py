"""Figures of a study; each function returns a matplotlib figure and says on it what is missing."""

from reporting.plots.attention import dialogues_shown, gate_maps, look_back, read_inspected
from reporting.plots.costs import cost_points, quality_over_speed
from reporting.plots.filmstrip import filmstrip, pick_dialogues
from reporting.plots.intervals import claim_intervals, row_differences
from reporting.plots.learning import learning_curves, loss_curves
from reporting.plots.reactions import published_beside, reaction_gains, reaction_leads
from reporting.plots.seed_points import metric_points, rank_points
from reporting.plots.study_files import Study, read_study, save
from reporting.plots.sweeps import context_seconds, context_sweep
from reporting.plots.traces import expression_trace, mouth_audio, mouth_trace, read_trace

__all__ = [
    "Study",
    "claim_intervals",
    "context_seconds",
    "context_sweep",
    "cost_points",
    "dialogues_shown",
    "expression_trace",
    "filmstrip",
    "gate_maps",
    "learning_curves",
    "look_back",
    "loss_curves",
    "metric_points",
    "mouth_audio",
    "mouth_trace",
    "pick_dialogues",
    "quality_over_speed",
    "published_beside",
    "rank_points",
    "reaction_gains",
    "reaction_leads",
    "read_inspected",
    "read_study",
    "read_trace",
    "row_differences",
    "save",
]
