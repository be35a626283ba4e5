"""Metrics of what the face expresses: against the world's truth, or asked of a judge."""
