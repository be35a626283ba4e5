"""Timing and printing that every benchmark shares."""

import gc
import json
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from tabulate import tabulate


def alternating(
    functions: dict[str, Callable[[], object]], repeats: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """Median time of each, in turns, so that whatever else the machine does hits all of them alike.

    `clock` tells wall time; `time.process_time`, for what runs in one thread, does not count waiting for a busy core.
    """
    for function in functions.values():
        function()
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            gc.collect()
            start = clock()
            function()
            times[name].append(clock() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def resident_mib() -> float:
    """Resident memory of this process now; its peak where the system does not tell."""
    return _status_mib("VmRSS")


def peak_mib() -> float:
    """The most resident memory this process has had."""
    return _status_mib("VmHWM")  # getrusage would count what the process that started this one had before


def _status_mib(field: str) -> float:
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith(field))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def show(title: str, rows: list[dict], figures: dict) -> None:
    """A table for people, then one line of JSON for machines."""
    print(f"{title}\n")
    print(tabulate(rows, headers="keys", floatfmt=".4g"))
    print()
    print(json.dumps(figures, sort_keys=True))
