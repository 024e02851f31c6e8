# make demo   the whole service on this machine, with sample conversations (ONCE=1: stop when they are done)
# make test   every check
.PHONY: setup demo test bench lint types lock clean
.DEFAULT_GOAL := help

bin := .venv/bin
lock := $(bin)/uv pip compile --quiet --generate-hashes --no-header --no-annotate \
  --no-emit-index-url --no-emit-find-links --python-version 3.11

.PHONY: help
help: ## what there is
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 16

setup: ## packages from the lock, a Temporal server; done once
	@scripts/setup

demo: setup ## start everything and show it on sample conversations
	@$(bin)/parley demo

test: setup ## linters, types, import rules and all tests
	@scripts/test_tools
	@scripts/test

bench: setup ## ratios of one run, to .parley/bench.json
	@$(bin)/python -m bench

lint: setup ## ruff and the import rules
	@$(bin)/ruff check . && $(bin)/ruff format --check . && $(bin)/lint-imports

types: setup ## mypy, strict
	@$(bin)/mypy domain workflows engines storage services activities infra workers api cli tests

lock: setup ## resolve again; UPGRADE=1 takes newer versions
	$(lock) $(if $(UPGRADE),--upgrade) requirements/bootstrap.in -o requirements/bootstrap.lock
	$(lock) $(if $(UPGRADE),--upgrade) --extra dev pyproject.toml -o requirements/dev.lock
	$(lock) $(if $(UPGRADE),--upgrade) --no-deps requirements/test-models.in -o requirements/test-models.lock

clean: ## remove what setup and the tools made (not the state: parley down --wipe)
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
