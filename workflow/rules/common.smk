"""Which study this is: the profile's configuration, checked, and the paths and options that follow from it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import yaml
from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod, ExecMode
from snakemake.utils import update_config, validate

sys.path.insert(0, str(Path(workflow.basedir) / "workflow" / "scripts"))
from on_gpu import visible_gpus
from checks import needs_problem, options_problem, rows_problem
from checkpoints import fit_problem, missing_problem
from plan import count_dialogues, measured, missing_shards, processes_problem, shard_names
from backbones import readers_problem, shipped_files, shipped_problem
from study import PACKAGES, code_files, code_of, config_problem, load_schema, merge, typed

if DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method and not shutil.which("conda"):
    raise WorkflowError(
        "--use-conda was given but there is no conda on PATH: install Miniforge, or activate an environment "
        "made from environment.yml or requirements.lock and drop --use-conda."
    )

# `snakemake smoke` selects the profile of that name (targets are not known to the workflow while it is read). As a
# configuration file the choice reaches the jobs of a remote executor too, whose command lines name other targets.
if "smoke" in sys.argv[1:]:
    config["profile"] = "smoke"
    workflow.config_settings.configfiles.append(Path("workflow/config/smoke.yaml").absolute())

# A profile holds only its differences from default.yaml; the command line wins over both.
if Path(f"workflow/config/{config['profile']}.yaml").is_file():

    configfile: f"workflow/config/{config['profile']}.yaml"

elif not workflow.overwrite_configfiles:
    known = ", ".join(sorted(path.stem for path in Path("workflow/config").glob("*.yaml")))
    raise WorkflowError(
        f"there is no profile '{config['profile']}'; there are {known}, or give --configfile FILE."
    )

# Snakemake leaves text in the lists and mappings of --config 'seeds=[0,1]'.
update_config(config, typed(workflow.config_settings.config))

# Rows keep the order of default.yaml, wherever the differences come from; `no_sdcm: null` takes a row out.
default = yaml.safe_load(Path("workflow/config/default.yaml").read_text(encoding="utf-8"))
given = {section: config[section] for section in ("methods", "controls") if section in config}
for section in ("methods", "controls"):
    rows = merge(dict.fromkeys(default[section]), config.get(section) or {})
    config[section] = {name: row for name, row in rows.items() if row is not None}

if problem := config_problem(config, load_schema()):
    raise WorkflowError(problem)
validate(config, f"{workflow.basedir}/workflow/schemas/config.schema.yaml")
if problem := rows_problem(config, given) or needs_problem(config):
    raise WorkflowError(problem)

# Another test set of a study: its trained weights on other dialogues. Rows that show training clips have none here.
TEST_SET = config["test_set"]
if TEST_SET:
    if TEST_SET not in config["test_sets"]:
        known = ", ".join(config["test_sets"]) or "none"
        raise WorkflowError(f"test_set is {TEST_SET!r}, which test_sets does not have; there are: {known}.")
    config["dataset"] = {
        **config["dataset"],
        "pairs": None,
        **config["test_sets"][TEST_SET],
        "name": TEST_SET,
    }
    config["dataset"]["options"] = {**config["dataset"]["options"], "only": "test"}
    if config["dataset"]["kind"] in ("synthetic", "coefficients"):
        raise WorkflowError(
            f"test_sets.{TEST_SET}.kind is {config['dataset']['kind']}; give recordings (docs/datasets.md)."
        )
    needs_training_clips = ("baselines.floors:NearestNeighbour", "baselines.floors:RandomTrainingClip")
    config["controls"] = {
        name: row for name, row in config["controls"].items() if row["class"] not in needs_training_clips
    }

# Of released systems without video nothing is trained.
COEFFICIENTS = config["dataset"]["kind"] == "coefficients"
METHODS = {} if COEFFICIENTS else config["methods"]
# ECHO's rows stand on the generator that the study chose; every other row is the same on both.
WAN = config["generator"].get("kind", "small") == "wan"
if WAN:
    for row in METHODS.values():
        row["class"] = row["class"].replace("echo_model.method:", "echo_model.wan.method:")
    both = METHODS | config["controls"]
    if swaps := [name for name, row in both.items() if row["class"].startswith("echo_model.commands.swap:")]:
        raise WorkflowError(
            f"{swaps[0]}: swap tests exchange what the small generator reads; take that row out where "
            "generator.kind is wan."
        )
ON_WAN = "echo_model.wan."
CONTROLS = {} if COEFFICIENTS else config["controls"]  # rows that learn nothing
STARTS = sorted(
    {row["start"] for row in METHODS.values() if row["start"]}
)  # stage-1 generators that others start from
TRAINED = [name for name, row in METHODS.items() if not row["weights"]]
SWAPS = {name: row["weights"] for name, row in (METHODS | CONTROLS).items() if row["group"] == "swap"}
ROWS = {name: row for name, row in METHODS.items() if row["group"] != "none"} | CONTROLS
EXTERNAL = config["external"]  # row name -> folder of videos made elsewhere
for name, folder in EXTERNAL.items():
    if name in METHODS or name in CONTROLS:
        raise WorkflowError(f"external.{name} is the name of another row too; give it another name.")
    if not Path(folder).is_dir():
        raise WorkflowError(f"external.{name}: {folder} is no folder; name one with <dyad_id>.mp4 files.")
    ROWS[name] = {"label": name, "group": "baseline", "class": "", "seeds": [0]}


def coefficient_rows():
    """Rows of a study on coefficients: row -> label, group and what `evaluation.coefficients` measures in it."""
    dataset, rows = config["dataset"], {}

    def add(name, label, group, source, protocol="clock"):
        asked = {"source": source, "protocol": protocol}
        rows[name] = {"label": label, "group": group, "class": "", "seeds": [0], "asked": asked}

    systems = dataset["systems"]
    if dataset["main"] not in systems:
        raise WorkflowError(f"dataset.main is {dataset['main']!r}, which is none of dataset.systems.")
    for name in (dataset["main"], *(name for name in systems if name != dataset["main"])):
        add(name, systems[name] or name, "main" if name == dataset["main"] else "baseline", name)
    for name in systems if dataset["dropped"] else ():
        add(f"{name}_dropped", f"{systems[name] or name}, frames dropped", "ablation", name, "dropped")
    add("truth", "Ground truth", "control", "GT")
    if dataset["dropped"]:
        add("truth_dropped", "Ground truth, frames dropped", "control", "GT", "dropped")
    add("shuffled", "Another person's motion", "control", "other")
    add("time_shifted", "Truth, shifted in time", "control", "shifted")
    add("frozen", "Still face", "control", "still")
    return rows


if COEFFICIENTS:
    ROWS = coefficient_rows()

for slot, path in config["weights"].items():
    if not Path(path).is_file():
        raise WorkflowError(
            f"weights.{slot}: {path} is no file; `python -m evaluation.weights list` says what to get, and from where."
        )

# A replicate trains everything anew that a method uses, by other seeds, on the same dialogues and with the same readers.
HOME = f"{config['results']}/{config['profile']}"  # where it was trained
STUDY = f"{HOME}/on/{TEST_SET}" if TEST_SET else HOME
REPLICATE = config["replicate"]
RESULTS, TRAINED_IN = (f"{place}/replicate{REPLICATE}" if REPLICATE else place for place in (STUDY, HOME))
FIRST_SEED = 100 * REPLICATE
# Where each seed of a method has backbones of its own, their paths bear the rules' wildcard.
PER_SEED = config["backbones_per_seed"]
ANEW = "--backbones-per-seed" if PER_SEED else ""
OF_SEED = f"{os.sep}seed{{seed}}" if PER_SEED else ""
# Autoencoder, renderer, Phi and probes that come with the package, in place of trainings on the study's dialogues.
SHIPPED = config["backbones"] == "shipped"
BACKBONES = ["vae", "phi", "renderer"]
if SHIPPED and (problem := shipped_problem(config, default)):
    raise WorkflowError(problem)
# Readers of metrics are the shipped ones wherever these can read, whatever is trained, so that values share a scale.
problem = readers_problem(config, default)
if config["readers"] == "shipped" and problem and not TEST_SET:
    raise WorkflowError(problem)
READERS_SHIPPED = config["readers"] != "train" and not problem and not TEST_SET
DATASET = config["dataset"]["name"] or config["dataset"]["kind"]
DATA = f"{STUDY}/data/{DATASET}"
VAE = f"{RESULTS}/backbones{OF_SEED}/vae.safetensors"
# Probes are the files of evaluation/fits.
PROBES = sorted(path.stem for path in Path(workflow.basedir, "evaluation/fits").glob("[a-z]*.py"))
PHI = f"{RESULTS}/backbones{OF_SEED}/phi.safetensors"
RENDERER = f"{RESULTS}/backbones{OF_SEED}/renderer.safetensors"  # of the motion latent that baselines share
MOTION = f"{RESULTS}/motion{OF_SEED}"
TABLES = expand(
    f"{RESULTS}/tables/{{table}}.{{format}}",
    table=[
        *("main_table", "ablations_table", "talking_table", "listening_table", "efficiency_table"),
        "controls",
    ],
    format=["csv", "md", "tex"],
)
# Tidy files beside them, which figures are drawn from.
TIDY = expand(f"{RESULTS}/tables/{{name}}.csv", name=["values", "summary", "metrics", "comparisons", "ranks"])
CLAIMS_FILE = config["claims"]
CLAIMS = expand(f"{RESULTS}/tables/claims.{{format}}", format=["csv", "md", "tex"])
SWAP_TABLE = f"{RESULTS}/tables/swaps.csv"
REPORTS = expand(f"{RESULTS}/reports/{{name}}.html", name=config["notebooks"])
REPORT = f"{RESULTS}/report/index.html"
# Phi, Psi and E_txt: options of the small Phi's training, and which ones read the dialogues.
PHI_TRAINING = {key: value for key, value in config["phi"].items() if key in ("model", "train", "length")}
READERS = {
    "phi": {key: value for key, value in config["phi"].items() if key not in PHI_TRAINING},
    "psi": config["psi"],
    "text": config["text"],
}
PRETRAINED = {
    slot: kind for slot in READERS if (kind := READERS[slot].get("kind", "small")) not in ("small", "lexicon")
}
WEIGHTS = f"{RESULTS}/weights.json"  # what was found of the reference networks' files, where any are given
FEATURES = f"{RESULTS}/features{OF_SEED}"
CONTEXT = f"{RESULTS}/context{OF_SEED}"
CLIPS = f"{RESULTS}/clips"  # of the generator wan: latents, voice and look of every dialogue, clip by clip
LOGS = f"{RESULTS}/logs"
VIDEOS = f"{RESULTS}/videos/{{method}}/seed{{seed}}/index.csv"
MEASURED_ROW = f"{RESULTS}/metrics/{{method}}/seed{{seed}}.csv"
if PER_SEED and (PRETRAINED or any(row["class"].startswith(ON_WAN) for row in METHODS.values())):
    raise WorkflowError(
        "backbones_per_seed trains the small backbones anew for each seed, and pretrained readers and the generator wan "
        "have none to train: set it to false."
    )


def in_report(paths):
    """The same paths; `snakemake --report` shows those of CSV tables."""
    shown = lambda path: report(path, category="Tables", labels={"table": Path(path).stem})
    return [shown(path) if path.endswith(".csv") else path for path in paths]


def one_of(names):
    """Wildcard constraint; of no names, one that nothing matches."""
    return "|".join(sorted(names)) or "(?!)"


wildcard_constraints:
    method=one_of([*METHODS, *CONTROLS, *EXTERNAL]),
    seed=r"\d+",
    probe=one_of(PROBES),
    notebook=one_of(config["notebooks"]),


# Rows that become a folder for `Echo.from_pretrained`.
PACKAGED = [
    f"{RESULTS}/pretrained/{name}"
    for name, row in METHODS.items()
    if row["group"] == "main" and row["class"] == "echo_model.method:Echo"
]
ADAPTERS = [
    f"{RESULTS}/pretrained/{name}"
    for name, row in METHODS.items()
    if row["group"] == "main" and row["class"] == f"{ON_WAN}method:Echo"
]


def seeds_of(name):
    """Seeds of a row: its own, else the study's."""
    return [FIRST_SEED + seed for seed in ROWS[name]["seeds"] or config["seeds"]]


