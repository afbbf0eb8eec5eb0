# One command per chore; `make` or `make help` lists them.
.DEFAULT_GOAL := help
.PHONY: help setup run test quick lint format types contracts documents bench lock clean distclean
SHELL := /bin/bash
BIN := .venv/bin
# Python keeps what it compiled, or each process of the tests would compile every module anew.
unexport PYTHONDONTWRITEBYTECODE
UV ?= uv
COMPILE = $(UV) pip compile -q --universal --python-version 3.11 --generate-hashes --no-header

help: ## List the chores
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "%-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Make .venv from the lock file
	./scripts/setup

run: ## The whole demo: broker, topics, worker, generator
	./scripts/run

test: ## The checks and the essential tests (./scripts/test --all for every test)
	./scripts/test

quick: setup ## Tests without brokers and without the slow ones
	$(BIN)/python -m pytest -q -n 2 --dist loadfile --hypothesis-profile=quick -m 'not broker and not kafka and not slow'

lint: setup ## ruff check
	$(BIN)/ruff check .

format: setup ## Format the code, and sort what ruff can sort
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

types: setup ## mypy --strict
	$(BIN)/mypy

contracts: setup ## Import contracts: arrows point down only
	$(BIN)/lint-imports

documents: setup ## Write docs/contract and docs/runbook.md from the code
	$(BIN)/python -m pipeline.contract docs/contract
	$(BIN)/python -m pipeline.runbook docs/runbook.md

bench: setup ## The benchmark of docs/performance.md, on the embedded broker
	$(BIN)/ott bench

lock: ## Resolve pyproject.toml into the lock files (needs uv; UV=/path/to/uv)
	@command -v $(UV) >/dev/null || { echo 'make lock needs uv: https://docs.astral.sh/uv/' >&2; exit 3; }
	$(COMPILE) pyproject.toml --all-extras -o requirements.lock
	$(COMPILE) pyproject.toml --no-annotate -c requirements.lock -o docker/requirements.lock
	$(COMPILE) docker/build.in --no-annotate -c requirements.lock -o docker/build.lock

clean: ## Delete caches, builds and the local state
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache dist build state
	find . -path ./.venv -prune -o -name __pycache__ -type d -print0 | xargs -0 rm -rf

distclean: clean ## And the environment
	rm -rf .venv
