"""ARIG: frame-wise continuous autoregression with conversational states and a diffusion head."""
