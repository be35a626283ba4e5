"""Dialogues in one format, whatever their source: the synthetic world, or videos named in a CSV file."""

if config["dataset"]["kind"] == "synthetic":

    rule make_world:
        input:
            code=code_of("dyads.synthetic"),
        output:
            f"{DATA}/manifest.csv",
        log:
            f"{LOGS}/data/world.log",
        priority: 110  # all wait for it, and not for shipped backbones
        conda:
            "../../environment.yml"
        threads: workers("make_world")
        resources:
            **needs("make_world"),
        params:
            folder=subpath(output[0], parent=True),
            options=json.dumps(config["world"], sort_keys=True),
        shell:
            "python -m dyads.synthetic --out {params.folder:q} --replace --options {params.options:q} --workers {threads}"
            " > {log:q} 2>&1"

elif COEFFICIENTS:

    CORPUS = os.environ.get(config["dataset"]["root_variable"] or "") or config["dataset"]["root"]
    PAIRS = "pairs.csv" if config["dataset"]["adapter"] == "coefficients" else "pairs184.txt"
    if config["dataset"]["made_up"] is not None:
        CORPUS = f"{RESULTS}/corpus"
    LIST = f"{CORPUS}/{PAIRS}"
    # What is neither there nor made is told by `lacks_here`, in a sentence; as an input Snakemake would stop before.
    if config["dataset"]["made_up"] is None and not any(map(os.path.isfile, (LIST, f"{DATA}/manifest.csv"))):
        LIST = []

    rule make_corpus:
        input:
            code=code_files("dyads.synthetic.si184"),
        output:
            f"{RESULTS}/corpus/pairs184.txt",
        log:
            f"{LOGS}/data/corpus.log",
        conda:
            "../../environment.yml"
        params:
            folder=subpath(output[0], parent=True),
            options=json.dumps(config["dataset"]["made_up"] or {}, sort_keys=True),
        shell:
            "python -m dyads.synthetic.si184 --out {params.folder:q} --options {params.options:q} > {log} 2>&1"

    rule adapt_coefficients:
        input:
            code=code_files(f"dyads.adapters.{config['dataset']['adapter']}"),
            corpus=LIST,
        output:
            f"{DATA}/manifest.csv",
        log:
            f"{LOGS}/data/coefficients.log",
        conda:
            "../../environment.yml"
        threads: 2
        params:
            adapter=config["dataset"]["adapter"],
            root=CORPUS,
            folder=subpath(output[0], parent=True),
            options=json.dumps(
                {"systems": list(config["dataset"]["systems"]), **config["dataset"]["options"]},
                sort_keys=True,
            ),
        shell:
            "python -m dyads.adapters.{params.adapter} --root {params.root:q} --out {params.folder:q}"
            " --options {params.options:q} > {log} 2>&1"

else:

    DATA_ROOT = os.environ.get(config["dataset"]["root_variable"] or "") or config["dataset"]["root"]

    rule adapt_videos:
        input:
            code=code_of("dyads.adapters", f"dyads.adapters.{config['dataset']['kind']}"),
            pairs=config["dataset"]["pairs"] or [],
            shards=shards_of(f"{DATA}/index.csv", SHARDS),
        output:
            f"{DATA}/manifest.csv",
        log:
            f"{LOGS}/data/adapt.log",
        conda:
            "../../environment.yml"
        threads: workers("adapt_videos")
        resources:
            **needs("adapt_videos"),
        params:
            kind=config["dataset"]["kind"],
            pairs=lambda wildcards, input: ["--pairs", str(input.pairs)] if input.pairs else [],
            root=DATA_ROOT,
            folder=subpath(output[0], parent=True),
            options=json.dumps({"dataset": DATASET, **config["dataset"]["options"]}, sort_keys=True),
        shell:
            "python -m dyads.adapters --kind {params.kind} {params.pairs:q} --root {params.root:q} --out {params.folder:q}"
            " --options {params.options:q} --workers {threads} > {log:q} 2>&1"

    if SHARDS:

        # Each makes its run of the recordings; the rule above then finds them made, and writes the manifest of all.
        rule adapt_shard:
            input:
                code=code_of("dyads.adapters", f"dyads.adapters.{config['dataset']['kind']}"),
                pairs=config["dataset"]["pairs"] or [],
            output:
                sharded(f"{DATA}/index.csv", SHARDS),
            log:
                f"{LOGS}/data/adapt_{{shard}}.log",
            benchmark:
                f"{RESULTS}/benchmarks/adapt_{{shard}}.tsv"
            conda:
                "../../environment.yml"
            threads: workers("adapt_shard")
            resources:
                **needs("adapt_shard", "adapt_*.tsv"),
            params:
                kind=config["dataset"]["kind"],
                pairs=lambda wildcards, input: ["--pairs", str(input.pairs)] if input.pairs else [],
                root=DATA_ROOT,
                folder=placed(DATA),
                options=json.dumps({"dataset": DATASET, **config["dataset"]["options"]}, sort_keys=True),
                shard=shard_option(SHARDS),
            shell:
                "python -m dyads.adapters --kind {params.kind} {params.pairs:q} --root {params.root:q}"
                " --out {params.folder:q} {params.shard:q} --options {params.options:q} --workers {threads}"
                " > {log:q} 2>&1"
