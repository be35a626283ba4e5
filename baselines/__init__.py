"""Everything ECHO is compared with: controls now; re-implemented baselines and external videos beside them."""
