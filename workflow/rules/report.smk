"""Notebooks, run on the tables and kept with their pictures as one html page each."""


rule run_notebook:
    input:
        notebook="paper_figures/{notebook}.ipynb",
        code=code_files("evaluation.plots"),
        tables=TABLES + ([SWAP_TABLE] if SWAPS else []),
    output:
        notebook=f"{RESULTS}/reports/{{notebook}}.ipynb",
        html=report(f"{RESULTS}/reports/{{notebook}}.html", category="Reports"),
    log:
        f"{LOGS}/reports/{{notebook}}.log",
    conda:
        "../../environment.yml"
    params:
        results=subpath(output.html, ancestor=2),
    shell:
        "python -m papermill {input.notebook} {output.notebook} --no-progress-bar --cwd ."
        " -p results {params.results} > {log} 2>&1"
        " && python -m nbconvert --to html --no-input --output-dir $(dirname {output.html})"
        " --output $(basename {output.html}) {output.notebook} >> {log} 2>&1"
