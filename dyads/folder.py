"""The old name of `python -m dyads.adapters.folder`."""

from dyads.moved import moved

if __name__ == "__main__":
    moved("dyads.folder", "dyads.adapters.folder")
