"""What a row costs before it is run: the bases by name, and their FLOPs, memory and disk on the meta device."""