def of_seed(path, wildcards):
    """A backbone's path for the seed of a job."""
    return path.replace("{seed}", str(wildcards.seed))


def backbone_seed(wildcards):
    """What a backbone's training is told beside its options: nothing where one set serves all seeds of the study."""
    seed = wildcards.seed if PER_SEED else FIRST_SEED
    return f"--seed {seed}" if PER_SEED or REPLICATE else ""


# What those rows look at in a few dialogues, for figures.
INSPECTED = [
    f"{RESULTS}/inspect/{Path(folder).name}/seed{seeds_of(Path(folder).name)[0]}.safetensors"
    for folder in PACKAGED
]
MEASURED = [(name, seed) for name in ROWS for seed in seeds_of(name)]
# Rows that no seed changes: one output of each is given.
GIVEN = [
    name for name in ROWS if COEFFICIENTS or name in EXTERNAL or (name in CONTROLS and ROWS[name]["seeds"])
]


def table_row(name):
    """What the tables print about a row."""
    row = ROWS[name]
    return {
        "label": row["label"] or name,
        "group": row["group"],
        "class": row["class"],
        "seeds": seeds_of(name),
        "start": row.get("start"),
        "weights": row.get("weights"),
        "fixed": name in GIVEN,
    }


def entry(wildcards):
    return {**METHODS, **CONTROLS}[wildcards.method]


