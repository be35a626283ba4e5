"""The jobs of a run: what they are called, how long they take and are expected to take, and what is planned."""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LOG_END = 12  # lines of a failed job's log
OWN_STEP = re.compile(r"(\w+) (\d+)/(\d+)(?:.*?([\d.]+) min left)?")  # training.engine.journal.Bar


@dataclass
class Job:
    """One job: what it is called, the seconds it is expected to take, and what became of it."""

    rule: str
    name: str
    threads: int = 1
    log: str = ""
    expected: float = 0.0
    started: float | None = None
    ended: float | None = None


@dataclass
class Run:
    """The jobs of a run by id, and what is known of how long such jobs take."""

    jobs: dict[Any, Job]
    cores: int
    past: Mapping[str, float] = field(default_factory=dict)  # seconds by name, and by rule

    def expect(self) -> None:
        """Expected seconds: of this very job's past, of its rule in this run, of its rule's past, or of all jobs."""
        took: dict[str, list[float]] = defaultdict(list)
        for job in self.jobs.values():
            if job.ended is not None and job.started is not None:
                took[job.rule].append(job.ended - job.started)
        means = {rule: sum(values) / len(values) for rule, values in took.items()}
        known = [*means.values(), *self.past.values()]
        usual = sum(known) / len(known) if known else 10.0
        guessed = {rule: self.past.get(rule, usual) for rule in took}
        # How much slower this machine, or what else runs on it, makes the jobs that are done.
        slower = sum(sum(took[rule]) for rule in took) / max(sum(guessed[r] * len(took[r]) for r in took), 1e-9)
        slower = slower if took else 1.0
        for job in self.jobs.values():
            guess = means.get(job.rule, slower * self.past.get(job.rule, usual))
            job.expected = slower * self.past[job.name] if job.name in self.past else guess

    def left(self, now: float) -> float:
        """Seconds until all is done, if the cores are kept busy; no less than the longest job that is left."""
        self.expect()
        rest = []
        for job in self.jobs.values():
            if job.ended is None:
                begun = 0.0 if job.started is None else now - job.started
                rest.append((max(job.expected - begun, 0.1 * job.expected), job.threads))
        if not rest:
            return 0.0
        return max(sum(seconds * threads for seconds, threads in rest) / self.cores, max(s for s, _ in rest))

    def running(self) -> list[Job]:
        return [job for job in self.jobs.values() if job.started is not None and job.ended is None]

    def done(self) -> int:
        return sum(job.ended is not None for job in self.jobs.values())


def planned(jobs: Any, identify: Callable[[Any], Any]) -> dict[Any, Job]:
    """The jobs of Snakemake's plan that will run; a target that only gathers files is none."""
    found = {}
    for job in jobs:
        if job.shellcmd or job.rule.is_run or job.rule.is_script or job.rule.is_notebook:
            found[identify(job)] = Job(job.rule.name, named(job.rule.name, job.wildcards_dict), job.threads)
    return found


def past(journal: Path, table: Mapping[str, float]) -> dict[str, float]:
    """Seconds of earlier jobs: the last of each name, the mean of each rule; `table` where a rule has none yet."""
    seconds, rules = {}, defaultdict(list)
    for row in rows_of(journal):
        if row.get("event") == "end":
            seconds[row["job"]] = row["seconds"]
            rules[row["rule"]].append(row["seconds"])
    return {**table, **{rule: sum(values) / len(values) for rule, values in rules.items()}, **seconds}


def rows_of(journal: Path) -> list[dict[str, Any]]:
    """The whole lines of a journal; one torn by a kill is left out."""
    rows = []
    if journal.is_file():
        for line in journal.read_text(encoding="utf-8").splitlines():
            try:
                rows.append(json.loads(line))
            except ValueError:
                continue
    return rows


def stages(run: Run) -> list[tuple[str, int, float]]:
    """(rule, jobs done, seconds of them) in the order of their first start."""
    found: dict[str, list[Job]] = defaultdict(list)
    for job in sorted(run.jobs.values(), key=lambda job: job.started or float("inf")):
        if job.started and job.ended:
            found[job.rule].append(job)
    return [(rule, len(jobs), sum(job.ended - job.started for job in jobs)) for rule, jobs in found.items()]


def named(rule: str, wildcards: Mapping[str, Any]) -> str:
    """What people call a job: `fit echo seed 0`."""
    told = [f"seed {value}" if key == "seed" else str(value) for key, value in wildcards.items()]
    return " ".join([rule.removesuffix("_start"), *told])


def own_step(job: Job) -> str:
    """Where a running job says it is, at the end of its log: ` (step 300/1500, 2 min left)`."""
    found = None
    for line in end_of(job.log).splitlines():
        found = OWN_STEP.search(line) or found
    if found is None:
        return ""
    left = f", {spoken(60 * float(found[4]))} left" if found[4] else ""
    return f" ({found[1]} {found[2]}/{found[3]}{left})"


def end_of(log: str, lines: int = LOG_END) -> str:
    """The last lines of a log."""
    try:
        with open(log, "rb") as file:
            file.seek(0, 2)
            file.seek(max(file.tell() - 8192, 0))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join("    " + line[:300] for line in text.splitlines()[-lines:])


def spoken(seconds: float) -> str:
    """`40 s`, `3 min`, `1 h 20 min`."""
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def counted(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
