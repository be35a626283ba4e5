"""Notebooks that draw the figures; `python -m paper_figures NAME --results DIR` runs them."""
