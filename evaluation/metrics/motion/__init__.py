"""Metrics of motion coefficients: of each clip, and of all of a method's motion."""
