"""Analysing: statistics, claims, ranks, published numbers, comparison of runs; from rows and readings alone."""
