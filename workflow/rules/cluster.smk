"""What jobs ask of a scheduler, how many processes train, and into which shards the dialogues are cut."""

from math import ceil

# A training of `gpus_per_job` processes, one a GPU, on as many nodes as `gpus_per_node` makes of them.
PROCESSES = max(1, config["gpus_per_job"] or 0)
NODES = ceil(PROCESSES / config["gpus_per_node"]) if config["gpus_per_node"] else 1
if PROCESSES % NODES:
    raise WorkflowError(
        f"gpus_per_job is {PROCESSES}, which {NODES} nodes of gpus_per_node {config['gpus_per_node']} cannot share "
        "evenly; change one of them."
    )
ON_GPU = "python workflow/scripts/on_gpu.py python -m"
TRAIN = (
    f"python workflow/scripts/on_gpu.py --gpus {PROCESSES // NODES} python -m training.launch"
    f" --processes {PROCESSES} --nodes {NODES} -m"
    if PROCESSES > 1
    else ON_GPU
)

# In a study on wan these are the processes of its rows; what is small is trained in one.
TRAIN_SMALL = ON_GPU if WAN else TRAIN

COUNT = count_dialogues(config)
SIZE = config["shards"]["dialogues"]
if SIZE and not sum(COUNT.values()):
    raise WorkflowError(
        f"shards.dialogues is {SIZE}, but nothing says how many dialogues dataset '{DATASET}' has: say about how many in "
        "shards.of, such as {train: 30000, test: 3000}, or leave shards out."
    )
# Shards of all dialogues, and of those that are generated and measured; none where one job does all.
SHARDS = shard_names(sum(COUNT.values()), SIZE)
TEST_SHARDS = shard_names(COUNT.get("test", 0), SIZE)


wildcard_constraints:
    shard=r"\d+-of-\d+",


def sharded(path, shards):
    """A stage's list, or one of its shards' lists, which `gather` makes into it."""
    folder, name = os.path.split(path)
    stem, suffix = os.path.splitext(name)
    own = folder if stem == "index" else f"{folder}/{stem}"
    return f"{own}/shards/{{shard}}{suffix}" if shards else path


def shards_of(path, shards):
    """The lists of all shards, in order; wildcards other than the shard's stay."""
    return [sharded(path, shards).replace("{shard}", shard) for shard in shards]


def placed(path):
    """A stage's folder as a parameter: its shards' lists lie deeper than the list of all, and each seed may have one."""
    return lambda wildcards: path.replace("{seed}", str(getattr(wildcards, "seed", "")))


def mark(shards):
    """What tells a shard's log from another's."""
    return "_{shard}" if shards else ""


def shard_option(shards):
    """The stage's option, as a parameter of the rule."""
    return (lambda wildcards: ["--shard", wildcards.shard]) if shards else []


def gpus_for_training(wildcards):
    """GPUs that a training asks for; on a cluster one, where nothing is said: its login node has none to look at."""
    if config["gpus_per_job"] is not None:
        return config["gpus_per_job"]
    return int(bool(visible_gpus()) or not workflow.local_exec or workflow.remote_exec)


def gpu(wildcards):
    """Of all other jobs at most one."""
    return min(gpus_for_training(wildcards), 1)


def many(wildcards):
    """Whether `gpus_per_job` processes train this row."""
    return not WAN or on_wan(wildcards)


def gpus_for_row(wildcards):
    """GPUs that a row's training asks for."""
    return gpus_for_training(wildcards) if many(wildcards) else gpu(wildcards)


def cores_for_row(wildcards):
    """Cores of a node that a row's training asks a cluster for, one a process; on this machine a job counts as one."""
    remote = not workflow.local_exec or workflow.remote_exec
    return PROCESSES // NODES if remote and many(wildcards) else 1


def gpus_for_small(wildcards):
    """GPUs that a shared backbone's training asks for."""
    return gpu(wildcards) if WAN else gpus_for_training(wildcards)


def across_nodes(of_a_row=False):
    """What Slurm needs to know of a training on several nodes, whose launcher calls srun itself."""
    if NODES == 1 or (WAN and not of_a_row):
        return {}
    nodes = (lambda wildcards: NODES if many(wildcards) else 1) if of_a_row else NODES
    return {"nodes": nodes, "tasks": nodes, "tasks_per_gpu": 0, "mpi": "srun"}


def needs(rule, benchmarks=None):
    """Memory (MB), time (minutes) and partition of a rule's jobs, from the profile's `resources`.

    Where jobs of that rule have run, what they took by Snakemake's benchmark files, with a factor; with every retry
    more. `benchmarks`: their files below <results>/<profile>/benchmarks.
    """
    table, least = config["resources"], config["resources"]["least"]
    own = least | (table["rules"].get(rule) or {})

    def asked(key, known):
        def value(wildcards, attempt):
            took = measured(f"{RESULTS}/benchmarks", benchmarks)[known] if benchmarks else 0
            return ceil(max(own[key], took * table["factor"]) * table["grow"] ** (attempt - 1))

        return value

    found = {"mem_mb": asked("mem_mb", "mem_mb"), "runtime": asked("runtime", "minutes")}
    return found | ({"slurm_partition": own["partition"]} if own["partition"] else {})


def workers(rule, share=1, most=10**6):
    """Processes of a stage that runs several: what the profile gives it on a cluster; on this machine, of which a
    cluster's jobs know nothing, one in `share` of the cores, at most `most`."""
    given = (config["resources"]["rules"].get(rule) or {}).get("cpus")

    def threads(wildcards):
        remote = not workflow.local_exec or workflow.remote_exec
        if remote:
            return given or config["resources"]["least"]["cpus"]
        return max(1, min(most, (workflow.cores or 1) // share))

    return threads
