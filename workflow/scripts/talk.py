"""What a run says while it runs: one line that moves, what failed, and a summary at the end; for machines, JSON lines.

A handler of Snakemake's own logger interface. It is attached where the workflow is read (workflow/rules/run.smk), not
named by `--logger`, since a plugin must be installed and this one lives in the repository. All that Snakemake says
without it goes to its log file under .snakemake/log as before; `--verbose` and `--quiet` bring Snakemake's own back.
"""

import json
import logging
import re
import shutil
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

TICK = 1.0  # seconds between two looks
QUIET = 60.0  # seconds between two plain lines
LOG_END = 12  # lines of a failed job's log
COST = ("seeds", "steps", "samples", "parameters")  # columns that a terminal has no room for
OWN_STEP = re.compile(r"(\w+) (\d+)/(\d+)(?:.*?([\d.]+) min left)?")  # training.engine.journal.Bar
SAID_HERE = (LogEvent.JOB_ERROR, LogEvent.GROUP_ERROR)  # in fewer words


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


class Talk(LogHandlerBase):
    """Says how a run goes.

    Args of `begin`:
        run: the jobs to come.
        journal: JSON lines of starts and ends are appended to it; the past of the next run.
    """

    def __post_init__(self) -> None:
        self.stream: TextIO = sys.stderr
        self.run: Run | None = None
        self.failed: dict[Any, str] = {}
        self.lock_line = threading.RLock()
        self.shown, self.last_line, self.said = "", 0.0, ""
        self.began = time.time()
        self.journal: Path | None = None
        self.over = threading.Event()

    writes_to_stream = property(lambda self: True)
    writes_to_file = property(lambda self: False)
    has_filter = property(lambda self: True)
    has_formatter = property(lambda self: True)
    needs_rulegraph = property(lambda self: False)

    @property
    def terminal(self) -> bool:
        return self.stream.isatty()

    def begin(self, run: Run, journal: Path) -> None:
        self.run, self.journal, self.began = run, journal, time.time()
        journal.parent.mkdir(parents=True, exist_ok=True)
        self.write({"event": "begin", "jobs": len(run.jobs), "cores": run.cores})
        minutes = spoken(run.left(self.began))
        self.say(f"{len(run.jobs)} jobs on {counted(run.cores, 'core')}; about {minutes} if nothing else runs here.")
        threading.Thread(target=self.tick, daemon=True).start()

    def tick(self) -> None:
        while not self.over.wait(TICK):
            if self.terminal:
                self.show(self.line())
            elif self.run is not None and self.run.running() and time.time() - self.last_line > QUIET:
                self.say(self.line())

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.heed(getattr(record, "event", None), record)
        except Exception:  # what is said must never stop what is done
            self.handleError(record)

    def heed(self, event: Any, record: logging.LogRecord) -> None:
        if self.run is None:
            return
        now = time.time()
        if event == LogEvent.JOB_INFO:
            if record.jobid not in self.run.jobs and not getattr(record, "shellcmd", None):
                return  # a target that only gathers files
            job = self.run.jobs.setdefault(
                record.jobid, Job(record.rule_name, named(record.rule_name, record.wildcards))
            )
            job.log, job.threads = (record.log or [""])[0], record.threads
        elif event == LogEvent.JOB_STARTED:
            for jobid in record.jobs:
                if jobid in self.run.jobs:
                    job = self.run.jobs[jobid]
                    job.started, job.ended = now, None
                    self.write({"event": "start", "rule": job.rule, "job": job.name, "threads": job.threads})
        elif event == LogEvent.JOB_FINISHED and record.job_id in self.run.jobs:
            self.finish(record.job_id, now)
        elif event == LogEvent.JOB_ERROR:
            self.fail(record.jobid, record, now)
        if self.terminal:
            self.show(self.line())

    def finish(self, jobid: Any, now: float) -> None:
        job = self.run.jobs[jobid]
        job.ended = now
        again = self.failed.pop(jobid, None)
        seconds = round(now - (job.started or now), 2)
        self.write({"event": "end", "rule": job.rule, "job": job.name, "threads": job.threads, "seconds": seconds})
        if again:
            self.say(f"{job.name}: done at the second try.")
        elif not self.terminal and now - self.last_line > QUIET:
            self.say(self.line())

    def fail(self, jobid: Any, record: logging.LogRecord, now: float) -> None:
        job = self.run.jobs.get(jobid) or Job(record.rule_name, record.rule_name)
        log = (record.log or [job.log])[0]
        seconds = round(now - (job.started or now), 2)
        self.write({"event": "failed", "rule": job.rule, "job": job.name, "seconds": seconds, "log": log})
        job.started = None
        first = jobid not in self.failed
        self.failed[jobid] = log
        text = f"{job.name} failed after {spoken(seconds)}; the end of {log}:\n{end_of(log)}"
        self.say(text if first else f"{job.name} failed again, see {log}.")

    def line(self) -> str:
        """What one line says of now."""
        run, now = self.run, time.time()
        if run is None:
            return ""
        parts = [f"{run.done()} of {len(run.jobs)} jobs done"]
        if self.failed:
            parts.append(f"{len(self.failed)} failed")
        parts.append(f"about {spoken(run.left(now))} left")
        if running := run.running():  # last: a narrow terminal cuts the line
            parts.append("now " + ", ".join(job.name + own_step(job) for job in running[:4]))
            parts[-1] += f" and {len(running) - 4} more" if len(running) > 4 else ""
        return "; ".join(parts)

    def show(self, text: str) -> None:
        """The line that moves: cut to the terminal's width, written over the one before."""
        width = shutil.get_terminal_size().columns - 1
        text = text if len(text) <= width else text[: width - 1] + "…"
        with self.lock_line:
            if text != self.shown:
                self.stream.write("\r\x1b[2K" + text)
                self.stream.flush()
                self.shown = text

    def clear(self) -> None:
        with self.lock_line:
            if self.shown:
                self.stream.write("\r\x1b[2K")
                self.stream.flush()
                self.shown = ""

    def say(self, text: str) -> None:
        """A line that stays."""
        with self.lock_line:
            self.clear()
            self.stream.write(text + "\n")
            self.stream.flush()
            self.last_line = time.time()

    def write(self, row: dict[str, Any]) -> None:
        if self.journal is not None:
            with open(self.journal, "a", encoding="utf-8") as file:
                file.write(json.dumps({"time": round(time.time(), 3), **row}) + "\n")

    def end(self, table: Path, report: Path) -> None:
        """The summary: the table, how long each stage took, what failed, where the report is."""
        if self.run is None or self.over.is_set():
            return
        self.over.set()
        self.clear()
        run, wall = self.run, time.time() - self.began
        self.write({"event": "over", "seconds": round(wall, 2), "done": run.done(), "failed": len(self.failed)})
        fresh = table.is_file() and table.stat().st_mtime >= self.began
        if fresh:
            text = table.read_text(encoding="utf-8")
            shown = fitting(text, shutil.get_terminal_size().columns) if self.terminal else text
            self.stream.write(f"\n{shown}\nthe whole table, and what its columns mean: {table}\n\n")
        for rule, jobs, seconds in stages(run):
            self.stream.write(f"{rule:<16}{counted(jobs, 'job'):>10}{spoken(seconds):>12}\n")
        used = sum((job.ended - job.started) * job.threads for job in run.jobs.values() if job.ended and job.started)
        share = used / max(wall * run.cores, 1e-9)
        self.stream.write(
            f"{'all':<16}{counted(run.done(), 'job'):>10}{spoken(wall):>12}, {share:.0%} of the cores used\n"
        )
        for jobid, log in self.failed.items():
            name = self.run.jobs[jobid].name if jobid in run.jobs else jobid
            text = end_of(log, 3)  # the rest was said when it failed
            self.stream.write(f"failed: {name}, see {log}\n" + (f"{text}\n" if text else ""))
        if report.is_file():
            old = "" if report.stat().st_mtime >= self.began else " (of an earlier run)"
            self.stream.write(f"report: {report}{old}\n")
        self.stream.flush()


