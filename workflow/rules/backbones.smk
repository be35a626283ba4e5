"""Frozen networks that every method or metric shares, trained on true frames only, and what they make of the data."""

if SHIPPED:

    # Trained once, on people and dialogues that no study has, and kept in the package.
    rule take_backbones:
        input:
            code=code_of("training.shipped.__main__"),
            shipped=shipped_files(BACKBONES),
        output:
            VAE,
            PHI,
            RENDERER,
        log:
            f"{LOGS}/backbones/shipped.log",
        priority: 100
        conda:
            "../../environment.yml"
        resources:
            **needs("take_backbones"),
        params:
            folder=subpath(output[0], parent=True),
            names=BACKBONES,
        shell:
            "python -m training.shipped --take {params.names} --out {params.folder:q} > {log:q} 2>&1"

else:

    rule train_vae:
        input:
            code=code_of("echo_model.commands.train_vae"),
            data=f"{DATA}/manifest.csv",
        output:
            VAE,
        log:
            f"{LOGS}/backbones{OF_SEED}/vae.log",
        benchmark:
            f"{RESULTS}/benchmarks/backbones{OF_SEED}/vae.tsv"
        priority: 100
        conda:
            "../../environment.yml"
        resources:
            **needs("train_vae", "backbones/vae.tsv"),
            **across_nodes(),
            gpu=gpus_for_small,
        params:
            data=subpath(input.data, parent=True),
            options=json.dumps(config["vae"], sort_keys=True),
            checkpoints=f"{RESULTS}/checkpoints{OF_SEED}/vae",  # no output: survives a kill
            seed=backbone_seed,
        shell:
            f"{TRAIN_SMALL} echo_model.commands.train_vae --data {{params.data:q}} --options {{params.options:q}}"
            " --checkpoints {params.checkpoints:q} {params.seed} --out {output:q} > {log:q} 2>&1"

    rule train_phi:
        input:
            code=code_of("echo_model.commands.train_phi"),
            data=f"{DATA}/manifest.csv",
            features=f"{FEATURES}/index.csv",
        output:
            PHI,
        log:
            f"{LOGS}/backbones{OF_SEED}/phi.log",
        benchmark:
            f"{RESULTS}/benchmarks/backbones{OF_SEED}/phi.tsv"
        priority: 90
        conda:
            "../../environment.yml"
        resources:
            **needs("train_phi", "backbones/phi.tsv"),
            **across_nodes(),
            gpu=gpus_for_small,
        params:
            data=subpath(input.data, parent=True),
            features=subpath(input.features, parent=True),
            options=json.dumps(PHI_TRAINING, sort_keys=True),
            checkpoints=f"{RESULTS}/checkpoints{OF_SEED}/phi",
            seed=backbone_seed,
        shell:
            f"{TRAIN_SMALL} echo_model.commands.train_phi --data {{params.data:q}} --features {{params.features:q}}"
            " --options {params.options:q} --checkpoints {params.checkpoints:q} {params.seed} --out {output:q} > {log:q} 2>&1"

    # The motion latent that baselines share: who is seen, apart from how they move.
    rule train_renderer:
        input:
            code=code_of("baselines.motion.train_renderer"),
            data=f"{DATA}/manifest.csv",
        output:
            RENDERER,
        log:
            f"{LOGS}/backbones{OF_SEED}/renderer.log",
        benchmark:
            f"{RESULTS}/benchmarks/backbones{OF_SEED}/renderer.tsv"
        priority: 95
        conda:
            "../../environment.yml"
        resources:
            **needs("train_renderer", "backbones/renderer.tsv"),
            **across_nodes(),
            gpu=gpus_for_small,
        params:
            data=subpath(input.data, parent=True),
            options=json.dumps(config["renderer"], sort_keys=True),
            checkpoints=f"{RESULTS}/checkpoints{OF_SEED}/renderer",
            seed=backbone_seed,
        shell:
            f"{TRAIN_SMALL} baselines.motion.train_renderer --data {{params.data:q}}"
            " --options {params.options:q} --checkpoints {params.checkpoints:q} {params.seed} --out {output:q} > {log:q} 2>&1"


# Measuring networks wait while the chain above has work: nothing but `evaluate` needs them.
if READERS_SHIPPED:

    rule take_readers:
        input:
            code=code_of("training.shipped.__main__"),
            shipped=shipped_files(PROBES),
        output:
            expand(f"{STUDY}/probes/{{probe}}.safetensors", probe=PROBES),
        log:
            f"{STUDY}/logs/probes/shipped.log",
        priority: 50
        conda:
            "../../environment.yml"
        resources:
            **needs("take_readers"),
        params:
            folder=subpath(output[0], parent=True),
            names=PROBES,
        shell:
            "python -m training.shipped --take {params.names} --out {params.folder:q} > {log:q} 2>&1"

