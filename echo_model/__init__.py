"""ECHO (arXiv 2603.17427) in the paper's words: LCU, SDCM and the two-stage flow-matching generator."""
