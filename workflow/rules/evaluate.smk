"""Measurements of every row, and the tables that compare them."""


rule check_weights:
    input:
        code=code_files("evaluation.weights", "evaluation.networks.*"),
        weights=list(config["weights"].values()),
    output:
        WEIGHTS,
    log:
        f"{LOGS}/weights.log",
    priority: 100
    conda:
        "../../environment.yml"
    params:
        weights=json.dumps(config["weights"], sort_keys=True),
    shell:
        "python -m evaluation.weights check --weights {params.weights:q} --out {output} > {log} 2>&1"


rule evaluate:
    input:
        code=code_files(
            "evaluation.run", "evaluation.metrics.*", "evaluation.probes.*", "evaluation.networks.*"
        ),
        data=f"{DATA}/manifest.csv",
        videos=videos_of,
        probes=expand(f"{RESULTS}/probes/{{probe}}.safetensors", probe=PROBES),
        weights=[WEIGHTS, *config["weights"].values()] if config["weights"] else [],
    output:
        rows=f"{RESULTS}/metrics/{{method}}/seed{{seed}}.csv",
        provenance=f"{RESULTS}/metrics/{{method}}/seed{{seed}}.json",
        features=f"{RESULTS}/metrics/{{method}}/seed{{seed}}.features.safetensors",
    log:
        f"{LOGS}/evaluate/{{method}}_seed{{seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate/{{method}}_seed{{seed}}.tsv"
    priority: 60
    conda:
        "../../environment.yml"
    resources:
        gpu=GPU,
    params:
        data=subpath(input.data, parent=True),
        videos=folder_of,
        probes=lambda wildcards, input: Path(input.probes[0]).parent,
        weights=json.dumps(config["weights"], sort_keys=True),
        options=json.dumps(config["evaluation"], sort_keys=True),
    shell:
        "python workflow/scripts/on_gpu.py python -m evaluation.run --method {wildcards.method} --seed {wildcards.seed}"
        " --videos {params.videos:q} --data {params.data}"
        " --probes {params.probes} --weights {params.weights:q} --options {params.options:q} --split test --out {output.rows}"
        " > {log} 2>&1"


rule tables:
    input:
        code=code_files("reporting.tables", "evaluation.metrics.*"),
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
    params:
        rows=json.dumps({name: table_row(name) for name in ROWS}),
        options=json.dumps(config["tables"], sort_keys=True),
        folder=subpath(output[0], parent=True),
    shell:
        "python -m reporting.tables --metrics {input.rows} --rows {params.rows:q} --manifest {input.data}"
        " --options {params.options:q} --out {params.folder} > {log} 2>&1"


rule claims:
    input:
        code=code_files("reporting.claims", "evaluation.metrics.*"),
        claims=CLAIMS_FILE,
        data=f"{DATA}/manifest.csv",
        rows=[f"{RESULTS}/metrics/{name}/seed{seed}.csv" for name, seed in MEASURED],
    output:
        in_report(CLAIMS),
    log:
        f"{LOGS}/claims.log",
    conda:
        "../../environment.yml"
    params:
        metrics=lambda wildcards, input: Path(input.rows[0]).parents[1],
        folder=subpath(output[0], parent=True),
    shell:
        "python -m reporting.claims --metrics {params.metrics} --claims {input.claims} --manifest {input.data}"
        " --out {params.folder} > {log} 2>&1"


rule swap_table:
    input:
        code=code_files("analysis.swap_table"),
        swapped=[f"{RESULTS}/metrics/{name}/seed{seed}.csv" for name, seed in MEASURED if name in SWAPS],
        own=[f"{RESULTS}/metrics/{name}/seed{seed}.csv" for name, seed in MEASURED if name in SWAPS.values()],
    output:
        SWAP_TABLE,
    log:
        f"{LOGS}/swap_table.log",
    conda:
        "../../environment.yml"
    params:
        metrics=f"{RESULTS}/metrics",
        pairs=json.dumps(SWAPS),
        labels=json.dumps({name: table_row(name)["label"] for name in SWAPS}),
    shell:
        "python -m analysis.swap_table --metrics {params.metrics} --pairs {params.pairs:q} --labels {params.labels:q}"
        " --out {output} > {log} 2>&1"
