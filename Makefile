# Every target first installs what it needs into the project's own environment.
# Needs: Python 3.11 or newer, make, and a package index that pip can reach.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PORT ?= 8000
export PATH := $(abspath $(BIN)):$(PATH)

RUNTIME_READY := $(VENV)/.runtime-ready
DEV_READY := $(VENV)/.dev-ready
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet

.PHONY: help start supervised test check format lint types layers loadtest chaos lock clean
.DEFAULT_GOAL := help

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-12s %s\n", $$1, $$2}'

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Eyas needs Python 3.11 or newer; $(PYTHON) is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)

$(RUNTIME_READY): requirements/runtime.txt pyproject.toml | $(BIN)/python
	@echo "installing the runtime into $(VENV) ..."
	@$(PIP) --require-hashes --requirement requirements/runtime.txt
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(DEV_READY): requirements/dev.txt $(RUNTIME_READY)
	@echo "installing test and load-test tools into $(VENV) ..."
	@$(PIP) --require-hashes --requirement requirements/dev.txt
	@touch $@

start: $(RUNTIME_READY) ## run everything here, under honcho; Ctrl-C stops it
	@trap : INT; honcho start --port $(PORT); code=$$?; [ $$code -eq 130 ] || exit $$code

supervised: $(RUNTIME_READY) ## run everything under supervisord, in the foreground
	@PORT=$(PORT) supervisord --nodaemon --configuration supervisord.conf

test: $(DEV_READY) ## all tests
	@python -m pytest -n auto $(ARGS)

check: $(DEV_READY) lint types layers test ## the whole gate: format, lint, types, layers, tests

lint: $(DEV_READY)
	ruff format --check
	ruff check

format: $(DEV_READY) ## rewrite the sources in the one format
	ruff format
	ruff check --fix

types: $(DEV_READY)
	mypy

layers: $(DEV_READY)
	lint-imports

loadtest: $(DEV_READY) ## load a running stack through HTTP; report in reports/
	@python -m loadtests $(ARGS)

chaos: $(DEV_READY) ## kill processes under load, and count what is lost; ARGS="--kills 40 --seed 7"
	@python -m tests.chaos $(ARGS)

lock: $(DEV_READY) ## refresh requirements/*.txt (needs uv on PATH)
	uv pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11 requirements/runtime.in --output-file requirements/runtime.txt
	uv pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11 --constraint requirements/runtime.txt requirements/dev.in --output-file requirements/dev.txt

clean: ## remove the environment and caches; data/ and logs/ stay
	rm -rf $(VENV) .venv-* .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis reports
