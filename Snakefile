# One study of interactive head generation: dialogues -> backbones -> methods -> videos -> measurements -> tables.
# `snakemake` runs profile `default`; `snakemake --config profile=smoke` another one of workflow/config/.
from snakemake.utils import min_version

min_version("9.27")


configfile: "workflow/config/default.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/cluster.smk"
include: "workflow/rules/run.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/borrow.smk"
include: "workflow/rules/backbones.smk"
include: "workflow/rules/models.smk"
include: "workflow/rules/wan.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/gather.smk"
include: "workflow/rules/report.smk"


localrules:
    all,
    main_table,
    ablations_table,
    figures,
    report,
    smoke,


onstart:
    begin_run()


onsuccess:
    end_run()


onerror:
    show_what_finished()
    end_run(well=False)


rule all:
    default_target: True
    input:
        TABLES,
        CLAIMS,
        REPORTS,
        REPORT,
        PACKAGED,
        ADAPTERS,
        [SWAP_TABLE] if SWAPS else [],


rule main_table:
    input:
        f"{RESULTS}/tables/main_table.csv",


rule ablations_table:
    input:
        f"{RESULTS}/tables/ablations_table.csv",


rule figures:
    input:
        REPORTS,


rule report:
    input:
        REPORT,


# Naming this target selects the smoke profile (common.smk).
rule smoke:
    input:
        TABLES,
        CLAIMS,
        REPORTS,
        REPORT,
        PACKAGED,
        ADAPTERS,
        [SWAP_TABLE] if SWAPS else [],
