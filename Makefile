# One command per job. Everything runs in .venv, made from the project's own files.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
DIST := dist

.PHONY: setup quickstart test check style bench docs wheel clean

setup: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $(INSTALLED)

quickstart: setup
	$(BIN)/lorasweep models pull smollm2-135m
	$(BIN)/lorasweep run quickstart --out out/quickstart

# The default tests are many small ones: a process a core, one thread each.
test: setup
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist loadfile

# Slow ones hold a model of a few GiB each: two at a time, which share the cores.
check: setup style test
	OMP_NUM_THREADS=$$(( ($$(nproc) + 1) / 2 )) $(BIN)/pytest -n 2 --dist loadfile -m "slow and not gpu"

style: setup
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/mypy

bench: setup
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/decoding.py

docs: setup
	$(BIN)/python docs/make_commands.py
	$(BIN)/python docs/make_tree.py

wheel: setup
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir $(DIST) .

# Trained studies (out) are hours of work: they are never removed here.
clean:
	rm -rf .venv dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests benchmarks docs -name __pycache__ -type d -prune -exec rm -rf {} +
