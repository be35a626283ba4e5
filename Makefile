# One command for each thing one does here; every target makes .venv from requirements.lock first, if needed.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/bash

VENV   ?= .venv
BIN    := $(VENV)/bin
# Named after the lock, so that a changed lock is installed again and an unchanged one never is.
STAMP  := $(VENV)/.installed-$(firstword $(shell cksum requirements.lock))
PYTHON ?= $(shell for p in python3.11 python3 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)

# Rules and tests call `python`; jobs run side by side, so each keeps to one thread.
export PATH := $(abspath $(BIN)):$(PATH)
export OMP_NUM_THREADS := 1
export MKL_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1
# A study is some 150 short processes: each module is compiled once, not by each of them.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help environment study smoke test lint lock clean-environment

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

study: environment  ## the whole study (profile default), then the main table and the path of the report
	python -m snakemake --cores all
	@$(call show,default)

smoke: environment  ## the same workflow with tiny settings; its numbers mean nothing
	python -m snakemake --cores all --workflow-profile profiles/smoke
	@$(call show,smoke)

test: environment  ## all tests, the smoke run among them
	python -m pytest --numprocesses logical --dist loadfile

lint: environment  ## ruff (rules and format), snakefmt and Snakemake's own linter
	python -m ruff check .
	python -m ruff format --check .
	python -m snakefmt --check Snakefile workflow/rules
	python -m snakemake --lint

environment: $(STAMP)  ## .venv with exactly the packages of requirements.lock

$(STAMP): requirements.lock
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null || { echo "error: Python 3.11 is" \
		"needed, but '$(or $(PYTHON),python3.11 or python3)' is not it; install it, or name it: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --requirement requirements.lock
	rm -f $(VENV)/.installed-* && touch $@

# The CUDA packages exist for Linux only; pins carry no local version (`+cpu`), so that they mean the same everywhere.
lock:  ## write requirements.lock anew from requirements.in, through a scratch environment
	scratch=$$(mktemp -d) && trap 'rm -rf "$$scratch"' EXIT && "$(PYTHON)" -m venv "$$scratch" \
	&& "$$scratch/bin/python" -m pip install --quiet --requirement requirements.in \
	&& $(call freeze,$$scratch/bin/python) > requirements.lock

clean-environment:  ## remove .venv
	rm -rf $(VENV)

hash := \#
define freeze
{ echo "$(hash) Exact pins of everything requirements.in needs under Python 3.11; written by \`make lock\`." ; \
	"$(1)" -m pip freeze --all --exclude pip | LC_ALL=C sort --ignore-case \
	| sed -E 's/\+[a-z0-9.]+$$//; s/^((nvidia|cuda)-.*|triton==.*)$$/\1; sys_platform == "linux"/'; }
endef

define show
echo; cat results/$(1)/tables/main_table.md; echo; echo "report: results/$(1)/report/index.html"
endef
