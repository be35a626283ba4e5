"""Share of a machine's cores that a study uses: `python -m benchmarks.schedule [--results results/default]`.

Of a finished run, from what it wrote of its jobs (logs/runs.jsonl); and simulated for 2, 4, 16 and 64 cores, from the
plan of `snakemake -n` and the seconds of such jobs: those of that run, else of workflow/times.yaml. The simulation
takes ready jobs by priority and starts whatever fits, as Snakemake does. Last line, JSON: `used_2` is the share of core
seconds used on two cores (measured where the run had two); `used_16` is how near the simulated 16 cores come to the
bound: the longest chain of jobs, or all work on all cores, whichever is longer.
"""

import argparse
import heapq
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks.report import show

ROOT = Path(__file__).resolve().parents[1]
CORES = (2, 4, 16, 64)
OVERHEAD = 1.1  # of a job on several cores


@dataclass(frozen=True)
class Task:
    """One job of the plan: its rule and name, cores, priority, seconds on those cores, and who it waits for."""

    rule: str
    name: str
    threads: int
    priority: int
    seconds: float
    after: tuple[int, ...]


def plan(profile: str, cores: int, seconds: Mapping[str, float]) -> list[Task]:
    """The jobs of a whole study as Snakemake plans them for `cores` cores."""
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "-n",
        "--forceall",
        "--cores",
        str(cores),
        "--config",
        f"profile={profile}",
    ]
    text = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return tasks(text, seconds)


def tasks(text: str, seconds: Mapping[str, float]) -> list[Task]:
    """The jobs in the text of a dry run, each after those that make its inputs."""
    blocks = re.findall(r"^(?:local)?(?:rule|checkpoint) (\w+):\n((?:    .*\n)+)", text, re.MULTILINE)
    jobs = [(rule, dict(re.findall(r"^    (\w+): (.*)$", body, re.MULTILINE))) for rule, body in blocks]
    jobs = [(rule, job) for rule, job in jobs if "output" in job]
    maker = {path: place for place, (_, job) in enumerate(jobs) for path in job["output"].split(", ")}
    found = []
    for rule, job in jobs:
        after = sorted({maker[path] for path in job.get("input", "").split(", ") if path in maker})
        wildcards = re.findall(r"(\w+)=([^,]+)", job.get("wildcards", ""))
        name = " ".join([rule.removesuffix("_start"), *(f"seed {v}" if k == "seed" else v for k, v in wildcards)])
        threads = int(job.get("threads", 1))
        took = seconds.get(name, seconds.get(rule, 10.0))
        took = took / threads * OVERHEAD if threads > 1 else took
        found.append(Task(rule, name, threads, int(job.get("priority", 0)), took, tuple(after)))
    return found


def simulate(jobs: list[Task], cores: int) -> tuple[float, float]:
    """(makespan, core seconds used) of a scheduler that takes ready jobs by priority and starts what fits."""
    waits = [set(job.after) for job in jobs]
    ready = [place for place, wait in enumerate(waits) if not wait]
    running: list[tuple[float, int]] = []
    free, now, used, started = cores, 0.0, 0.0, 0
    while started < len(jobs) or running:
        for place in sorted(ready, key=lambda place: (-jobs[place].priority, place)):
            width = min(jobs[place].threads, cores)
            if width <= free:
                ready.remove(place)
                free -= width
                used += width * jobs[place].seconds
                started += 1
                heapq.heappush(running, (now + jobs[place].seconds, place))
        now, ended = heapq.heappop(running)
        free += min(jobs[ended].threads, cores)
        for place, wait in enumerate(waits):
            if ended in wait:
                wait.remove(ended)
                if not wait:
                    ready.append(place)
    return now, used


def bound(jobs: list[Task], cores: int) -> float:
    """No schedule is shorter: the longest chain, or all work on all cores."""
    ends: dict[int, float] = {}

    def end(place: int) -> float:
        if place not in ends:
            ends[place] = jobs[place].seconds + max((end(before) for before in jobs[place].after), default=0.0)
        return ends[place]

    work = sum(job.seconds * min(job.threads, cores) for job in jobs)
    return max(work / cores, max(end(place) for place in range(len(jobs))))


def measured(rows: list[dict[str, Any]]) -> dict[str, float] | None:
    """Cores, wall seconds and share used of the unbroken run with the most jobs in a journal, the last of such.

    A run that only finished another one's work is none of a study; None where there is no whole run.
    """
    last, found = [], None
    for row in rows:
        last = [row] if row["event"] == "begin" else [*last, row]
        if row["event"] == "over" and last[0]["event"] == "begin" and row["done"] >= last[0]["jobs"]:
            used = sum(one["seconds"] * one["threads"] for one in last if one["event"] == "end")
            cores, wall, jobs = last[0]["cores"], row["seconds"], row["done"]
            if jobs and (found is None or jobs >= found["jobs"]):
                found = {"cores": cores, "jobs": jobs, "seconds": wall, "used": used / (wall * cores)}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=ROOT / "results/default", help="of one profile")
    arguments = parser.parse_args()
    sys.path.insert(0, str(ROOT / "workflow/scripts"))
    from jobs import past, rows_of

    profile, journal = arguments.results.name, arguments.results / "logs/runs.jsonl"
    times = yaml.safe_load((ROOT / "workflow/times.yaml").read_text(encoding="utf-8"))
    seconds = past(journal, {**times.get(profile, times["default"])})
    rows, figures = [], {}
    run = measured(rows_of(journal))
    if run is not None:
        rows.append({"cores": run["cores"], "how": "measured", "minutes": run["seconds"] / 60, "used": run["used"]})
    for cores in CORES:
        jobs = plan(profile, cores, seconds)
        wall, used = simulate(jobs, cores)
        least = bound(jobs, cores)
        row = {"cores": cores, "how": "simulated", "minutes": wall / 60, "used": used / (wall * cores)}
        rows.append({**row, "bound, minutes": least / 60, "bound / this": least / wall})
        figures[f"used_{cores}"] = round(used / (wall * cores) if cores <= 4 else least / wall, 4)
    if run is not None:
        figures[f"used_{run['cores']}"] = round(run["used"], 4)
    show(f"{len(jobs)} jobs of profile {profile}", rows, figures)


if __name__ == "__main__":
    main()
