"""Frozen networks that every method or metric shares, trained on true frames only, and what they make of the data."""


rule train_vae:
    input:
        code=code_files("echo_model.commands.train_vae"),
        data=f"{DATA}/manifest.csv",
    output:
        VAE,
    log:
        f"{LOGS}/backbones/vae.log",
    benchmark:
        f"{RESULTS}/benchmarks/backbones/vae.tsv"
    priority: 100
    retries: 1
    conda:
        "../../environment.yml"
    resources:
        gpu=GPU,
    params:
        data=subpath(input.data, parent=True),
        options=json.dumps(config["vae"], sort_keys=True),
        checkpoints=f"{RESULTS}/checkpoints/vae",  # no output: survives a kill
    shell:
        "python workflow/scripts/on_gpu.py python -m echo_model.commands.train_vae --data {params.data} --options {params.options:q}"
        " --checkpoints {params.checkpoints} --out {output} > {log} 2>&1"


rule encode:
    input:
        code=code_files("echo_model.commands.encode"),
        data=f"{DATA}/manifest.csv",
        vae=VAE,
    output:
        f"{FEATURES}/index.csv",
    log:
        f"{LOGS}/features.log",
    benchmark:
        f"{RESULTS}/benchmarks/features.tsv"
    priority: 100
    conda:
        "../../environment.yml"
    threads: 2  # everything else waits for it
    resources:
        gpu=GPU,
    params:
        data=subpath(input.data, parent=True),
        folder=subpath(output[0], parent=True),
    # Features of another autoencoder would be kept, so the folder goes first.
    shell:
        "rm -rf {params.folder}"
        " && python workflow/scripts/on_gpu.py python -m echo_model.commands.encode --data {params.data} --vae {input.vae}"
        " --out {params.folder} --workers {threads} > {log} 2>&1"


rule train_phi:
    input:
        code=code_files("echo_model.commands.train_phi"),
        data=f"{DATA}/manifest.csv",
        features=f"{FEATURES}/index.csv",
    output:
        PHI,
    log:
        f"{LOGS}/backbones/phi.log",
    benchmark:
        f"{RESULTS}/benchmarks/backbones/phi.tsv"
    priority: 90
    retries: 1
    conda:
        "../../environment.yml"
    resources:
        gpu=GPU,
    params:
        data=subpath(input.data, parent=True),
        features=subpath(input.features, parent=True),
        options=json.dumps(PHI_TRAINING, sort_keys=True),
        checkpoints=f"{RESULTS}/checkpoints/phi",
    shell:
        "python workflow/scripts/on_gpu.py python -m echo_model.commands.train_phi --data {params.data} --features {params.features}"
        " --options {params.options:q} --checkpoints {params.checkpoints} --out {output} > {log} 2>&1"


rule understand:
    input:
        code=code_files("echo_model.commands.understand"),
        pretrained=pretrained_files(),
        prompt="echo_model/prompts/affect.json",
        data=f"{DATA}/manifest.csv",
        features=[] if "phi" in PRETRAINED else f"{FEATURES}/index.csv",
        phi=small_phi(),
    output:
        f"{CONTEXT}/index.csv",
    log:
        f"{LOGS}/context.log",
    priority: 90
    conda:
        "../../environment.yml"
    resources:
        gpu=GPU,
    params:
        data=subpath(input.data, parent=True),
        features=FEATURES,  # read by the small Phi alone
        phi=f"--phi {PHI}" if small_phi() else "",
        readers=json.dumps(READERS, sort_keys=True),
        model=json.dumps(config["model"] if PRETRAINED else {}, sort_keys=True),
        folder=subpath(output[0], parent=True),
    shell:
        "python workflow/scripts/on_gpu.py python -m echo_model.commands.understand --data {params.data} --features {params.features}"
        " {params.phi} --readers {params.readers:q} --model {params.model:q} --out {params.folder} > {log} 2>&1"


# The motion latent that baselines share: who is seen, apart from how they move.
rule train_renderer:
    input:
        code=code_files("baselines.motion.train_renderer"),
        data=f"{DATA}/manifest.csv",
    output:
        RENDERER,
    log:
        f"{LOGS}/backbones/renderer.log",
    benchmark:
        f"{RESULTS}/benchmarks/backbones/renderer.tsv"
    priority: 95
    retries: 1
    conda:
        "../../environment.yml"
    resources:
        gpu=GPU,
    params:
        data=subpath(input.data, parent=True),
        options=json.dumps(config["renderer"], sort_keys=True),
        checkpoints=f"{RESULTS}/checkpoints/renderer",
    shell:
        "python workflow/scripts/on_gpu.py python -m baselines.motion.train_renderer --data {params.data}"
        " --options {params.options:q} --checkpoints {params.checkpoints} --out {output} > {log} 2>&1"


rule encode_motion:
    input:
        code=code_files("baselines.motion.encode"),
        data=f"{DATA}/manifest.csv",
        renderer=RENDERER,
    output:
        f"{MOTION}/index.csv",
    log:
        f"{LOGS}/motion.log",
    benchmark:
        f"{RESULTS}/benchmarks/motion.tsv"
    priority: 95
    conda:
        "../../environment.yml"
    resources:
        gpu=GPU,
    params:
        data=subpath(input.data, parent=True),
        folder=subpath(output[0], parent=True),
    shell:
        "rm -rf {params.folder}"
        " && python workflow/scripts/on_gpu.py python -m baselines.motion.encode --data {params.data}"
        " --renderer {input.renderer} --out {params.folder} --workers {threads} > {log} 2>&1"


# Measuring networks wait while the chain above has work: nothing but `evaluate` needs them.
rule train_probe:
    input:
        code=lambda wildcards: code_files("evaluation.fits", f"evaluation.fits.{wildcards.probe}"),
        data=f"{DATA}/manifest.csv",
    output:
        f"{RESULTS}/probes/{{probe}}.safetensors",
    log:
        f"{LOGS}/probes/{{probe}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/probes/{{probe}}.tsv"
    priority: 50
    retries: 1
    conda:
        "../../environment.yml"
    resources:
        gpu=GPU,
    params:
        data=subpath(input.data, parent=True),
        options=probe_options,
        checkpoints=f"{RESULTS}/checkpoints/probes/{{probe}}",
    shell:
        "python workflow/scripts/on_gpu.py python -m evaluation.fits --probe {wildcards.probe} --data {params.data}"
        " --options {params.options:q} --checkpoints {params.checkpoints} --out {output} > {log} 2>&1"
