"""Data: what a dialogue is on disk, media IO, the synthetic world and adapters for real sets."""
