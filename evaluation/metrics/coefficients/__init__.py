"""Metrics of expression and pose numbers, and of identity embeddings, frame by frame or as distributions."""
