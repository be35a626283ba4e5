"""Errors a user can cause: one sentence naming the thing, what is wrong and the remedy."""

import errno
import re
import sys
from collections.abc import Callable

_ROOM = "free some room, or name a folder on another disk"
_OTHER = "name a folder that this user may write to"
_FREE = "name another place"
DISK = {  # of a system call on a file: what is wrong, and the remedy
    errno.ENOSPC: ("the disk is full", _ROOM),
    errno.EDQUOT: ("the quota on this disk is used up", _ROOM),
    errno.EFBIG: ("the file is larger than this disk or `ulimit -f` allows", _ROOM),
    errno.EROFS: ("the file system is read-only", _OTHER),
    errno.EACCES: ("permission is denied", _OTHER),
    errno.EPERM: ("the operation is not permitted", _OTHER),
    errno.EISDIR: ("a folder stands there, where a file is to be", _FREE),
    errno.EEXIST: ("a file stands there, where a folder is to be", _FREE),
    errno.ENOTDIR: ("a part of this path is a file and no folder", _FREE),
}


class UserError(Exception):
    """Something the user can mend; shown as one sentence, without a traceback."""


class DataError(UserError):
    """A data folder, media file or feature file breaks the Dyad contract."""


class ConfigError(UserError):
    """An option or configuration value is unknown or out of range."""


def run_cli(main: Callable[[], int | None]) -> None:
    """Run a command-line `main`; a `UserError` becomes one line on stderr and exit code 2, an interrupt one and 130."""
    try:
        code = main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("error: interrupted; run the same command again.", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        if sentence := disk_problem(error):
            print(f"error: {sentence}", file=sys.stderr)
            sys.exit(2)
        raise
    sys.exit(code or 0)


def disk_problem(error: BaseException) -> str | None:
    """One sentence on a disk that is full, read-only or closed to this user; None for any other error.

    Libraries written in Rust (safetensors) tell the system's number in their text alone.
    """
    number = getattr(error, "errno", None)
    place = getattr(error, "filename2", None) or getattr(error, "filename", None)  # of a move: what it was to become
    if not isinstance(number, int):
        match = re.search(r"\(os error (\d+)\)", str(error))
        number = int(match[1]) if match else None
    if number not in DISK:
        return None
    what, remedy = DISK[number]
    return f"{place or 'a file of this stage'}: {what}; {remedy}, and run the same command again."
