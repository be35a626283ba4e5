"""Video and sound files: decoding, encoding, containers."""
