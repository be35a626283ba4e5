"""DIM: two VQ-VAEs, dyadic pre-training and an autoregressive listener of avatar motion tokens."""
