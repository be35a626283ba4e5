"""The synthetic world: procedural people in dialogue, with every causal path known."""
