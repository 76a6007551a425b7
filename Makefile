# `make demo` and `make test` do all the set-up a fresh machine needs: Python 3.11+, git and make are enough.
SHELL := /bin/sh
PYTHON ?= python3
BIN := .venv/bin
WORKERS ?= 4
MODE ?= sqlite
MINUTES ?= 20

.DEFAULT_GOAL := help
.PHONY: help setup demo serve test check bench soak mutations lock clean

help: ## say what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' Makefile

setup: .venv/.ready src/foundry/web/static/vendor/.ready ## everything `make demo` needs, and no more

.venv/.ready: requirements.lock pyproject.toml scripts/setup.py
	@$(PYTHON) scripts/setup.py run

.venv/.ready-dev: .venv/.ready requirements-dev.lock
	@$(BIN)/python scripts/setup.py dev

src/foundry/web/static/vendor/.ready: .venv/.ready package.json package-lock.json scripts/assets.py
	@$(BIN)/python scripts/assets.py

demo: setup ## the whole main job once, then it stays up (ARGS=--once: ends with "demo: ok"; --clean)
	@$(BIN)/foundry demo $(ARGS)

serve: setup ## Foundry alone
	@$(BIN)/foundry serve $(ARGS)

check: setup .venv/.ready-dev ## style, types, who may import whom, the house's rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/pyright
	@$(BIN)/lint-imports
	@$(BIN)/shellcheck src/foundry/sandboxes/scripts/*.sh .ci/run
	@$(BIN)/python -m pytest -q tests/test_architecture.py

test: check ## check, then all tests, in WORKERS processes; ARGS go to pytest
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

bench: setup .venv/.ready-dev ## measure; ratios within one run, written to benchmarks/results/latest.json
	@$(BIN)/python -m benchmarks $(ARGS)

soak: setup .venv/.ready-dev ## break it for MINUTES (20) in MODE (sqlite, replicas) and check that nothing was lost; SEED
	@$(BIN)/python -m tests.harness.soak --mode $(MODE) --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) $(ARGS)

mutations: setup .venv/.ready-dev ## put faults into a copy of the code, one at a time; a test has to catch each
	@$(BIN)/python -m tests.harness.mutations $(ARGS)

lock: .venv/.ready-dev ## pin every dependency again, with hashes and without addresses
	@$(BIN)/python scripts/lock.py

clean: ## remove what set-up made; data directories stay
	rm -rf .venv node_modules src/foundry/web/static/vendor .pytest_cache .ruff_cache .import_linter_cache .hypothesis
