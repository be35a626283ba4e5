#!/usr/bin/env bash
# What a newcomer does on a bare machine, `newcomer.sh BUNDLE FOLDER`: clones the project from a git bundle into FOLDER,
# runs README's first command, scores a folder of videos as README says, and prints what each step took; the last line
# is a JSON object. Called by debian13.sh and by the Containerfile.
set -euo pipefail
bundle=$1 place=$2

last=$(date +%s)
lap() { local now; now=$(date +%s); taken=$((now - last)); last=$now; }
megabytes() { du -sm "$1" | cut -f1; }

git -c init.defaultBranch=main clone --quiet --config advice.detachedHead=false "$bundle" "$place"
cd "$place"
# The commands as README has them, so that this tries what a newcomer reads.
first=$(sed -n '/^## Quick start/,/^## What runs/p' README.md | grep -oE '^make [a-z]+' | head -n 1)
[ -n "$first" ] || { echo "error: README's quick start names no make command" >&2; exit 1; }
lap; cloned=$taken

make environment
lap; installed=$taken environment=$(megabytes .venv)

$first
lap; ran=$taken
report=results/${first#make }/report/index.html
[ -s "$report" ] || { echo "error: '$first' has ended without $report" >&2; exit 1; }

PATH=$PWD/.venv/bin:$PATH
results=results/${first#make }
mkdir true_videos
for dialogue in "$results"/data/synthetic/test/*; do cp "$dialogue/avatar.mp4" "true_videos/${dialogue##*/}.mp4"; done
python -m evaluation.score --generated "$results/videos/echo/seed0" --true true_videos --out scored
lap; scored=$taken
[ -s scored/page/index.html ] || { echo "error: the scoring has ended without scored/page/index.html" >&2; exit 1; }

$first  # the same command again: nothing is left to do
lap; again=$taken

version=$(python -c 'import platform; print(platform.python_version())')
torch=$(python -c 'import torch; print(torch.__version__)')
system=$(. /etc/os-release && echo "$PRETTY_NAME")
echo
printf '%-36s %s\n' "system" "$system" "Python" "$version" "torch" "$torch" "cores" "$(nproc)" \
    "clone" "$cloned s" "environment" "$installed s, $environment MB" "$first" "$ran s, $(megabytes results) MB" \
    "scoring a folder" "$scored s" "$first, again" "$again s"
printf '{"system": "%s", "python": "%s", "torch": "%s", "cores": %d, "environment_s": %d, "environment_mb": %d, ' \
    "$system" "$version" "$torch" "$(nproc)" "$installed" "$environment"
printf '"smoke_s": %d, "score_s": %d, "again_s": %d}\n' "$ran" "$scored" "$again"
