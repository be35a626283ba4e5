"""The generator `wan`: every dialogue encoded clip by clip, and the trained adapter in a folder to share."""


rule encode_clips:
    input:
        code=code_of("echo_model.wan.encode"),
        data=f"{DATA}/manifest.csv",
    output:
        sharded(f"{CLIPS}/index.csv", SHARDS),
    log:
        f"{LOGS}/clips{mark(SHARDS)}.log",
    benchmark:
        f"{RESULTS}/benchmarks/clips{mark(SHARDS)}.tsv"
    priority: 100
    conda:
        "../../environment.yml"
    resources:
        **needs("encode_clips", "clips*.tsv"),
        gpu=gpu,
    params:
        data=subpath(input.data, parent=True),
        generator=json.dumps(config["generator"], sort_keys=True),
        model=json.dumps(config["model"], sort_keys=True),
        folder=placed(CLIPS),
        shard=shard_option(SHARDS),
    shell:
        "python workflow/scripts/on_gpu.py python -m echo_model.wan.encode --data {params.data:q}"
        " --generator {params.generator:q} --model {params.model:q} --out {params.folder:q} {params.shard:q}"
        " > {log:q} 2>&1"


rule package_adapter:
    input:
        code=code_of("echo_model.wan.package"),
        card_template="echo_model/cards/adapter.md",
        context=f"{CONTEXT}/index.csv",
        clips=f"{CLIPS}/index.csv",
        weights=lambda wildcards: f"{RESULTS}/models/{wildcards.method}/seed{seeds_of(wildcards.method)[0]}.safetensors",
        metrics=lambda wildcards: f"{RESULTS}/metrics/{wildcards.method}/seed{seeds_of(wildcards.method)[0]}.csv",
    output:
        directory(f"{RESULTS}/pretrained/{{method}}"),
    log:
        f"{LOGS}/package/{{method}}.log",
    wildcard_constraints:
        method=one_of(Path(folder).name for folder in ADAPTERS),
    conda:
        "../../environment.yml"
    resources:
        **needs("package_adapter"),
    params:
        options=generate_options,
        label=lambda wildcards: table_row(wildcards.method)["label"],
        encoders=f"{CLIPS}/encoders.json",
        readers=f"{CONTEXT}/readers.json",
    shell:
        "python -m echo_model.wan.package --weights {input.weights:q} --options {params.options:q} --label {params.label:q}"
        " --encoders {params.encoders:q} --readers {params.readers:q} --metrics {input.metrics:q} --out {output:q}"
        " > {log:q} 2>&1"
