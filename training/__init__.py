"""The engine every method shares: loop, checkpoints, resume, devices, provenance and the Method contract."""
