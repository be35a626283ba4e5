"""Metrics of expression, pose and mouth controls, and of identity embeddings, frame by frame or as distributions."""
