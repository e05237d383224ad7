# Cello: `make` alone lists what there is. Everything sets itself up first, in .venv.

VENV   := .venv
PYTHON := $(VENV)/bin/python
READY  := $(VENV)/.setup-done
BASE_PYTHON ?= python3

# What a machine has set for its own Python must not reach into the environment.
unexport PYTHONPATH PYTHONHOME PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo test all-tests test-fast test-full test-versions coverage lint format types imports docs notebooks docs-check pictures bench bench-targets bench-quick bench-peers packages release clean

help:  ## this list
	@echo "make TARGET, where TARGET is one of"
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/\1|\2/p' Makefile | awk -F'|' '{printf "  %-12s %s\n", $$1, $$2}'

setup: $(READY)  ## make .venv with everything pinned (the other targets do it when needed)

$(READY): pyproject.toml requirements-dev.txt tools/setup_venv.py
	@$(BASE_PYTHON) tools/setup_venv.py $(VENV)

demo: $(READY)  ## train five taggers on Python's own source and look into the best one's memory
	@$(PYTHON) -m cello demo

test: lint imports  ## style, types, direction of imports, and all tests
	@$(MAKE) --no-print-directory -j 2 types all-tests

all-tests: $(READY)
	@$(PYTHON) -m pytest -q -n 2 --dist loadgroup

test-fast: $(READY)  ## the tests that take less than a few seconds each
	@$(PYTHON) -m pytest -q -n 2 --dist loadgroup -m "not slow"

test-full: $(READY)  ## all tests, many more examples; PYTORCH_TESTS=FOLDER adds PyTorch's own
	@HYPOTHESIS_PROFILE=full $(PYTHON) -m pytest -q -n 2 --dist loadgroup

test-versions: $(READY)  ## the fast tests on each Python that is here, and the oldest and newest PyTorch
	@$(PYTHON) tools/test_versions.py

coverage: $(READY)  ## which lines no test reaches; fails if a module is below 85 %
	@$(PYTHON) -m pytest -q -n 2 --dist loadgroup --cov=cello --cov-report=json:.coverage.json --cov-report=term:skip-covered
	@$(PYTHON) tools/check_coverage.py .coverage.json

lint: $(READY)  ## ruff: rules and format
	@$(PYTHON) -m ruff check --quiet .
	@$(PYTHON) -m ruff format --check --quiet . || { echo "not formatted: run make format" >&2; exit 1; }

format: $(READY)  ## let ruff format everything and fix what it can
	@$(PYTHON) -m ruff check --fix .
	@$(PYTHON) -m ruff format .

types: $(READY)  ## mypy
	@$(PYTHON) -m mypy

imports: $(READY)  ## import-linter: imports go down only
	@$(VENV)/bin/lint-imports --no-cache --no-logo

docs: $(VENV)/.docs-done  ## build the manual into site/, and follow each of its links
	@$(PYTHON) tools/manual/build.py

notebooks: $(VENV)/.docs-done  ## course and tutorials as notebooks in build/notebooks, each run in Jupyter and marimo
	@$(PYTHON) tools/manual/notebooks.py

$(VENV)/.docs-done: requirements-docs.txt $(READY)
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check -r requirements-docs.txt
	@touch $@

docs-check: $(READY)  ## run the code in README, docs and docstrings, and compare what it prints
	@$(PYTHON) -m pytest -q tests/test_docs.py

pictures: $(READY)  ## draw the pictures of docs/ anew, by the code that stands beside them
	@$(PYTHON) tools/draw_docs.py

bench-peers: $(READY)  ## install JAX and ONNX Runtime, which make bench then measures too
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check -r requirements-bench.txt

bench: $(READY)  ## measure side by side (see benchmarks/NOTES.md); ARGS="--quick --filter lstm"
	@$(PYTHON) -m benchmarks $(ARGS)

TARGETS = bench_call|bench_lstm recurrent|bench_lstm drop-in f|bench_gru_rnn|bench_zoo|JAX|one LSTM step|bench_scan
bench-targets: $(READY)  ## what stands in the table of targets (docs/speed.md), in about six minutes
	@$(PYTHON) -m benchmarks --short --filter "$(TARGETS)" $(ARGS)

bench-quick: $(READY)  ## the same with few cases and rounds: a look, not a measurement
	@$(PYTHON) -m benchmarks --quick $(ARGS)

packages: $(READY)  ## build wheel and source archive, check them, try them on each Python that is here
	@$(PYTHON) tools/packages.py $(ARGS)

release: $(READY)  ## make VERSION=0.2.0 all but the upload: version, changelog, packages, tag
	@$(PYTHON) tools/release.py "$(VERSION)"

clean:  ## remove caches and the environment
	rm -rf site $(VENV) $(VENV)-py* $(VENV).lock .coverage* build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
