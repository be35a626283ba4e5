"""Metrics of landmarks: distances of points on the face, blinks and timing."""
