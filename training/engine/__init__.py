"""The training loop and what makes it resume exactly: batches, checkpoints, journal, optimiser."""
