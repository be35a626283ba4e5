#!/usr/bin/env bash
# One expects that jobs which Snakemake submits to Slurm as one group (--groups, --group-components) run side by side on the
# cores that the group asks for: its cores and memory are those of all its jobs together. They run one after another: the
# job step starts Snakemake with --jobs 1. Four jobs of one core hold four cores and four times the memory, three of which
# idle, for four times as long as one takes. Here it costs waiting: a group is for jobs of seconds, and small ones at that
# (profiles/slurm, docs/cluster.md). Slurm itself is played by five small scripts, so that none need be installed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check snakemake==9.27.1 snakemake-executor-plugin-slurm==2.8.0 \
    snakemake-executor-plugin-slurm-jobstep==0.6.1
mkdir "$folder/bin" "$folder/work" "$folder/jobs"
export JOBS="$folder/jobs" PATH="$folder/bin:$folder/venv/bin:$PATH"

cat > "$folder/bin/sbatch" <<'SH'
#!/usr/bin/env bash
number=$(($(ls "$JOBS" | grep -c asked) + 1))
echo "$@" > "$JOBS/$number.asked"
for word in "$@"; do case "$word" in --wrap=*) script=${word#--wrap=} ;; esac; done
(SLURM_JOB_ID=$number bash -c "$script" > "$JOBS/$number.out" 2>&1 && echo COMPLETED || echo FAILED) > "$JOBS/$number.state" &
echo "$number"
SH
cat > "$folder/bin/squeue" <<'SH'
#!/usr/bin/env bash
for file in "$JOBS"/*.state; do
    state=$(cat "$file"); number=$(basename "$file" .state); echo "$number|${state:-RUNNING}"
done
SH
cat > "$folder/bin/srun" <<'SH'
#!/usr/bin/env bash
while [[ $1 == -* ]]; do shift; done
exec "$@"
SH
printf '#!/usr/bin/env bash\necho "MinJobAge = 300 sec"\n' > "$folder/bin/scontrol"
echo '#!/usr/bin/env bash' > "$folder/bin/sinfo"
chmod +x "$folder/bin/"*

cd "$folder/work"
cat > Snakefile <<'PY'
rule all:
    input: expand("{k}.txt", k=range(4))

rule one:
    output: "{k}.txt"
    threads: 1
    resources: mem_mb=1000
    shell: "date +%s.%N > {output}; sleep 2; date +%s.%N >> {output}"
PY
snakemake --quiet all --executor slurm --jobs 4 --groups one=g --group-components g=4 --slurm-no-account \
    --default-resources slurm_partition=p mem_mb=1000 runtime=5 --slurm-status-command squeue \
    --slurm-init-seconds-before-status-checks 1 --seconds-between-status-checks 1 --latency-wait 5 > log 2>&1 || { cat log "$JOBS"/*.out; exit 1; }
echo "snakemake 9.27.1, snakemake-executor-plugin-slurm 2.8.0, -jobstep 0.6.1: a group of four jobs of one core, 1000 MB"
grep -oE -- '--(mem|cpus-per-task|jobs)[ =][0-9]+' "$JOBS/1.asked" | sed 's/^/  asked of Slurm, or of Snakemake in the job: /'
python3 - "$JOBS/1.asked" *.txt <<'PY'
import re, sys
asked = open(sys.argv[1]).read()
cores, memory = (int(re.search(rf"--{name}[ =](\d+)", asked)[1]) for name in ("cpus-per-task", "mem"))
times = sorted([float(line) for line in open(file)] for file in sys.argv[2:])
together = max(sum(a <= t < b for a, b in times) for t, _ in times)
print(f"  at once: {together} of {len(times)} jobs, {times[-1][1] - times[0][0]:.1f} s for four sleeps of 2 s")
assert (cores, memory) == (4, 4000), "the group no longer asks for what its jobs need together"
assert together == 1, "the jobs of a group now run side by side"
PY
