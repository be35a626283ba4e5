"""The old name of `python -m user_study`."""

from dyads.moved import moved

if __name__ == "__main__":
    moved("evaluation.study", "user_study")