else:

    rule train_probe:
        input:
            code=lambda wildcards: PROBE_CODE[wildcards.probe],
            data=f"{DATA}/manifest.csv",
        output:
            f"{STUDY}/probes/{{probe}}.safetensors",
        log:
            f"{STUDY}/logs/probes/{{probe}}.log",
        benchmark:
            f"{STUDY}/benchmarks/probes/{{probe}}.tsv"
        priority: 50
        conda:
            "../../environment.yml"
        resources:
            **needs("train_probe", "probes/*.tsv"),
            gpu=gpu,
        params:
            data=subpath(input.data, parent=True),
            options=probe_options,
            checkpoints=f"{STUDY}/checkpoints/probes/{{probe}}",
        shell:
            "python workflow/scripts/on_gpu.py python -m evaluation.fits --probe {wildcards.probe} --data {params.data:q}"
            " --options {params.options:q} --checkpoints {params.checkpoints:q} --out {output:q} > {log:q} 2>&1"


rule encode:
    input:
        code=code_of("echo_model.commands.encode"),
        data=f"{DATA}/manifest.csv",
        vae=VAE,
    output:
        sharded(f"{FEATURES}/index.csv", SHARDS),
    log:
        f"{LOGS}{OF_SEED}/features{mark(SHARDS)}.log",
    benchmark:
        f"{RESULTS}/benchmarks{OF_SEED}/features{mark(SHARDS)}.tsv"
    priority: 100
    conda:
        "../../environment.yml"
    threads: workers("encode", share=4, most=8)  # a wide job waits until that many cores are free at once
    resources:
        **needs("encode", "features*.tsv"),
        gpu=gpu,
    params:
        data=subpath(input.data, parent=True),
        folder=placed(FEATURES),
        shard=shard_option(SHARDS),
    shell:
        "python workflow/scripts/on_gpu.py python -m echo_model.commands.encode --data {params.data:q} --vae {input.vae:q}"
        " --out {params.folder:q} {params.shard:q} --workers {threads} > {log:q} 2>&1"


rule understand:
    input:
        code=code_of("echo_model.commands.understand"),
        pretrained=pretrained_files(),
        prompt="echo_model/prompts/affect.json",
        data=f"{DATA}/manifest.csv",
        features=[] if "phi" in PRETRAINED else f"{FEATURES}/index.csv",
        phi=small_phi(),
    output:
        sharded(f"{CONTEXT}/index.csv", SHARDS),
    log:
        f"{LOGS}{OF_SEED}/context{mark(SHARDS)}.log",
    benchmark:
        f"{RESULTS}/benchmarks{OF_SEED}/context{mark(SHARDS)}.tsv"
    priority: 90
    conda:
        "../../environment.yml"
    resources:
        **needs("understand", "context*.tsv"),
        gpu=gpu,
    params:
        data=subpath(input.data, parent=True),
        features=placed(FEATURES),  # read by the small Phi alone
        phi=["--phi", PHI] if small_phi() else [],
        readers=json.dumps(READERS, sort_keys=True),
        model=json.dumps(config["model"] if PRETRAINED else {}, sort_keys=True),
        folder=placed(CONTEXT),
        shard=shard_option(SHARDS),
    shell:
        "python workflow/scripts/on_gpu.py python -m echo_model.commands.understand --data {params.data:q} --features {params.features:q}"
        " {params.phi:q} --readers {params.readers:q} --model {params.model:q} --out {params.folder:q}"
        " {params.shard:q} > {log:q} 2>&1"


rule encode_motion:
    input:
        code=code_of("baselines.motion.encode"),
        data=f"{DATA}/manifest.csv",
        renderer=RENDERER,
    output:
        sharded(f"{MOTION}/index.csv", SHARDS),
    log:
        f"{LOGS}{OF_SEED}/motion{mark(SHARDS)}.log",
    benchmark:
        f"{RESULTS}/benchmarks{OF_SEED}/motion{mark(SHARDS)}.tsv"
    priority: 95
    conda:
        "../../environment.yml"
    resources:
        **needs("encode_motion", "motion*.tsv"),
        gpu=gpu,
    params:
        data=subpath(input.data, parent=True),
        folder=placed(MOTION),
        shard=shard_option(SHARDS),
    shell:
        "python workflow/scripts/on_gpu.py python -m baselines.motion.encode --data {params.data:q}"
        " --renderer {input.renderer:q} --out {params.folder:q} {params.shard:q} --workers {threads} > {log:q} 2>&1"