def fit_options(wildcards):
    """What decides a method's weights: its stage's section, the options of the row that lends weights, its own."""
    method = entry(wildcards)
    shared = {0: {}, 1: config["stage1"], 2: config["stage2"]}[method["stage"]]
    shared = merge({"model": config["model"]}, shared) if method["stage"] else {}
    if on_wan(wildcards):
        shared = merge({"generator": config["generator"], "model": config["model"]}, shared)
    lends = method["weights"] and wildcards.method in METHODS  # a control borrows no weights
    lender = METHODS[method["weights"]]["options"] if lends else {}
    options = merge(shared, lender, method["options"])
    options.pop("sampling", None)
    return json.dumps(options, sort_keys=True)


def generate_options(wildcards):
    """What decides a method's videos: the options of its weights, and how it samples."""
    method = entry(wildcards)
    options = json.loads(fit_options(wildcards))
    sampling = merge(config["sampling"] if method["stage"] else {}, method["options"].get("sampling", {}))
    return json.dumps(merge(options, {"sampling": sampling} if sampling else {}), sort_keys=True)


def on_wan(wildcards):
    """Whether a row stands on the generator wan."""
    return entry(wildcards)["class"].startswith(ON_WAN)


def features_of(wildcards):
    """What the encoders made of the dialogues, for this row's kind of latents."""
    return of_seed(f"{CLIPS if on_wan(wildcards) else FEATURES}/index.csv", wildcards)


