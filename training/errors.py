"""Errors of training and generation that the user can mend, each one sentence."""

from dyads.errors import UserError

LAUNCHED = "TRAINING_LAUNCHER"  # environment: the id of the `training.launch` that started this process
PEER_LOST = 76  # exit code of a rank that ended because another one did


class TrainingError(UserError):
    """A training cannot go on: its loss or gradient is not finite, or its folder is in use."""


class MethodError(UserError):
    """A method broke the contract: wrong frames, or weights that do not fit."""
