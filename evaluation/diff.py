"""The old name of `python -m analysis.diff`."""

from dyads.moved import moved

if __name__ == "__main__":
    moved("evaluation.diff", "analysis.diff")
