"""What every adapter shares: options, crops, one dialogue made in bounded memory, all of them in parallel."""
