"""Notebooks, run on the tables and kept as one html page each; and the report, a folder of its own."""


rule run_notebook:
    input:
        notebook="paper_figures/{notebook}.ipynb",
        runner="paper_figures/__main__.py",
        code=code_of("reporting.plots.*"),
        tables=TABLES + TIDY + CLAIMS + ([SWAP_TABLE] if SWAPS else []),
        inspected=INSPECTED,
    output:
        notebook=f"{RESULTS}/reports/{{notebook}}.ipynb",
        html=report(
            f"{RESULTS}/reports/{{notebook}}.html",
            category="Notebooks",
            labels={"notebook": "{notebook}"},
        ),
    log:
        f"{LOGS}/reports/{{notebook}}.log",
    conda:
        "../../environment.yml"
    resources:
        **needs("run_notebook"),
    params:
        results=subpath(output.html, ancestor=2),
    shell:
        "python -m paper_figures {wildcards.notebook} --results {params.results:q} > {log:q} 2>&1"


# The results themselves are read through `params.results`: what is there is shown, with or without an input here.
rule report_page:
    input:
        code=code_of("reporting.page", "evaluation.metrics.*"),
        templates=[
            f"reporting/page/templates/{name}"
            for name in sorted(os.listdir(f"{workflow.basedir}/reporting/page/templates"))
        ],
        data=f"{DATA}/manifest.csv",
        rows=[f"{RESULTS}/metrics/{name}/seed{seed}.csv" for name, seed in MEASURED],
        tables=TABLES + CLAIMS + ([SWAP_TABLE] if SWAPS else []),
        notebooks=REPORTS,
    output:
        REPORT,
    log:
        f"{LOGS}/report.log",
    conda:
        "../../environment.yml"
    resources:
        **needs("report_page"),
    params:
        results=subpath(output[0], ancestor=2),
        folder=subpath(output[0], parent=True),
        rows=json.dumps({name: table_row(name) for name in ROWS}),
        external=json.dumps(EXTERNAL),
        options=json.dumps(config["report"], sort_keys=True),
    shell:
        "python -m reporting.page --results {params.results:q} --rows {params.rows:q} --external {params.external:q}"
        " --options {params.options:q} --out {params.folder:q} > {log:q} 2>&1"
