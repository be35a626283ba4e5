#!/usr/bin/env bash
# One expects leaving a `with ProcessPoolExecutor()` block, or calling `shutdown(wait=True)`, to return only when its
# work is done, whatever was called before: threads' executor does so. The one of processes, once it was told
# `shutdown(wait=False)`, has forgotten whom to wait for: the block is left at once, and a later `shutdown(wait=True)`
# returns at once too, both with the work still going on. Here the workers of one stage hold gigabytes that the next
# stage needs, so none is told not to wait while another step follows (`evaluation/coefficients/__main__.py`).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/leave.py" <<'PY'
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor


def left(executor) -> tuple[bool, bool]:
    """Whether two seconds' work was over when the block was left, and after another shutdown that waits."""
    with executor(1) as pool:
        work = pool.submit(time.sleep, 2)
        time.sleep(0.5)
        pool.shutdown(wait=False)
    first = work.done()
    pool.shutdown(wait=True)
    return first, work.done()


if __name__ == "__main__":
    print(*left(ThreadPoolExecutor), *left(ProcessPoolExecutor))
PY
python=python3.11  # what is told here was seen on 3.11.7; it comes with Python, so there is nothing to install
command -v "$python" > /dev/null || { echo "there is no $python; install it"; exit 1; }
found=$("$python" "$folder/leave.py")
echo "$("$python" --version): is two seconds' work over when the block is left, and after shutdown(wait=True)?"
echo "  threads, threads, processes, processes: $found"
[ "$found" = "True True False False" ] || { echo "another answer than before"; exit 1; }
