# `make demo` and `make test` need nothing but Python 3.11 or later: they make their own environment first.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test test-all check bench clean

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[test,check]'
	touch $@

demo: $(VENV)/installed
	$(BIN)/unveil fit

test: $(VENV)/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2

test-all: $(VENV)/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 -m 'exhaustive or not exhaustive'

check: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/house

bench: $(VENV)/installed
	$(BIN)/pip install --quiet --constraint constraints.txt --requirement benchmarks/requirements.txt
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/likelihood.py

clean:
	rm -rf $(VENV) runs .pytest_cache .ruff_cache .mypy_cache
