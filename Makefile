# Two ways to begin: `make demo`, then `make test`. Needs Python 3.11-3.13, git, make and a compiler; uses uv when it is there.

VENV := .venv
BIN := $(VENV)/bin
BUILD := pip setuptools wheel hatchling editables
DEV := celery,demo,dev,postgres,redis,search

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install install-dev demo test lint format bench lock clean

help: ## what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

install: $(VENV)/.demo-installed ## .venv with the package and the demo extra, versions from constraints.txt

install-dev: $(VENV)/.dev-installed ## the same with everything that tests and lint need

demo: install ## replay 2013 under a real Airflow; DEMO_ARGS="--keep" leaves the UI up
	$(BIN)/tradewind demo $(DEMO_ARGS)

test: install-dev ## all tests, two at a time; PYTEST_ARGS="-k lake" for some
	$(BIN)/pytest -n 2 $(PYTEST_ARGS)

lint: install-dev ## ruff, mypy --strict, import contracts, YAML
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict include/tradewind
	$(BIN)/lint-imports
	$(BIN)/yamllint --strict .

format: install-dev ## let ruff put everything in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: install-dev ## the benchmarks, each beside its peer
	$(BIN)/pytest tests/benchmarks -s -m "" -p no:cacheprovider $(PYTEST_ARGS)

lock: ## write constraints.txt anew (needs uv; keeps what still fits)
	uv pip compile --quiet --universal --python-version 3.11 --all-extras --group build --no-annotate --no-header \
	  --no-emit-index-url --no-emit-find-links --output-file constraints.txt pyproject.toml

clean: ## remove caches and build results, not the .venv and not .tradewind
	rm -rf dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

$(VENV)/.demo-installed: pyproject.toml constraints.txt
	@.ci/install demo $(BUILD)
	@touch $@

$(VENV)/.dev-installed: pyproject.toml constraints.txt
	@.ci/install $(DEV) $(BUILD)
	@touch $(VENV)/.demo-installed $@
