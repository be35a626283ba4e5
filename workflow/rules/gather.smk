"""What shards made, as one: lists and readings, joined by jobs too short for a queue."""

if SHARDS:

    localrules:
        gather_features,
        gather_context,
        gather_motion,
        gather_clips,

    rule gather_features:
        input:
            shards_of(f"{FEATURES}/index.csv", SHARDS),
        output:
            f"{FEATURES}/index.csv",
        log:
            f"{LOGS}/gather{OF_SEED}/features.log",
        conda:
            "../../environment.yml"
        shell:
            "python -m dyads.shards {input:q} --out {output:q} > {log:q} 2>&1"

    use rule gather_features as gather_context with:
        input:
            shards_of(f"{CONTEXT}/index.csv", SHARDS),
        output:
            f"{CONTEXT}/index.csv",
        log:
            f"{LOGS}/gather{OF_SEED}/context.log",

    use rule gather_features as gather_motion with:
        input:
            shards_of(f"{MOTION}/index.csv", SHARDS),
        output:
            f"{MOTION}/index.csv",
        log:
            f"{LOGS}/gather{OF_SEED}/motion.log",

    use rule gather_features as gather_clips with:
        input:
            shards_of(f"{CLIPS}/index.csv", SHARDS),
        output:
            f"{CLIPS}/index.csv",
        log:
            f"{LOGS}/gather/clips.log",


if TEST_SHARDS:

    localrules:
        gather_videos,

    rule gather_videos:
        input:
            shards_of(VIDEOS, TEST_SHARDS),
        output:
            VIDEOS,
        log:
            f"{LOGS}/gather/videos_{{method}}_seed{{seed}}.log",
        conda:
            "../../environment.yml"
        shell:
            "python -m dyads.shards {input:q} --out {output:q} > {log:q} 2>&1"

    rule gather_measurements:
        input:
            code=code_of("evaluation.readings.gather", "evaluation.metrics.*"),
            parts=shards_of(MEASURED_ROW, TEST_SHARDS),
            videos=lambda wildcards: [] if wildcards.method in EXTERNAL else VIDEOS.format(**wildcards),
        output:
            rows=MEASURED_ROW,
            provenance=MEASURED_ROW.replace(".csv", ".json"),
            features=MEASURED_ROW.replace(".csv", ".features.safetensors"),
        log:
            f"{LOGS}/gather/metrics_{{method}}_seed{{seed}}.log",
        priority: 60
        conda:
            "../../environment.yml"
        resources:
            **needs("gather_measurements"),
        params:
            metrics=json.dumps(list(config["evaluation"].get("metrics", []))),
        shell:
            "python -m evaluation.readings.gather --parts {input.parts:q} --metrics {params.metrics:q} --out {output.rows:q}"
            " > {log:q} 2>&1"
