"""What a run says: the line that moves, failures with their log's end, the summary, and lines for machines."""

import io
import json
import logging
import re
import signal
import time
from types import SimpleNamespace

import pytest
import talk
from jobs import Job, Run, past, rows_of
from snakemake_interface_logger_plugins.common import LogEvent


@pytest.fixture
def told(tmp_path, monkeypatch):
    """A Talk with two jobs on one core, its stream, and its journal."""
    stream = io.StringIO()
    speaker = talk.Talk(None, None)
    speaker.stream = stream
    monkeypatch.setattr(talk, "TICK", 3600)
    jobs = {1: Job("fit", "fit echo seed 0"), 2: Job("evaluate", "evaluate echo seed 0")}
    speaker.begin(Run(jobs, 1, {"fit": 100, "evaluate": 20}), tmp_path / "logs" / "runs.jsonl")
    return speaker, stream, tmp_path / "logs" / "runs.jsonl"


def event(kind, **fields):
    record = logging.makeLogRecord({"levelno": logging.INFO, "msg": None, "event": kind, **fields})
    return record


def start(speaker, jobid, rule, log=""):
    wildcards = {"method": "echo", "seed": "0"}
    speaker.emit(event(LogEvent.JOB_INFO, jobid=jobid, rule_name=rule, wildcards=wildcards, log=[str(log)], threads=1))
    speaker.emit(event(LogEvent.JOB_STARTED, jobs=[jobid]))


def test_what_is_left_is_learnt_from_the_past_and_then_from_this_run(told):
    speaker, stream, _ = told
    assert "2 jobs on 1 core; about 2 min" in stream.getvalue()
    now = time.time()
    run = speaker.run
    run.jobs[1].started = now - 40
    assert run.left(now) == pytest.approx(60 + 20)
    run.jobs[1].ended = now
    assert run.left(now) == pytest.approx(0.4 * 20)  # this machine takes 0.4 of the past's seconds
    run.jobs[3] = Job("fit", "fit dim seed 0")  # of a rule that took 40 s here, 100 s elsewhere
    assert run.left(now) == pytest.approx(0.4 * 20 + 40)


def test_the_line_tells_a_running_jobs_own_step_and_minutes(told, tmp_path):
    speaker, _, _ = told
    log = tmp_path / "fit.log"
    log.write_text("start\necho seed 0: step 300/1500, loss 0.25, 4 steps/s, 5.0 min left\n")
    start(speaker, 1, "fit", log)
    line = speaker.line()
    # What a narrow terminal cuts off is the end.
    assert re.fullmatch(r"0 of 2 jobs done; about .* left; now fit echo seed 0 \(step 300/1500, 5 min left\)", line)


def test_a_failure_is_said_once_with_the_end_of_its_log(told, tmp_path):
    speaker, stream, journal = told
    log = tmp_path / "fit.log"
    log.write_text("\n".join(f"line {k}" for k in range(40)) + "\nerror: the loss is nan on batch [d1]\n")
    for _ in range(2):  # a retry
        start(speaker, 1, "fit", log)
        speaker.emit(event(LogEvent.JOB_ERROR, jobid=1, rule_name="fit", log=[str(log)]))
    said = stream.getvalue()
    assert said.count("the loss is nan") == 1 and "line 39" in said and "line 20" not in said
    assert "failed again" in said and speaker.line().startswith("0 of 2 jobs done; 1 failed; about ")
    assert [row["event"] for row in rows_of(journal)] == ["begin", "start", "failed", "start", "failed"]


def test_the_summary_has_table_stages_failures_and_report(told, tmp_path):
    speaker, stream, journal = told
    start(speaker, 1, "fit")
    speaker.run.jobs[1].started -= 30
    speaker.emit(event(LogEvent.JOB_FINISHED, job_id=1))
    start(speaker, 2, "evaluate", tmp_path / "e.log")
    (tmp_path / "e.log").write_text("first\nsecond\nthird\nerror: one sentence.\n")
    speaker.emit(event(LogEvent.JOB_ERROR, jobid=2, rule_name="evaluate", log=[str(tmp_path / "e.log")]))
    table, report = tmp_path / "main_table.md", tmp_path / "index.html"
    table.write_text("| method | value |\n")
    report.write_text("page")
    speaker.end(table, report)
    said = stream.getvalue()
    assert "\nmethod  value\n" in said and "fit                  1 job        30 s" in said
    end = "    second\n    third\n    error: one sentence.\n"
    assert f"failed: evaluate echo seed 0, see {tmp_path / 'e.log'}\n{end}" in said and f"report: {report}" in said
    last = rows_of(journal)[-1]
    assert (last["event"], last["done"], last["failed"]) == ("over", 1, 1)


def test_a_table_of_an_earlier_run_is_not_shown_as_this_ones(told, tmp_path):
    speaker, stream, _ = told
    table = tmp_path / "main_table.md"
    table.write_text("| old |\n")
    speaker.began = time.time() + 5
    speaker.end(table, table)
    assert "| old |" not in stream.getvalue() and "of an earlier run" in stream.getvalue()


def test_the_next_run_knows_how_long_each_job_took(told):
    speaker, _, journal = told
    start(speaker, 1, "fit")
    speaker.run.jobs[1].started -= 50
    speaker.emit(event(LogEvent.JOB_FINISHED, job_id=1))
    with open(journal, "a") as file:
        file.write('{"time": 1, "event": "en')  # torn by a power cut
    known = past(journal, {"fit": 134, "generate": 15})
    assert known["fit echo seed 0"] == known["fit"] == pytest.approx(50, abs=1) and known["generate"] == 15


