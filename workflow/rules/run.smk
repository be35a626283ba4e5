"""A run on this machine: whose it is, what the machine lacks, how it talks, and stages that begin at once."""

import atexit
import shutil

from begin import Machine
from jobs import Run, past, planned
from owner import claim, note_jobs, runs_jobs
from talk import attach

RUNS = f"{LOGS}/runs.jsonl"
JOBS_RUN = workflow.is_main_process and Path(sys.argv[0]).stem in ("snakemake", "__main__")
JOBS_RUN = JOBS_RUN and runs_jobs(sys.argv[1:])

if JOBS_RUN and (problem := claim(RESULTS)):
    raise WorkflowError(problem)

# glibc asks the system anew for every array above some 30 MB, at times above 128 kB, and page faults then take up to a
# quarter of what numpy computes; with these, freed memory is kept and used again. Elsewhere they mean nothing.
os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", str(128 * 2**20))
os.environ.setdefault("MALLOC_TRIM_THRESHOLD_", str(512 * 2**20))

# What the generator wan needs takes six seconds to import; with a GPU each of its stages does that by itself.
machine = Machine(RESULTS, ("study", "pretrained") if WAN and not visible_gpus() else ("study",))
# On a terminal, and under `make study` and `make smoke`; elsewhere Snakemake speaks as it always does.
TALKS = JOBS_RUN and (sys.stderr.isatty() or os.environ.get("ECHO_TALK") == "1")
talk = attach(workflow.logger_manager.logger, workflow.logger_manager.settings) if TALKS else None
# Rules say `python -m stage`; while `machine` keeps a server, that asks it for a fork (workflow/scripts/warm.py).
shell.prefix(machine.prefix(workflow.basedir))
atexit.register(machine.end)


def lacks_here(rules):
    """What jobs of these rules would miss, perhaps after hours: recordings, checkpoints, and on this machine GPUs.

    A cluster's nodes share this folder, but may have disks of their own.
    """
    elsewhere = not workflow.local_exec
    adapts = bool({"adapt_videos", "adapt_shard"} & rules)
    if adapts and not Path(DATA_ROOT).is_dir() and not (elsewhere and Path(DATA_ROOT).is_absolute()):
        where = f"test_sets.{TEST_SET}.root" if TEST_SET else "dataset.root"
        variable = config["dataset"]["root_variable"]
        other = f", or set the environment variable {variable}" if variable else ""
        return f"{where} is {DATA_ROOT}, which is no folder; name the data set's there{other}."
    corpus = "adapt_coefficients" in rules and config["dataset"]["made_up"] is None
    if corpus and not Path(CORPUS, PAIRS).is_file() and not (elsewhere and Path(CORPUS).is_absolute()):
        variable = config["dataset"]["root_variable"]
        where = f"the environment variable {variable}" if os.environ.get(variable or "") else "dataset.root"
        lacks = f"holds no {PAIRS}" if Path(CORPUS).is_dir() else "is no folder"
        other = (
            f", or set the environment variable {variable}" if variable and where == "dataset.root" else ""
        )
        return f"{where} is {CORPUS}, which {lacks}; name the corpus's folder there{other} (docs/si184.md says how)."
    trainings = {"fit", "fit_start", *([] if WAN else ["train_vae", "train_phi", "train_renderer"])}
    problem = missing_problem(config, rules, elsewhere)
    if problem or elsewhere or not trainings & rules or "SLURM_JOB_ID" in os.environ:
        return problem
    # As training.device.cores, which would import torch here.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return processes_problem(PROCESSES, NODES, len(visible_gpus()), cores)


def begin_run():
    """Before the first job."""
    if problem := machine.lacks():
        raise WorkflowError(problem)
    if problem := lacks_here({job.rule.name for job in workflow.dag.needrun_jobs()}):
        raise WorkflowError(problem)
    if workflow.local_exec:  # on a cluster's nodes each stage is a process of its own
        machine.begin()
    else:  # the Slurm plugin's name for the jobs of this run; other executors have none
        if name := getattr(workflow.scheduler._executor, "run_uuid", None):
            note_jobs(RESULTS, name)
    if talk is not None:
        times = yaml.safe_load(Path(workflow.basedir, "workflow/times.yaml").read_text())
        jobs = planned(workflow.dag.needrun_jobs(), workflow.dag.jobid)
        known = past(Path(RUNS), times.get(config["profile"], times["default"]))
        talk.begin(Run(jobs, workflow.cores or len(jobs), known), Path(RUNS))


def end_run(well=True):
    """After the last job, or after a failure."""
    machine.end()
    unfinished = Path(f"{RESULTS}/unfinished")
    if well:  # of an earlier run
        shutil.rmtree(unfinished, ignore_errors=True)
    if talk is not None:
        talk.end(Path(f"{RESULTS}/tables/main_table.md"), Path(REPORT), unfinished / "report/index.html")
