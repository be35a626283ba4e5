"""Metrics of the mouth: its shape, its opening, and how well it follows the voice."""
