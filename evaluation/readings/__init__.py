"""What networks and probes read from each dialogue, once, and what follows from it without the pictures."""
