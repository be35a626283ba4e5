"""Metrics of pictures: sharpness and likeness of frames, windows and identities."""
