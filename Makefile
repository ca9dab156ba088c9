VENV ?= .venv
PYTHON ?= python3
JOBS ?= 3
BIN = $(VENV)/bin

.PHONY: study test lint bench clean

study: $(VENV)/.installed
	if [ -d studies/digits-mlp ]; then $(BIN)/prune-study report studies/digits-mlp; \
	else $(BIN)/prune-study run digits-mlp; fi

test: lint
	$(BIN)/pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.installed
	$(BIN)/python -m benchmarks

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev,dashboard]'
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache
