# The frozen backbones and readers that ship with the package, from nothing: `make backbones`, or
# `snakemake --snakefile workflow/backbones.smk`. Kept apart from the study, whose runs read what this one left.
import json


configfile: "workflow/backbones.yaml"


WORK = config.get("results", "results/shipped")
GENERATORS, READERS = (f"{WORK}/data/{world}" for world in ("generators", "readers"))
PROBES = ["motion", "image", "identity", "video", "sync"]
WORLD = dict.fromkeys(["vae", "renderer", "phi"], "generators") | dict.fromkeys(PROBES, "readers")
SHIPPED = {name: "readers" if name in PROBES else "backbones" for name in WORLD}


wildcard_constraints:
    network="vae|renderer",
    world="generators|readers",
    probe="|".join(PROBES),


localrules:
    all,


rule all:
    input:
        [f"{WORK}/packed/{name}.done" for name in SHIPPED],


rule towns:
    output:
        f"{WORK}/data/{{world}}/manifest.csv",
    threads: lambda wildcards: max(1, workflow.cores // 2)
    params:
        folder=subpath(output[0], parent=True),
        of=lambda wildcards: config[wildcards.world],
    shell:
        "python -m dyads.synthetic.towns --out {params.folder:q} --seeds {params.of[seeds]} --train {params.of[train]}"
        " --test {params.of[test]} --workers {threads}"


rule train_frames:
    input:
        f"{GENERATORS}/manifest.csv",
    output:
        f"{WORK}/backbones/{{network}}.safetensors",
    params:
        module=lambda wildcards: {
            "vae": "echo_model.commands.train_vae",
            "renderer": "baselines.motion.train_renderer",
        }[wildcards.network],
        options=lambda wildcards: json.dumps(config[wildcards.network], sort_keys=True),
        checkpoints=f"{WORK}/checkpoints/{{network}}",
        seed=config["seed"],
    shell:
        "python -m {params.module} --data {GENERATORS:q} --options {params.options:q} --checkpoints {params.checkpoints:q}"
        " --seed {params.seed} --out {output:q}"


rule encode:
    input:
        f"{GENERATORS}/manifest.csv",
        vae=f"{WORK}/backbones/vae.safetensors",
    output:
        f"{WORK}/features/index.csv",
    params:
        folder=subpath(output[0], parent=True),
    shell:
        "python -m echo_model.commands.encode --data {GENERATORS:q} --vae {input.vae:q} --out {params.folder:q} --workers 1"


rule train_phi:
    input:
        f"{GENERATORS}/manifest.csv",
        features=f"{WORK}/features/index.csv",
    output:
        f"{WORK}/backbones/phi.safetensors",
    params:
        features=subpath(input.features, parent=True),
        options=json.dumps(config["phi"], sort_keys=True),
        checkpoints=f"{WORK}/checkpoints/phi",
        seed=config["seed"],
    shell:
        "python -m echo_model.commands.train_phi --data {GENERATORS:q} --features {params.features:q}"
        " --options {params.options:q} --checkpoints {params.checkpoints:q} --seed {params.seed} --out {output:q}"


rule train_probe:
    input:
        f"{READERS}/manifest.csv",
    output:
        f"{WORK}/readers/{{probe}}.safetensors",
    params:
        options=json.dumps(config["probes"], sort_keys=True),
        checkpoints=f"{WORK}/checkpoints/{{probe}}",
    shell:
        "python -m evaluation.fits --probe {wildcards.probe} --data {READERS:q} --options {params.options:q}"
        " --checkpoints {params.checkpoints:q} --out {output:q}"


# How near each network comes, on people whom neither it nor its readers were trained on.
rule quality:
    input:
        f"{GENERATORS}/manifest.csv",
        f"{WORK}/features/index.csv",
        backbones=expand(f"{WORK}/backbones/{{name}}.safetensors", name=["vae", "renderer", "phi"]),
        readers=expand(f"{WORK}/readers/{{probe}}.safetensors", probe=PROBES),
    output:
        f"{WORK}/quality.json",
    shell:
        "python -m benchmarks.backbones --data {GENERATORS:q} --backbones {WORK}/backbones"
        " --features {WORK}/features"
        " --readers {WORK}/readers --pictures {WORK}/pictures --out {output:q}"


rule pack:
    input:
        weights=lambda wildcards: f"{WORK}/{SHIPPED[wildcards.name]}/{wildcards.name}.safetensors",
        quality=f"{WORK}/quality.json",
    output:
        touch(f"{WORK}/packed/{{name}}.done"),
    params:
        data=lambda wildcards: f"{WORK}/data/{WORLD[wildcards.name]}",
        towns=lambda wildcards: json.dumps(config[WORLD[wildcards.name]], sort_keys=True),
    shell:
        "python -m training.shipped --pack {wildcards.name} --weights {input.weights:q} --data {params.data:q}"
        " --towns {params.towns:q} --quality {input.quality:q}"
