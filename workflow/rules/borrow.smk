"""Of a test set beside the one that is trained on: the trained weights of the profile's own run, copied."""

if TEST_SET:

    if SHIPPED:
        raise WorkflowError(
            f"test_set {TEST_SET} takes backbones and probes that the profile's own run has trained, but backbones is "
            "shipped; leave one of them out."
        )
    wanted = [
        f"{TRAINED_IN}/models/{name}/seed{FIRST_SEED + seed}.safetensors"
        for name in TRAINED
        for seed in METHODS[name]["seeds"] or config["seeds"]
    ]
    if missing := [path for path in wanted if not Path(path).is_file()]:
        raise WorkflowError(
            f"test_set {TEST_SET} takes the weights of {TRAINED_IN}, which lacks {len(missing)} of {len(wanted)}, first "
            f"{missing[0]}; run the same command without test_set first."
        )

    localrules:
        borrow_weights,
        borrow_backbone,
        borrow_probe,

    ruleorder: borrow_weights > fit_start > fit
    ruleorder: borrow_backbone > train_vae
    ruleorder: borrow_backbone > train_phi
    ruleorder: borrow_backbone > train_renderer
    ruleorder: borrow_probe > train_probe

    rule borrow_weights:
        input:
            weights=f"{TRAINED_IN}/models/{{method}}/seed{{seed}}.safetensors",
            card=f"{TRAINED_IN}/models/{{method}}/seed{{seed}}.json",
        output:
            weights=f"{RESULTS}/models/{{method}}/seed{{seed}}.safetensors",
            card=f"{RESULTS}/models/{{method}}/seed{{seed}}.json",
        shell:
            "cp {input.weights:q} {output.weights:q} && cp {input.card:q} {output.card:q}"

    rule borrow_backbone:
        input:
            f"{TRAINED_IN}/backbones/{{backbone}}.safetensors",
        output:
            f"{RESULTS}/backbones/{{backbone}}.safetensors",
        wildcard_constraints:
            backbone=r"(seed\d+/)?(vae|phi|renderer)",
        shell:
            "cp {input:q} {output:q}"

    rule borrow_probe:
        input:
            f"{HOME}/probes/{{probe}}.safetensors",
        output:
            f"{STUDY}/probes/{{probe}}.safetensors",
        shell:
            "cp {input:q} {output:q}"
