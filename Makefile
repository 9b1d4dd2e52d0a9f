# Two commands do everything on a fresh machine: make demo, make test.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: demo test lint bench torture notebook up down lock help
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

$(VENV)/runtime.installed: requirements.txt pyproject.toml
	@test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	@echo "Installing Flagpost, Kafka's and PostgreSQL's packages into $(VENV) (once, about a minute) ..."
	@$(PIP) install --require-hashes -r requirements.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/dev.installed: requirements-dev.txt $(VENV)/runtime.installed
	@echo "Installing the test and lint tools ..."
	@$(PIP) install --require-hashes -r requirements-dev.txt
	@touch $@

demo: $(VENV)/runtime.installed  ## install, start Kafka and PostgreSQL, replay the log, show what was flagged, stop
	@$(BIN)/flagpost demo

test: $(VENV)/dev.installed  ## every test, against a real Kafka and a real PostgreSQL
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

lint: $(VENV)/dev.installed  ## ruff, mypy --strict, import-linter, audit of the locked packages
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python .ci/audit.py -r requirements-dev.txt -r requirements-image.txt

bench: $(VENV)/dev.installed  ## throughput, latency and cost, with goals and a picture, beside other tools; some 45 minutes
	-@$(BIN)/python -m bench.peers install
	@$(BIN)/python -m bench

torture: $(VENV)/runtime.installed  ## kill and cut while a log is scored, then check it all; EVENTS=1000000 KILLS=100 SEED=7
	@$(BIN)/flagpost torture $(if $(EVENTS),--events $(EVENTS)) $(if $(KILLS),--kills $(KILLS)) $(if $(SEED),--seed $(SEED))

notebook: $(VENV)/dev.installed  ## execute fraud_detection.ipynb between servers of its own; a minute or two
	@$(BIN)/python -m tests.end_to_end.notebook

up: $(VENV)/runtime.installed  ## start Kafka and PostgreSQL and create the tables
	@$(BIN)/flagpost up

down:  ## stop them
	@test ! -x $(BIN)/flagpost || $(BIN)/flagpost down

lock: $(VENV)/dev.installed  ## pin every dependency with its hash, naming no index
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate --extra local pyproject.toml -o requirements.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate --extra local --extra dev -c requirements.txt pyproject.toml -o requirements-dev.txt
	for peer in bench/peers/requirements/*.in; do $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate $$peer -o $${peer%.in}.txt || exit 1; done
