# `make demo` and `make test` do all the set-up a fresh machine needs: Python 3.11+, git and make are enough.
SHELL := /bin/sh
PYTHON ?= python3
BIN := .venv/bin
WORKERS ?= 4
MODE ?= sqlite
MINUTES ?= 20

.DEFAULT_GOAL := help
.PHONY: help setup demo serve test check deadcode bench soak mutations lock revision clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' Makefile

setup: .venv/.ready src/foundry/web/static/vendor/.ready ## install only what `make demo` needs

.venv/.ready: requirements.lock requirements-devkit.lock pyproject.toml scripts/setup.py
	@$(PYTHON) scripts/setup.py run

.venv/.ready-dev: .venv/.ready requirements-dev.lock
	@$(BIN)/python scripts/setup.py dev

src/foundry/web/static/vendor/.ready: .venv/.ready package.json package-lock.json scripts/assets.py
	@$(BIN)/python scripts/assets.py

demo: setup ## run the whole workflow once, then keep running (ARGS=--once: exit with "demo: ok"; --clean: end leftovers)
	@$(BIN)/foundry demo $(ARGS)

serve: setup ## run only Foundry
	@$(BIN)/foundry serve $(ARGS)

check: setup .venv/.ready-dev deadcode ## check style, types, imports, shell scripts, dead code and the code's rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/pyright
	@$(BIN)/lint-imports
	@$(BIN)/shellcheck src/foundry/sandboxes/scripts/*.sh .ci/run
	@$(BIN)/python -m pytest -q tests/test_architecture.py tests/test_unused.py
	@echo "check: ok"

deadcode: setup .venv/.ready-dev ## find functions, classes and variables that nothing uses; exceptions: pyproject.toml
	@$(BIN)/vulture

test: check ## run check, then all tests in WORKERS processes; ARGS go to pytest
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

bench: setup .venv/.ready-dev ## measure; ratios within one run, written to benchmarks/results/latest.json
	@$(BIN)/python -m benchmarks $(ARGS)

soak: setup .venv/.ready-dev ## disturb Foundry for MINUTES (20) in MODE (sqlite, replicas), with SEED; check that nothing is lost
	@$(BIN)/python -m tests.harness.soak --mode $(MODE) --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) $(ARGS)

mutations: setup .venv/.ready-dev ## put faults into a copy of the code, one at a time; a test must catch each
	@$(BIN)/python -m tests.harness.mutations $(ARGS)

lock: .venv/.ready-dev ## pin every dependency again, with hashes and without addresses
	@$(BIN)/python scripts/lock.py

revision: .venv/.ready-dev ## write the next migration from the declared tables; MESSAGE says what changes
	@$(BIN)/python scripts/revision.py $(MESSAGE)

clean: ## remove what set-up created; data directories stay
	rm -rf .venv node_modules src/foundry/web/static/vendor .pytest_cache .ruff_cache .import_linter_cache .hypothesis
