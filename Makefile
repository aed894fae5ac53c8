# One command per job. Everything runs in .venv, made from the project's own files.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: setup quickstart test check bench docs clean

setup: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $(INSTALLED)

quickstart: setup
	$(BIN)/lorasweep models pull smollm2-135m
	$(BIN)/lorasweep run quickstart --out out/quickstart

test: setup
	$(BIN)/pytest

check: setup
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/mypy
	$(BIN)/pytest -m "not gpu"

bench: setup
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/decoding.py

docs: setup
	$(BIN)/python docs/make_commands.py
	$(BIN)/python docs/make_tree.py

clean:
	rm -rf .venv out
