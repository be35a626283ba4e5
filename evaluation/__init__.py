"""Measuring: probes, metrics (one file each, with a card), tables and plots; never imports a method."""