class Quieter(logging.Filter):
    """Lets Snakemake's own handler say warnings and errors alone, without what is said here."""

    def __init__(self, talk: Talk) -> None:
        super().__init__()
        self.talk = talk

    def filter(self, record: logging.LogRecord) -> bool:
        text = str(record.msg or "")
        passes = record.levelno >= logging.WARNING and getattr(record, "event", None) not in SAID_HERE
        passes = passes and not text.startswith(("Exiting because a job", "At least one job did not"))
        passes = passes or text.startswith("Nothing to be done")
        if passes:
            self.talk.clear()
        return passes


def attach(logger: logging.Logger, settings: Any) -> Talk | None:
    """Let a Talk speak instead of Snakemake's own handler; None where that was asked for, or is not there."""
    if settings.verbose or settings.quiet or settings.dryrun or settings.log_handler_settings:
        return None
    own = next((handler for handler in logger.handlers if handler.name == "DefaultStreamHandler"), None)
    if own is None:
        return None
    talk = Talk(settings, None)
    own.addFilter(Quieter(talk))
    logger.addHandler(talk)
    return talk


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


def fitting(text: str, width: int) -> str:
    """The rows of a Markdown table, without what a row cost, with as many of its columns as `width` has room for."""
    plain = [re.sub("</?u>", "", line.strip("|")) for line in text.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.split("|")] for line in plain]
    if not rows:
        return text
    rows = [row for row in rows if not all(set(cell) <= set(":-") for cell in row)]
    columns = [column for column in zip(*rows, strict=False) if column[0] not in COST]
    sizes = [max(map(len, column)) for column in columns]
    count = max(1, sum(sum(sizes[: end + 1]) + 2 * end < width for end in range(len(sizes))))
    shown = zip(*columns[:count], strict=True)
    return "\n".join("  ".join(map(str.ljust, row, sizes)).rstrip() for row in shown) + "\n"


def stages(run: Run) -> list[tuple[str, int, float]]:
    """(rule, jobs done, seconds of them) in the order of their first start."""
    found: dict[str, list[Job]] = defaultdict(list)
    for job in sorted(run.jobs.values(), key=lambda job: job.started or float("inf")):
        if job.started and job.ended:
            found[job.rule].append(job)
    return [(rule, len(jobs), sum(job.ended - job.started for job in jobs)) for rule, jobs in found.items()]


def spoken(seconds: float) -> str:
    """`40 s`, `3 min`, `1 h 20 min`."""
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def counted(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def planned(jobs: Any, identify: Callable[[Any], Any]) -> dict[Any, Job]:
    """The jobs of Snakemake's plan that will run; a target that only gathers files is none."""
    found = {}
    for job in jobs:
        if job.shellcmd or job.rule.is_run or job.rule.is_script or job.rule.is_notebook:
            found[identify(job)] = Job(job.rule.name, named(job.rule.name, job.wildcards_dict), job.threads)
    return found
