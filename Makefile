# Everything a fresh machine with Python 3.11+, git and make needs to see mlproj at work and to change it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TEST_ENVIRONMENT := .cache/project-environment
DEMO ?= .demo
# One more than the two cores that this is tuned for: tests wait for servers, locks and holds.
JOBS ?= 3

# Some containers forbid Python its bytecode cache, which makes every start of it three times as slow.
unexport PYTHONDONTWRITEBYTECODE VIRTUAL_ENV

.DEFAULT_GOAL := help

## Show mlproj at work: an example project from `mlproj new` to a registered model
.PHONY: demo
demo: $(VENV)/installed
	PATH="$(CURDIR)/$(BIN):$$PATH" sh docs/demo/run.sh "$(DEMO)"

## Run all tests
.PHONY: test
test: $(VENV)/installed-dev $(TEST_ENVIRONMENT)/installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	MLPROJ_TEST_PYTHON="$(CURDIR)/$(TEST_ENVIRONMENT)/bin/python" $(BIN)/python -m pytest -n $(JOBS) --dist loadgroup $(TESTS)

## Run the quick tests only, without building an environment for generated projects
.PHONY: test-quick
test-quick: $(VENV)/installed-dev
	$(BIN)/python -m pytest -m "not slow" $(TESTS)

## Measure start-up, generation, inference, the prediction log, canaries and shadows, next to what people know
.PHONY: bench
bench: $(VENV)/installed-dev $(TEST_ENVIRONMENT)/installed
	MLPROJ_TEST_PYTHON="$(CURDIR)/$(TEST_ENVIRONMENT)/bin/python" $(BIN)/python -m tests.bench

## Measure serving next to other model servers (wrk is needed; they are installed under .cache/bench)
.PHONY: bench-serving
bench-serving: $(VENV)/installed-dev $(TEST_ENVIRONMENT)/installed
	MLPROJ_TEST_PYTHON="$(CURDIR)/$(TEST_ENVIRONMENT)/bin/python" $(BIN)/python -m tests.bench.serving

## Write the pins, the reference pages and the example's findings anew
.PHONY: generate
generate: $(VENV)/installed-dev
	$(BIN)/uv pip compile --quiet --universal --no-header --no-annotate pyproject.toml --output-file requirements.txt
	$(BIN)/uv pip compile --quiet --universal --no-header --no-annotate pyproject.toml --group dev --output-file requirements-dev.txt
	$(BIN)/python -m docs.generate

## Delete what the other targets made
.PHONY: clean
clean:
	rm -rf $(VENV) .cache $(DEMO) dist .mypy_cache .ruff_cache .pytest_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

## List these
.PHONY: help
help:
	@awk '/^## /{text=substr($$0,4)} /^\.PHONY: /{printf "  make %-13s %s\n", $$2, text}' Makefile

$(BIN)/uv:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "mlproj needs Python 3.11 or later; say which: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

$(VENV)/installed: $(BIN)/uv requirements.txt pyproject.toml
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --requirement requirements.txt --editable .
	touch $@

$(VENV)/installed-dev: $(VENV)/installed requirements-dev.txt
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --requirement requirements-dev.txt
	touch $@

# What a generated repository needs, in one environment that the tests share.
$(TEST_ENVIRONMENT)/installed: tests/project-requirements.txt $(BIN)/uv
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(TEST_ENVIRONMENT)
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(TEST_ENVIRONMENT)/bin/python --requirement $<
	touch $@
