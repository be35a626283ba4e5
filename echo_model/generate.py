"""The old name of `python -m echo_model.commands.generate`."""

from dyads.moved import moved

if __name__ == "__main__":
    moved("echo_model.generate", "echo_model.commands.generate")
