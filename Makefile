# `make demo` and `make test` set everything up in .venv; the other targets help while developing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready

.PHONY: demo test bench docs format clean

demo: $(READY)  ## train, test and report a recogniser of handwritten digits
	out=runs/demo-$$(date +%Y%m%d-%H%M%S); \
	$(BIN)/lstmapps train handwriting/digits --output $$out && \
	$(BIN)/lstmapps test $$out/model --report $$out/test.html

test: $(READY)  ## run every check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/mkdocs build --strict --quiet
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist loadfile

bench: $(READY)  ## print ratios of medians, each measured in one process
	$(BIN)/python -m tests.benchmarks

docs: $(READY)  ## build the documentation into site/
	$(BIN)/mkdocs build --strict

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(READY): pyproject.toml $(wildcard plugins/*/pyproject.toml)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet -e ".[dev]" $(foreach plugin,$(wildcard plugins/*),-e $(plugin))
	touch $@

clean:
	rm -rf $(VENV) site runs .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