def vae_of(wildcards):
    """The small autoencoder's weights, for rows on its latents."""
    return [] if on_wan(wildcards) else of_seed(VAE, wildcards)


def weights_before(wildcards):
    """The stage-1 weights a method starts from; none where it starts from scratch."""
    start = entry(wildcards)["start"]
    return f"{RESULTS}/models/{start}/seed{wildcards.seed}.safetensors" if start else []


def weights_of(wildcards):
    """Weights a method's videos come from; a control has none and is given the data it copies."""
    if wildcards.method in CONTROLS:
        return f"{DATA}/manifest.csv"
    return (
        f"{RESULTS}/models/{entry(wildcards)['weights'] or wildcards.method}/seed{wildcards.seed}.safetensors"
    )


# Found while the rules are read, not job by job: Snakemake looks into a folder once, and would miss what came later.
METHOD_CODE = {
    (stage, row["class"]): code_of(f"training.{stage}", row["class"])
    for stage in ("fit", "generate")
    for row in (METHODS | CONTROLS).values()
}
PROBE_CODE = {probe: code_of("evaluation.fits", f"evaluation.fits.{probe}") for probe in PROBES}


def method_code(stage):
    return lambda wildcards: METHOD_CODE[stage, entry(wildcards)["class"]]


def context_of(wildcards):
    """What Phi and Psi made of the user; stage 1 and the controls know nothing of it, and do not wait for it."""
    waits = wildcards.method in METHODS and METHODS[wildcards.method]["stage"] != 1
    return of_seed(f"{CONTEXT}/index.csv", wildcards) if waits else []


def pretrained_files():
    """The project's code and prompts behind the pretrained ones among Phi, Psi and E_txt."""
    prompts = [f"echo_model/prompts/{name}.txt" for name in ("think", "affect")] if PRETRAINED else []
    return code_of(*(f"echo_model.backbones.{kind}" for kind in PRETRAINED.values())) + prompts


def small_phi():
    """The small Phi's weights, where it is the one that reads."""
    return [] if "phi" in PRETRAINED else PHI


def folder_of(wildcards):
    """The folder of a row's videos."""
    return EXTERNAL.get(wildcards.method, f"{RESULTS}/videos/{wildcards.method}/seed{wildcards.seed}")


