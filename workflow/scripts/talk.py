"""What a run says while it runs: one line that moves, what failed, and a summary at the end; for machines, JSON lines.

A handler of Snakemake's own logger interface. It is attached where the workflow is read (workflow/rules/run.smk), not
named by `--logger`, since a plugin must be installed and this one lives in the repository. All that Snakemake says
without it goes to its log file under .snakemake/log as before; `--verbose` and `--quiet` bring Snakemake's own back.
"""

import json
import logging
import os
import re
import shutil
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any, TextIO

from jobs import Job, Run, counted, end_of, named, own_step, spoken, stages
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

TICK = 1.0  # seconds between two looks
PLAIN = 120  # characters of a line where there is no terminal
QUIET = 60.0  # seconds between two plain lines
COST = ("seeds", "steps", "samples", "parameters")  # columns that a terminal has no room for
FULL = 16 * 2**20  # bytes free; less than this, and no job can end
OF_A_COMMAND = re.compile(
    r"CalledProcessError.*(?:returned non-zero exit status (\d+)|died with <Signals\.(\w+))", re.S
)
FULL_DISK = "the disk is full where {} is written; make room, then run the same command again: what is done stays."
SAID_HERE = (LogEvent.JOB_ERROR, LogEvent.GROUP_ERROR)  # in fewer words


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
        self.killed = self.full = False  # the last command that failed, by a signal; the disk

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
        tail = end_of(log)
        what, self.killed = "was killed" if self.killed else "failed", False
        text = f"{job.name} {what} after {spoken(seconds)}; " + (f"the end of {log}:\n{tail}" if tail else "no log.")
        if what == "was killed":
            text += (
                "\nSomebody ended it (kill -9), or the system did because memory ran out; run the same command again, "
                "with fewer --cores if it was memory."
            )
        self.say(text if first else f"{job.name} failed again, see {log}.")
        self.look_at_the_disk()

    def look_at_the_disk(self) -> None:
        """A full disk fails every job: no other one is begun, as after Ctrl-C."""
        where = self.journal.parent.parent
        if not self.full and shutil.disk_usage(where).free < FULL:
            self.full = True
            self.say(f"error: {FULL_DISK.format(where)}")
            os.kill(os.getpid(), signal.SIGTERM)

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
            try:
                with open(self.journal, "a", encoding="utf-8") as file:
                    file.write(json.dumps({"time": round(time.time(), 3), **row}) + "\n")
            except OSError:  # a full disk stops no talk
                pass

    def end(self, table: Path, report: Path, unfinished: Path | None = None) -> None:
        """The summary: the table, how long each stage took, what failed, where the report is, or `unfinished`, the page
        of what finished."""
        if self.run is None or self.over.is_set():
            return
        self.over.set()
        self.clear()
        run, wall = self.run, time.time() - self.began
        self.write({"event": "over", "seconds": round(wall, 2), "done": run.done(), "failed": len(self.failed)})
        fresh = table.is_file() and table.stat().st_mtime >= self.began
        if fresh:
            text = table.read_text(encoding="utf-8")
            shown = fitting(text, shutil.get_terminal_size().columns if self.terminal else PLAIN)
            self.stream.write(f"\n{shown}\nthe whole table, and what its columns mean: {table}\n\n")
        for rule, jobs, seconds in stages(run):
            self.stream.write(f"{rule:<16}{counted(jobs, 'job'):>10}{spoken(seconds):>12}\n")
        used = sum((job.ended - job.started) * job.threads for job in run.jobs.values() if job.ended and job.started)
        share = used / max(wall * run.cores, 1e-9)
        self.stream.write(
            f"{'all':<16}{counted(run.done(), 'job'):>10}{spoken(wall):>12}, jobs held {share:.0%} of the cores' time\n"
        )
        for jobid, log in self.failed.items():
            name = self.run.jobs[jobid].name if jobid in run.jobs else jobid
            text = end_of(log, 3)  # the rest was said when it failed
            self.stream.write(f"failed: {name}, see {log}\n" + (f"{text}\n" if text else ""))
        if report.is_file():
            old = "" if report.stat().st_mtime >= self.began else " (of an earlier run)"
            self.stream.write(f"report: {report}{old}\n")
        if self.failed and unfinished is not None and unfinished.is_file():
            self.stream.write(f"what finished: {unfinished}\n")
        if self.full:
            self.stream.write(f"error: {FULL_DISK.format(self.journal.parent.parent)}\n")
        elif self.failed:
            self.stream.write("The same command again makes what failed and what waits for it, and nothing else.\n")
        self.stream.flush()


class Quieter(logging.Filter):
    """Lets Snakemake's own handler say warnings and errors alone, without what is said here."""

    def __init__(self, talk: Talk) -> None:
        super().__init__()
        self.talk = talk

    def filter(self, record: logging.LogRecord) -> bool:
        text = str(record.msg or "")
        if (command := OF_A_COMMAND.search(text)) and record.levelno >= logging.WARNING:
            self.talk.killed = command[1] == "137" or command[2] == "SIGKILL"
            return False  # two thousand characters of shell; the job's log says what was wrong
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
