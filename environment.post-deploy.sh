#!/usr/bin/env bash
# Run by `snakemake --use-conda` in the environment that it made of environment.yml.
set -e
python -m pip install --no-deps --requirement requirements.lock
