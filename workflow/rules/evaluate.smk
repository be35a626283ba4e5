"""Measurements of every row, and the tables that compare them."""


rule check_weights:
    input:
        code=code_of("evaluation.weights", "evaluation.networks.*"),
        weights=list(config["weights"].values()),
    output:
        WEIGHTS,
    log:
        f"{LOGS}/weights.log",
    priority: 100
    conda:
        "../../environment.yml"
    resources:
        **needs("check_weights"),
    params:
        weights=json.dumps(config["weights"], sort_keys=True),
    shell:
        "python -m evaluation.weights check --weights {params.weights:q} --out {output:q} > {log:q} 2>&1"


rule evaluate:
    input:
        code=code_of("evaluation.run", "evaluation.metrics.*", "evaluation.probes.*", "evaluation.networks.*"),
        data=f"{DATA}/manifest.csv",
        videos=videos_of,
        probes=expand(f"{STUDY}/probes/{{probe}}.safetensors", probe=PROBES),
        weights=[WEIGHTS, *config["weights"].values()] if config["weights"] else [],
    output:
        rows=sharded(MEASURED_ROW, TEST_SHARDS),
        provenance=sharded(MEASURED_ROW, TEST_SHARDS).replace(".csv", ".json"),
        features=sharded(MEASURED_ROW, TEST_SHARDS).replace(".csv", ".features.safetensors"),
    log:
        f"{LOGS}/evaluate/{{method}}_seed{{seed}}{mark(TEST_SHARDS)}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate/{{method}}_seed{{seed}}{mark(TEST_SHARDS)}.tsv"
    priority: 60
    conda:
        "../../environment.yml"
    resources:
        **needs("evaluate", "evaluate/*.tsv"),
        gpu=gpu,
    params:
        data=subpath(input.data, parent=True),
        videos=folder_of,
        probes=lambda wildcards, input: Path(input.probes[0]).parent,
        weights=json.dumps(config["weights"], sort_keys=True),
        options=json.dumps(config["evaluation"], sort_keys=True),
        shard=shard_option(TEST_SHARDS),
    shell:
        "python workflow/scripts/on_gpu.py python -m evaluation.run --method {wildcards.method} --seed {wildcards.seed}"
        " --videos {params.videos:q} --data {params.data:q}"
        " --probes {params.probes:q} --weights {params.weights:q} --options {params.options:q} --split test --out {output.rows:q}"
        " {params.shard:q} > {log:q} 2>&1"


if COEFFICIENTS:

    # One job for all rows: they share the truth, its clusters and the reaction operator.
    rule evaluate_coefficients:
        input:
            code=code_files("evaluation.coefficients", "evaluation.metrics.*"),
            data=f"{DATA}/manifest.csv",
        output:
            rows=[f"{RESULTS}/metrics/{name}/seed0.csv" for name in ROWS],
            provenance=[f"{RESULTS}/metrics/{name}/seed0.json" for name in ROWS],
            features=[f"{RESULTS}/metrics/{name}/seed0.features.safetensors" for name in ROWS],
            reactions=f"{RESULTS}/metrics/reactions.csv",
        log:
            f"{LOGS}/evaluate/coefficients.log",
        benchmark:
            f"{RESULTS}/benchmarks/evaluate/coefficients.tsv"
        priority: 60
        conda:
            "../../environment.yml"
        threads: 2
        params:
            data=subpath(input.data, parent=True),
            rows=json.dumps({name: row["asked"] for name, row in ROWS.items()}),
            options=json.dumps(config["evaluation"], sort_keys=True),
            folder=f"{RESULTS}/metrics",
        shell:
            "python -m evaluation.coefficients --data {params.data:q} --rows {params.rows:q} --options {params.options:q}"
            " --threads {threads} --out {params.folder:q} > {log} 2>&1"


rule tables:
    input:
        code=code_of("reporting.tables", "evaluation.metrics.*"),
        data=f"{DATA}/manifest.csv",
        rows=[f"{RESULTS}/metrics/{name}/seed{seed}.csv" for name, seed in MEASURED],
        cards=[f"{RESULTS}/models/{name}/seed{seed}.json" for name, seed in MEASURED if name in TRAINED],
    output:
        in_report(TABLES),
        TIDY,
    log:
        f"{LOGS}/tables.log",
    conda:
        "../../environment.yml"
    threads: 2 if COEFFICIENTS else 1  # readings of whole recordings are gigabytes
    resources:
        **needs("tables"),
    params:
        rows=json.dumps({name: table_row(name) for name in ROWS}),
        options=json.dumps(config["tables"], sort_keys=True),
        folder=subpath(output[0], parent=True),
        anew=ANEW,
    shell:
        "python -m reporting.tables --metrics {input.rows:q} --rows {params.rows:q} --manifest {input.data:q}"
        " --options {params.options:q} --out {params.folder:q} {params.anew} --threads {threads} > {log:q} 2>&1"


rule claims:
    input:
        code=code_of("reporting.claims", "evaluation.metrics.*"),
        backbones=VAE if SHIPPED else [],
        claims=CLAIMS_FILE,
        data=f"{DATA}/manifest.csv",
        rows=[f"{RESULTS}/metrics/{name}/seed{seed}.csv" for name, seed in MEASURED],
    output:
        in_report(CLAIMS),
    log:
        f"{LOGS}/claims.log",
    conda:
        "../../environment.yml"
    resources:
        **needs("claims"),
    params:
        folder=subpath(output[0], parent=True),
        anew=ANEW,
        given=["--given", *GIVEN] if GIVEN else [],
        backbones=["--backbones", VAE.replace(".safetensors", ".json")] if SHIPPED else [],
    shell:
        "python -m reporting.claims --metrics {input.rows:q} --claims {input.claims:q} --manifest {input.data:q}"
        " --out {params.folder:q} {params.anew} {params.given:q} {params.backbones:q} > {log:q} 2>&1"


rule swap_table:
    input:
        code=code_of("analysis.swap_table"),
        swapped=[f"{RESULTS}/metrics/{name}/seed{seed}.csv" for name, seed in MEASURED if name in SWAPS],
        own=[f"{RESULTS}/metrics/{name}/seed{seed}.csv" for name, seed in MEASURED if name in SWAPS.values()],
    output:
        SWAP_TABLE,
    log:
        f"{LOGS}/swap_table.log",
    conda:
        "../../environment.yml"
    resources:
        **needs("swap_table"),
    params:
        pairs=json.dumps(SWAPS),
        labels=json.dumps({name: table_row(name)["label"] for name in SWAPS}),
    shell:
        "python -m analysis.swap_table --metrics {input.swapped:q} {input.own:q} --pairs {params.pairs:q} --labels {params.labels:q}"
        " --out {output:q} > {log:q} 2>&1"
