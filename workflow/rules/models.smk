"""Methods: trained once per seed, then asked for every test dialogue in one process."""


# `fit_start` and `fit` differ in priority alone: the others wait for stage 1.
rule fit:
    input:
        code=method_code("fit"),
        data=f"{DATA}/manifest.csv",
        features=features_of,
        context=context_of,
        motion=motion_of,
        vae=vae_of,
        stage1=weights_before,
    output:
        weights=f"{RESULTS}/models/{{method}}/seed{{seed}}.safetensors",
        card=f"{RESULTS}/models/{{method}}/seed{{seed}}.json",
    log:
        f"{LOGS}/fit/{{method}}_seed{{seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/fit/{{method}}_seed{{seed}}.tsv"
    wildcard_constraints:
        method=one_of(set(TRAINED) - set(STARTS)),
    priority: 80
    conda:
        "../../environment.yml"
    threads: cores_for_row
    resources:
        **needs("fit", "fit/*.tsv"),
        **across_nodes(of_a_row=True),
        gpu=gpus_for_row,
    params:
        train=lambda wildcards: TRAIN if many(wildcards) else ON_GPU,
        method=lambda wildcards: entry(wildcards)["class"],
        options=fit_options,
        data=subpath(input.data, parent=True),
        features=subpath(input.features, parent=True),
        backbones=backbones,
        checkpoints=f"{RESULTS}/checkpoints/{{method}}/seed{{seed}}",  # no output: survives a kill
    shell:
        "{params.train} training.fit --method {wildcards.method} --class {params.method:q}"
        " --options {params.options:q} --data {params.data:q} --features {params.features:q}"
        " --backbones {params.backbones:q} --seed {wildcards.seed} --checkpoints {params.checkpoints:q}"
        " --out {output.weights:q} > {log:q} 2>&1"


use rule fit as fit_start with:
    wildcard_constraints:
        method=one_of(STARTS),
    priority: 90


rule generate:
    input:
        code=method_code("generate"),
        data=f"{DATA}/manifest.csv",
        features=features_of,
        context=context_of,
        motion=motion_of,
        vae=vae_of,
        weights=weights_of,
    output:
        sharded(VIDEOS, TEST_SHARDS),
    log:
        f"{LOGS}/generate/{{method}}_seed{{seed}}{mark(TEST_SHARDS)}.log",
    benchmark:
        f"{RESULTS}/benchmarks/generate/{{method}}_seed{{seed}}{mark(TEST_SHARDS)}.tsv"
    priority: 70
    conda:
        "../../environment.yml"
    resources:
        **needs("generate", "generate/*.tsv"),
        gpu=gpu,
    params:
        method=lambda wildcards: entry(wildcards)["class"],
        options=generate_options,
        data=subpath(input.data, parent=True),
        features=subpath(input.features, parent=True),
        backbones=backbones,
        folder=folder_of,
        shard=shard_option(TEST_SHARDS),
    shell:
        "python workflow/scripts/on_gpu.py python -m training.generate --method {wildcards.method} --class {params.method:q}"
        " --options {params.options:q} --data {params.data:q} --features {params.features:q}"
        " --backbones {params.backbones:q} --seed {wildcards.seed} --weights {input.weights:q}"
        " --split test --out {params.folder:q} {params.shard:q} > {log:q} 2>&1"


# One folder to load, share and stream from: the first seed of a row that is ECHO's own.
rule package:
    input:
        code=code_of("echo_model.commands.package"),
        card_template="echo_model/cards/echo.md",
        vae=lambda wildcards: VAE.format(seed=seeds_of(wildcards.method)[0]),
        phi=lambda wildcards: [PHI.format(seed=seeds_of(wildcards.method)[0])] if small_phi() else [],
        context=lambda wildcards: (
            [f"{CONTEXT}/index.csv".format(seed=seeds_of(wildcards.method)[0])] if PRETRAINED else []
        ),
        weights=lambda wildcards: f"{RESULTS}/models/{wildcards.method}/seed{seeds_of(wildcards.method)[0]}.safetensors",
        metrics=lambda wildcards: f"{RESULTS}/metrics/{wildcards.method}/seed{seeds_of(wildcards.method)[0]}.csv",
    output:
        directory(f"{RESULTS}/pretrained/{{method}}"),
    log:
        f"{LOGS}/package/{{method}}.log",
    wildcard_constraints:
        method=one_of(Path(folder).name for folder in PACKAGED),
    conda:
        "../../environment.yml"
    resources:
        **needs("package"),
    params:
        method=lambda wildcards: entry(wildcards)["class"],
        label=lambda wildcards: table_row(wildcards.method)["label"],
        options=generate_options,
        readers=lambda wildcards, input: (["--phi", input.phi] if small_phi() else [])
        + (["--readers", f"@{Path(input.context[0]).parent}/readers.json"] if PRETRAINED else []),
    shell:
        "python -m echo_model.commands.package --weights {input.weights:q} --class {params.method:q} --options {params.options:q}"
        " --label {params.label:q} --vae {input.vae:q} {params.readers:q} --metrics {input.metrics:q} --out {output:q} > {log:q} 2>&1"


# What an ECHO looks at, for the figures; measurements never import a model.
rule inspect:
    input:
        code=code_of("echo_model.commands.inspect"),
        data=f"{DATA}/manifest.csv",
        features=f"{FEATURES}/index.csv",
        context=f"{CONTEXT}/index.csv",
        vae=VAE,
        weights=f"{RESULTS}/models/{{method}}/seed{{seed}}.safetensors",
    output:
        f"{RESULTS}/inspect/{{method}}/seed{{seed}}.safetensors",
    log:
        f"{LOGS}/inspect/{{method}}_seed{{seed}}.log",
    priority: 60
    conda:
        "../../environment.yml"
    resources:
        **needs("inspect"),
        gpu=gpu,
    params:
        method=lambda wildcards: entry(wildcards)["class"],
        options=generate_options,
        data=subpath(input.data, parent=True),
        features=subpath(input.features, parent=True),
        backbones=backbones,
    shell:
        "python workflow/scripts/on_gpu.py python -m echo_model.commands.inspect --method {wildcards.method}"
        " --class {params.method:q} --options {params.options:q} --data {params.data:q} --features {params.features:q}"
        " --backbones {params.backbones:q} --seed {wildcards.seed} --weights {input.weights:q} --out {output:q} > {log:q} 2>&1"