def test_on_a_terminal_the_line_is_cut_and_written_over(told, monkeypatch):
    speaker, stream, _ = told
    stream.isatty = lambda: True
    monkeypatch.setenv("COLUMNS", "40")
    start(speaker, 1, "fit")
    shown = stream.getvalue().split("\r\x1b[2K")[-1]
    assert shown.startswith("0 of 2 jobs done; about ") and len(shown) == 39 and "\n" not in shown
    speaker.say("something that stays")
    assert stream.getvalue().endswith("\r\x1b[2Ksomething that stays\n")


def test_snakemakes_own_handler_keeps_warnings_and_errors(told):
    logger = logging.Logger("test")
    own = logging.StreamHandler(io.StringIO())
    own.name = "DefaultStreamHandler"
    logger.addHandler(own)
    plain = {"verbose": False, "quiet": None, "dryrun": False, "log_handler_settings": {}}
    assert talk.attach(logger, SimpleNamespace(**(plain | {"verbose": True}))) is None
    assert talk.attach(logger, SimpleNamespace(**(plain | {"dryrun": True}))) is None
    assert talk.attach(logger, SimpleNamespace(**plain)) is not None
    logger.info("rule fit:\n    input: a, b, c")
    logger.error("MissingInputException in rule fit")
    logger.error("said here", extra={"event": LogEvent.JOB_ERROR})
    assert own.stream.getvalue() == "MissingInputException in rule fit\n"


def test_a_command_that_was_killed_is_said_so_with_the_remedy(told, tmp_path):
    """Snakemake's own account of it, two thousand characters of shell, goes to its log file."""
    speaker, stream, _ = told
    quieter = talk.Quieter(speaker)
    shell = (
        "RuleException:\nCalledProcessError in file 'a', line 3:\nCommand 'python() {' returned non-zero exit status"
    )
    start(speaker, 1, "fit", tmp_path / "none.log")
    assert not quieter.filter(logging.makeLogRecord({"levelno": logging.ERROR, "msg": f"{shell} 137."}))
    speaker.emit(event(LogEvent.JOB_ERROR, jobid=1, rule_name="fit", log=[str(tmp_path / "none.log")]))
    said = stream.getvalue()
    assert (
        "fit echo seed 0 was killed after 1 s; no log." in said
        and "run the same command again, with fewer --cores" in said
    )
    assert not quieter.filter(logging.makeLogRecord({"levelno": logging.ERROR, "msg": f"{shell} 2."}))
    start(speaker, 2, "evaluate", tmp_path / "none.log")
    speaker.emit(event(LogEvent.JOB_ERROR, jobid=2, rule_name="evaluate", log=[str(tmp_path / "none.log")]))
    assert "evaluate echo seed 0 failed after" in stream.getvalue()
    speaker.end(tmp_path / "table.md", tmp_path / "index.html")
    assert stream.getvalue().endswith(
        "The same command again makes what failed and what waits for it, and nothing else.\n"
    )


def test_a_full_disk_is_one_sentence_and_no_further_job_begins(told, tmp_path, monkeypatch):
    speaker, stream, journal = told
    usage, ended = SimpleNamespace(free=2**20), []
    monkeypatch.setattr(talk.shutil, "disk_usage", lambda place: usage)
    monkeypatch.setattr(talk.os, "kill", lambda process, number: ended.append(number))
    speaker.journal = tmp_path / "gone" / "logs" / "runs.jsonl"  # cannot be written either
    for jobid, rule in ((1, "fit"), (2, "evaluate")):
        start(speaker, jobid, rule, tmp_path / "none.log")
        speaker.emit(event(LogEvent.JOB_ERROR, jobid=jobid, rule_name=rule, log=[str(tmp_path / "none.log")]))
    assert ended == [signal.SIGTERM]
    speaker.end(tmp_path / "table.md", tmp_path / "index.html")
    sentence = (
        f"error: the disk is full where {tmp_path / 'gone'} is written; make room, then run the same command again"
    )
    assert stream.getvalue().count(sentence) == 2 and stream.getvalue().splitlines()[-1].startswith(sentence)


def test_the_journal_is_json(told):
    _, _, journal = told
    assert [json.loads(line)["event"] for line in journal.read_text().splitlines()] == ["begin"]


def test_a_target_that_only_gathers_files_is_no_job(told):
    speaker, _, journal = told
    for jobid, command in ((7, None), (8, "python -m training.fit")):
        told_of = {"rule_name": "all", "wildcards": {}, "log": [], "threads": 1, "shellcmd": command}
        speaker.emit(event(LogEvent.JOB_INFO, jobid=jobid, **told_of))
        speaker.emit(event(LogEvent.JOB_STARTED, jobs=[jobid]))
        speaker.emit(event(LogEvent.JOB_FINISHED, job_id=jobid))
    assert speaker.run.done() == 1 and len(speaker.run.jobs) == 3


def test_on_a_terminal_the_table_keeps_the_columns_that_fit():
    rows = ["| method | seeds | mouth ↑ | FID ↓ |", "|:--|--:|--:|--:|", "| ECHO | 3 | **0.862** | <u>42.1</u> |"]
    text = "\n".join(["## Main", "", *rows, "", "- a note |", ""])
    assert talk.fitting(text, 80) == "method  mouth ↑    FID ↓\nECHO    **0.862**  42.1\n"
    assert talk.fitting(text, 20) == "method  mouth ↑\nECHO    **0.862**\n"
    assert talk.fitting(text, 3) == "method\nECHO\n" and talk.fitting("no table", 80) == "no table"
