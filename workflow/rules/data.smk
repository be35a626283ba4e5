"""Dialogues in one format, whatever their source: the synthetic world, or videos named in a CSV file."""

if config["dataset"]["kind"] == "synthetic":

    rule make_world:
        input:
            code=code_files("dyads.synthetic"),
        output:
            f"{DATA}/manifest.csv",
        log:
            f"{LOGS}/data/world.log",
        conda:
            "../../environment.yml"
        threads: workflow.cores or 1
        params:
            folder=subpath(output[0], parent=True),
            options=json.dumps(config["world"], sort_keys=True),
        shell:
            "rm -rf {params.folder} && python -m dyads.synthetic --out {params.folder} --options {params.options:q} --workers {threads}"
            " > {log} 2>&1"

else:

    rule adapt_videos:
        input:
            code=code_files("dyads.adapters.folder"),
            pairs=config["dataset"]["pairs"],
        output:
            f"{DATA}/manifest.csv",
        log:
            f"{LOGS}/data/folder.log",
        conda:
            "../../environment.yml"
        params:
            root=os.environ.get(config["dataset"]["root_variable"] or "", config["dataset"]["root"]),
            folder=subpath(output[0], parent=True),
            options=json.dumps(
                {"dataset": config["dataset"]["name"], **config["dataset"]["options"]}, sort_keys=True
            ),
        shell:
            "python -m dyads.adapters.folder --pairs {input.pairs} --root {params.root:q} --out {params.folder}"
            " --options {params.options:q} > {log} 2>&1"
