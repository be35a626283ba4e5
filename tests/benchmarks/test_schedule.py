"""The schedule's benchmark reads a plan and a journal, and simulates what can be told by hand."""

import pytest

from benchmarks.schedule import Task, bound, measured, simulate, tasks

PLAN = """Building DAG of jobs...
rule make_world:
    input: .snakemake/code/dyads.sha256
    output: results/s/data/manifest.csv
    log: results/s/logs/data.log
    jobid: 3
    reason: Forced execution
    resources: tmpdir=/tmp

rule encode:
    input: .snakemake/code/encode.sha256, results/s/data/manifest.csv
    output: results/s/features/index.csv
    jobid: 2
    priority: 100
    threads: 2
    resources: tmpdir=/tmp, gpu=1

rule fit_start:
    input: results/s/features/index.csv, results/s/data/manifest.csv
    output: results/s/models/talking/seed1.safetensors
    jobid: 1
    wildcards: method=talking, seed=1
    resources: tmpdir=/tmp

localrule all:
    input: results/s/models/talking/seed1.safetensors
    jobid: 0

Job stats:
"""


def task(seconds, threads=1, after=(), priority=0):
    return Task("rule", "name", threads, priority, seconds, tuple(after))


def test_a_plan_is_read_from_a_dry_run():
    world, encode, fit = tasks(PLAN, {"make_world": 40, "encode": 30, "fit talking seed 1": 7, "fit_start": 60})
    assert (world.rule, world.seconds, world.after) == ("make_world", 40, ())
    assert (encode.threads, encode.priority, encode.after) == (2, 100, (0,)) and encode.seconds == pytest.approx(16.5)
    assert (fit.name, fit.seconds, fit.after) == ("fit talking seed 1", 7, (0, 1))


def test_chains_and_wide_jobs_end_when_they_can():
    # Two of 10 s side by side, then one on both cores for 5 s.
    jobs = [task(10), task(10), task(5, threads=2, after=(0, 1))]
    assert simulate(jobs, 2) == (15, 30) and bound(jobs, 2) == 15
    # A wide job waits until both cores are free, whatever its priority; on three cores it need not.
    jobs = [task(10), task(4, threads=2, priority=100), task(6), task(1)]
    assert simulate(jobs, 2) == (4 + 10, 10 + 8 + 6 + 1) and simulate(jobs, 3) == (10, 25)
    assert bound(jobs, 2) == 12.5 and bound(jobs, 64) == 10


def test_the_share_used_is_of_the_whole_run_and_not_of_what_finished_a_broken_one():
    def run(jobs, seconds, done=None):
        ends = [{"event": "end", "seconds": seconds, "threads": 2}, {"event": "failed"}]
        over = {"event": "over", "done": jobs if done is None else done, "seconds": 2 * seconds}
        return [{"event": "begin", "jobs": jobs, "cores": 2}, *ends, over]

    whole = {"cores": 2, "jobs": 9, "seconds": 20, "used": 0.5}
    assert measured([*run(9, 10), *run(3, 5), *run(9, 1, done=8)]) == whole
    assert measured(run(9, 10)[:-1]) is None and measured([]) is None
