"""What the workflow calls: each file is a stage, `python -m echo_model.commands.NAME`."""
