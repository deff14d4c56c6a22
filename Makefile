# Everything below needs Python 3.11 or newer and make, nothing else.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

.PHONY: help serve test lint bench reliability clean

help:            ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

serve: $(VENV)/.runtime   ## run a broker on localhost:9092, data in ./minikafka-data
	$(BIN)/minikafka serve --data-dir minikafka-data $(ARGS)

test: $(VENV)/.dev        ## run the tests
	$(BIN)/pytest $(ARGS)

lint: $(VENV)/.dev        ## formatting, lint, types and import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.bench     ## run the benchmarks and print one table
	$(BIN)/python -m benchmarks $(ARGS)

reliability: $(VENV)/.dev ## run the long reliability tests, ARGS="--budget 540 --resume"
	$(BIN)/python -m tests.reliability $(ARGS)

clean:           ## remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache .reliability

$(BIN)/pip:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip

$(VENV)/.runtime: pyproject.toml | $(BIN)/pip
	$(BIN)/pip install --quiet --editable .
	touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/pip
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@ $(VENV)/.runtime

$(VENV)/.bench: $(VENV)/.dev
	$(BIN)/pip install --quiet --editable '.[dev,bench]'
	touch $@