def videos_of(wildcards):
    """What tells that a row's videos are there, or have changed."""
    if wildcards.method in EXTERNAL:
        return sorted(str(path) for path in Path(folder_of(wildcards)).glob("*.mp4"))
    index = sharded(VIDEOS, TEST_SHARDS)
    return index.format(method=wildcards.method, seed=wildcards.seed, shard=getattr(wildcards, "shard", ""))


def motion_of(wildcards):
    """The shared renderer and every dialogue in its motion, for rows that work on it."""
    needed = entry(wildcards)["latent"] == "motion"
    return [of_seed(path, wildcards) for path in (RENDERER, f"{MOTION}/index.csv")] if needed else []


def backbones(wildcards, input):
    """Slot name -> path, of what a method may build on."""
    found = {"vae": str(input.vae)} if input.get("vae") else {}
    if input.get("context"):
        found |= {"context": of_seed(CONTEXT, wildcards)}
        found |= {} if PRETRAINED else {"phi": of_seed(PHI, wildcards)}
    if input.get("motion"):
        found |= {"renderer": of_seed(RENDERER, wildcards), "motion": of_seed(MOTION, wildcards)}
    if input.get("stage1"):
        found["stage1"] = str(input.stage1)
    return json.dumps(found, sort_keys=True)


def probe_options(wildcards):
    """One probe's own section and the keys for all, so that changing another one retrains nothing."""
    own = {key: value for key, value in config["probes"].items() if key not in PROBES}
    own[wildcards.probe] = config["probes"].get(wildcards.probe, {})
    return json.dumps(own, sort_keys=True)


# What a stage would refuse is said now. A job of this run, on its own node, need not ask again.
if workflow.exec_mode == ExecMode.DEFAULT:
    options = {
        name: (row["class"], generate_options(SimpleNamespace(method=name)))
        for name, row in (METHODS | CONTROLS).items()
    }
    classes = sorted({path for path, _ in options.values() if path.partition(".")[0] in PACKAGES})
    stages = ("training.method", "reporting.tables", "reporting.page", "evaluation.run", "evaluation.fits.*")
    stages += ("analysis.claims", "evaluation.metrics.*")
    if problem := options_problem(config, options, code_files(*stages, *classes)) or fit_problem(config):
        raise WorkflowError(problem)


def show_what_finished():
    """After a failure: tables and report of the rows that were measured, in a folder of their own.

    The results' own tables stay unmade, so that a failed run is never taken for a finished one. Nothing is drawn after
    Ctrl-C, nor on a cluster's login node.
    """
    measured = [
        row for name, seed in MEASURED if Path(row := MEASURED_ROW.format(method=name, seed=seed)).is_file()
    ]
    scheduler = getattr(workflow, "scheduler", None)
    if not measured or scheduler is None or scheduler.running or scheduler._user_kill:
        return
    out = f"{RESULTS}/unfinished"
    rows = json.dumps({name: table_row(name) for name in ROWS})
    external, log = json.dumps(EXTERNAL), f"{LOGS}/unfinished.log"
    tables, options = (json.dumps(config[name], sort_keys=True) for name in ("tables", "report"))
    gone = [
        f"{name} seed {seed}: shard {', '.join(missing)}"
        for name, seed in MEASURED
        if (missing := missing_shards(expand(shards_of(MEASURED_ROW, TEST_SHARDS), method=name, seed=seed)))
        and len(missing) < len(TEST_SHARDS)
    ]
    note = "Unfinished: rows without numbers were not measured." + (
        f" Shards that are missing: {'; '.join(gone)}." if gone else ""
    )
    options = json.dumps(json.loads(options) | {"note": note})
    command = (
        "mkdir -p {out:q} && for part in metrics models videos data; do ln -sfn ../$part {out:q}/$part; done"
        " && python -m reporting.tables --metrics {measured:q} --manifest {manifest:q} --rows {rows:q}"
        " --options {tables:q} --results {RESULTS:q} --out {out:q}/tables {ANEW} > {log:q} 2>&1"
        " && python -m reporting.page --results {out:q} --rows {rows:q} --external {external:q} --options {options:q}"
        " --out {out:q}/report >> {log:q} 2>&1"
    )
    manifest = f"{DATA}/manifest.csv"
    if gone:
        print(note, file=sys.stderr)
    if not workflow.local_exec:
        return
    try:
        shell(command)
        if talk is None:  # else its summary ends with it
            print(f"What finished is shown in {out}/report/index.html.", file=sys.stderr)
    except subprocess.CalledProcessError:
        print(f"What finished could not be shown: see {log}.", file=sys.stderr)
