# Two commands for a fresh machine with Python >= 3.11: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
# `EXTRAS=dev,interop` also compares with megatron-core.
EXTRAS ?= dev
# A file's tests share what they prepare, so a file stays with one process; long files come first.
PYTEST := $(BIN)/python -m pytest -n auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder

.PHONY: demo test test-slow parity faults soak lint format clean

demo: $(VENV)/.installed  ## Train three sizes at two parallel degrees and open the curves
	$(BIN)/hydratron train -m experiment=demo $(ARGS)

test: $(VENV)/.installed-dev  ## Run the whole test suite
	$(PYTEST) $(ARGS)

test-slow: $(VENV)/.installed-dev  ## Run it, and list the 30 slowest tests
	$(PYTEST) --durations=30 --durations-min=0.5 $(ARGS)

parity: $(VENV)/.installed-dev  ## Every combination of degrees, where `make test` has some
	$(PYTEST) tests/distributed --all $(ARGS)

faults: $(VENV)/.installed-dev  ## Every fault, where `make test` has some; writes docs/faults.md
	$(PYTEST) -m fault --all --fault-table=docs/faults.md --soak=$(or $(SOAK),60) $(ARGS)

soak: $(VENV)/.installed-dev  ## Ten minutes of random faults (SOAK=seconds); renews its row of docs/faults.md
	$(PYTEST) -n 0 -m fault --all -k soak --fault-table=docs/faults.md --keep-rows \
	  --soak=$(or $(SOAK),600) $(ARGS)

lint: $(VENV)/.installed-dev  ## Check format, lint and types
	$(BIN)/ruff format --check src tests
	$(BIN)/ruff check src tests
	$(BIN)/mypy

format: $(VENV)/.installed-dev
	$(BIN)/ruff format src tests
	$(BIN)/ruff check --fix src tests

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "hydratron needs Python >= 3.11: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[$(EXTRAS)]'
	$(BIN)/python -m pip check
	touch $(VENV)/.installed $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
