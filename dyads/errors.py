"""Errors a user can cause: one sentence naming the thing, what is wrong and the remedy."""

import sys
from collections.abc import Callable


class UserError(Exception):
    """Something the user can mend; shown as one sentence, without a traceback."""


class DataError(UserError):
    """A data folder, media file or feature file breaks the Dyad contract."""


class ConfigError(UserError):
    """An option or configuration value is unknown or out of range."""


def run_cli(main: Callable[[], int | None]) -> None:
    """Run a command-line `main`; a `UserError` becomes one line on stderr and exit code 2."""
    try:
        code = main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    sys.exit(code or 0)
