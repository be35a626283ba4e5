"""The engine every method shares: loop, checkpoints and resume, devices, provenance and the Method contract."""
