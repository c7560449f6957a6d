PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.installed
export PYTHONDONTWRITEBYTECODE :=
export UV_LINK_MODE := copy
# Where a local Label Studio is installed once, for the demo on it and for its tests.
export ANNOTATION_OPS_CACHE := $(CURDIR)/.label_studio

# Where the demo keeps its state, and what `make ui` opens.
HOME_DIR := .annotation_ops
# label-studio runs the demo on a real server, installed into .label_studio the first time.
PLATFORM := simulated

.PHONY: install demo test test-slow check format bench ui lock clean

install: $(READY)

# uv is the only package pip installs; uv then installs the hashed lock, byte-compiled because Dagster starts many short processes.
$(READY): requirements.lock bootstrap.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "annotation-ops needs Python 3.11 or newer, found " + sys.version.split()[0] + "; name one with: make PYTHON=/path/to/python3.11 " )'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r bootstrap.lock
	$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes --compile-bytecode requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	touch $(READY)

demo: $(READY)
	$(BIN)/annotation-ops demo --home $(HOME_DIR) --platform $(PLATFORM)

# Opens the Dagster UI, with its daemon, on what the demo left behind.
ui: $(READY)
	ANNOTATION_OPS_HOME=$(HOME_DIR) DAGSTER_HOME=$(abspath $(HOME_DIR))/dagster ANNOTATION_OPS_PROJECTS=$(HOME_DIR)/projects $(BIN)/dagster dev -w workspace.yaml --host 127.0.0.1

test: $(READY)
	$(BIN)/pytest

test-slow: $(READY)
	$(BIN)/pytest -m slow

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/dagster definitions validate -w workspace.yaml

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(READY)
	for file in benchmarks/*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

lock:
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate --all-extras --group dev pyproject.toml -o requirements.lock
	printf 'uv==%s\n' "$$($(BIN)/uv --version | cut -d' ' -f2)" | $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate - -o bootstrap.lock
