"""Commands that were called otherwise once: one sentence that names the new one."""

import sys


def moved(old: str, new: str) -> None:
    """Says what `python -m old` is called now and exits with code 2."""
    print(f"error: `python -m {old}` is called `python -m {new}` now; its options are the same.", file=sys.stderr)
    raise SystemExit(2)
