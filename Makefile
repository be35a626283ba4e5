# One command for each thing one does here; every target makes .venv from requirements.lock first, if needed.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/bash

VENV   ?= .venv
BIN    := $(VENV)/bin
UV     ?= $(shell command -v uv)
TOO_OLD_OR_NEW := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))
# An environment keeps its Python, unless another one is named: make PYTHON=python3.12
PYTHON ?= $(shell for p in $(BIN)/python python3 python3.14 python3.13 python3.12 python3.11 python; do \
	"$$p" -c '$(TOO_OLD_OR_NEW)' 2>/dev/null && { echo "$$p"; break; }; done)
# TORCH=cpu: torch without CUDA; an environment keeps that too.
TORCH  ?= $(or $(patsubst $(VENV)/.torch-%,%,$(wildcard $(VENV)/.torch-*)),default)
# Named after all of these, so that a changed lock is installed again and an unchanged one never is.
STAMP  := $(VENV)/.installed-$(firstword $(shell cksum requirements.lock))-$(TORCH)-$(shell "$(PYTHON)" -c \
	'import platform; print(platform.python_version())' 2>/dev/null)

# Rules and tests call `python`; jobs run side by side, so each keeps to one thread.
export PATH := $(abspath $(BIN)):$(PATH)
export OMP_NUM_THREADS := 1
export MKL_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1
# A study is some 150 short processes: each module is compiled once, not by each of them.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help environment study smoke backbones test mutants lint lock clean-environment

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

study: environment  ## the whole study (profile default), then the main table and the path of the report
	ECHO_TALK=1 python -m snakemake --cores all

smoke: environment  ## the same workflow with tiny settings; its numbers mean nothing
	ECHO_TALK=1 python -m snakemake --cores all --workflow-profile profiles/smoke

backbones: environment  ## the shipped backbones and readers again, from nothing (docs/backbones.md)
	python -m snakemake --snakefile workflow/backbones.smk --cores all --rerun-incomplete

test: environment  ## all tests, the smoke run among them
	python -m pytest --numprocesses logical --dist loadfile --no-loadscope-reorder

mutants: environment  ## plant small faults and see whether the tests bite (no part of the gate; half an hour)
	python tests/mutants/run.py

lint: environment  ## ruff (rules and format), snakefmt and Snakemake's own linter
	python -m ruff check .
	python -m ruff format --check .
	python -m snakefmt --check Snakefile workflow/rules workflow/backbones.smk
	python -m snakemake --lint

environment: $(STAMP)  ## .venv with exactly the packages of requirements.lock

$(STAMP): requirements.lock
	@VENV="$(VENV)" PYTHON="$(PYTHON)" UV="$(UV)" TORCH="$(TORCH)" workflow/scripts/install.sh
	@rm -f $(VENV)/.installed-* $(VENV)/.torch-* && touch $@ $(VENV)/.torch-$(TORCH)

lock:  ## write requirements.lock and environment.yml anew from requirements.in; versions stay where they can
	uv pip compile --quiet --universal --python-version 3.11.0 --fork-strategy fewest --no-annotate \
		--custom-compile-command "make lock" requirements.in --output-file requirements.lock
	python workflow/scripts/lists.py > environment.yml

clean-environment:  ## remove .venv
	rm -rf $(VENV)
