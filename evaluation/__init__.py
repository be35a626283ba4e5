"""Measuring: metrics with cards, probes trained on true frames, tables and plots; never imports a method."""
