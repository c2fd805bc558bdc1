# Every target first installs what it needs into the project's own environment.
# Needs: Python 3.11 or newer, make, and a package index that pip can reach.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PORT ?= 8000
# Tests wait most of the time.
TESTS_AT_ONCE ?= $(shell expr 2 + $$(getconf _NPROCESSORS_ONLN))
export PATH := $(abspath $(BIN)):$(PATH)

RUNTIME_READY := $(VENV)/.runtime-ready
DEV_READY := $(VENV)/.dev-ready
BENCH_READY := .venv-bench/.ready .venv-bench-redis5/.ready
JAVASCRIPT_READY := tests/javascript/node_modules/.ready
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet

.PHONY: help start supervised test check format lint types layers loadtest bench bench-quick chaos lock clean
.DEFAULT_GOAL := help

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-12s %s\n", $$1, $$2}'

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

# Tests of the Lambda API also use AWS's SDK for JavaScript, where there is npm. If it cannot be
# installed they are skipped, and in CI they fail.
$(JAVASCRIPT_READY): tests/javascript/package-lock.json tests/javascript/.npmrc
	@echo "installing AWS's SDK for JavaScript into tests/javascript ..."
	@cd tests/javascript && npm ci --silent --ignore-scripts --no-audit --no-fund && touch node_modules/.ready || echo "npm ci failed: tests that need the SDK will not run"

# The peers have environments of their own; two, as they do not agree on a version of redis-py.
# Everything is pinned there, so nothing is resolved.
.venv-%/.ready: requirements/%.txt | $(BIN)/python
	@echo "installing peers into .venv-$* ..."
	@$(BIN)/python -m venv .venv-$*
	@.venv-$*/bin/python -m pip --disable-pip-version-check install --quiet --no-deps --require-hashes --requirement $<
	@touch $@

start: $(RUNTIME_READY) ## run everything here, under honcho; Ctrl-C stops it
	@trap : INT; honcho start --port $(PORT); code=$$?; [ $$code -eq 130 ] || exit $$code

supervised: $(RUNTIME_READY) ## run everything under supervisord, in the foreground
	@PORT=$(PORT) supervisord --nodaemon --configuration supervisord.conf

test: $(DEV_READY) $(if $(shell command -v npm 2>/dev/null),$(JAVASCRIPT_READY)) ## all tests
	@python -m pytest -n $(TESTS_AT_ONCE) $(ARGS)

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

bench: $(DEV_READY) $(BENCH_READY) ## compare with peers, side by side; takes an hour; ARGS=--help
	@python -m loadtests.bench $(ARGS)

bench-quick: $(DEV_READY) ## compare with bare Falcon and stock Celery; fails below a floor
	@python -m loadtests.bench --quick $(ARGS)

chaos: $(DEV_READY) ## kill processes under load, and count what is lost; ARGS="--kills 40 --seed 7"
	@python -m tests.chaos $(ARGS)

lock: $(DEV_READY) ## refresh requirements/*.txt (needs uv on PATH)
	uv pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11 requirements/runtime.in --output-file requirements/runtime.txt
	uv pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11 --constraint requirements/runtime.txt requirements/dev.in --output-file requirements/dev.txt
	uv pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11 --constraint requirements/runtime.txt requirements/bench.in --output-file requirements/bench.txt
	uv pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11 requirements/bench-redis5.in --output-file requirements/bench-redis5.txt

clean: ## remove the environment and caches; data/ and logs/ stay
	rm -rf $(VENV) .venv-* tests/javascript/node_modules .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis reports
